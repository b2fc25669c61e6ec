-- Messages that are older than they may be go: whole months as partitions, the rest row by row. Everything here may be done again,
-- and each call does a little only.

CREATE INDEX conversations_retention ON conversations (conversation_id) WHERE retention_days IS NOT NULL;

-- Repeats are recognised by the messages of a week, so what is younger stays (a day for clocks that disagree).
CREATE FUNCTION retention_cutoff(days bigint) RETURNS timestamptz
LANGUAGE sql STABLE AS $$ SELECT now() - make_interval(days => GREATEST(days, 8)::int) $$;

-- Takes at most `most` of a conversation's oldest messages away if they are older, with all that belongs to them; if that is very
-- much, at first some of it only. The rows themselves may stay for a moment, if their partition goes. The head is locked before what
-- hangs on it, as requests do, but only if there is something to take away: created_at rises with seq, so that one message tells.
-- Gives how many went, or at least 1 if there is more to do.
CREATE FUNCTION cut_old(conversation bigint, cutoff timestamptz, most bigint, with_rows boolean) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  from_seq  bigint := (SELECT first_seq FROM conversation_heads WHERE conversation_id = conversation);
  last_old  bigint;
  told_most bigint := 10 * most;
  n         bigint;
BEGIN
  IF COALESCE((SELECT x.created_at FROM messages x WHERE x.conversation_id = conversation AND x.seq >= from_seq
               ORDER BY x.seq LIMIT 1), cutoff) >= cutoff THEN RETURN 0; END IF;
  SELECT max(seq) INTO last_old
  FROM (SELECT x.seq, x.created_at FROM messages x WHERE x.conversation_id = conversation AND x.seq >= from_seq
        ORDER BY x.seq LIMIT most) AS oldest
  WHERE created_at < cutoff;
  PERFORM lock_search();
  PERFORM FROM conversation_heads h WHERE h.conversation_id = conversation FOR NO KEY UPDATE;
  DELETE FROM reactions r WHERE r.ctid = ANY (ARRAY(
    SELECT k.ctid FROM reactions k
    WHERE k.conversation_id = conversation AND k.seq >= from_seq AND k.seq <= last_old LIMIT told_most));
  GET DIAGNOSTICS n = ROW_COUNT;
  IF n = told_most THEN RETURN 1; END IF;
  -- The last change is kept, as positions are counted from it (0009_sync.sql).
  DELETE FROM changes c WHERE c.ctid = ANY (ARRAY(
    SELECT k.ctid FROM changes k
    WHERE k.conversation_id = conversation
      AND k.rev < (SELECT l.rev FROM changes l WHERE l.conversation_id = conversation AND l.last_seq <= last_old
                   ORDER BY l.last_seq DESC, l.rev DESC LIMIT 1)
    ORDER BY k.rev LIMIT told_most));
  GET DIAGNOSTICS n = ROW_COUNT;
  IF n = told_most THEN RETURN 1; END IF;
  UPDATE changes c SET event = NULL WHERE c.ctid = ANY (ARRAY(
    SELECT k.ctid FROM changes k
    WHERE k.conversation_id = conversation AND k.seq >= from_seq AND k.seq <= last_old AND k.event IS NOT NULL LIMIT told_most));
  GET DIAGNOSTICS n = ROW_COUNT;
  IF n = told_most THEN RETURN 1; END IF;
  IF with_rows THEN
    DELETE FROM messages x WHERE x.conversation_id = conversation AND x.seq >= from_seq AND x.seq <= last_old;
  END IF;
  DELETE FROM search_documents d WHERE d.conversation_id = conversation AND d.seq >= from_seq AND d.seq <= last_old;
  DELETE FROM mentions m WHERE m.conversation_id = conversation AND m.seq >= from_seq AND m.seq <= last_old;
  DELETE FROM pins p WHERE p.conversation_id = conversation AND p.seq >= from_seq AND p.seq <= last_old;
  UPDATE conversation_heads SET first_seq = GREATEST(first_seq, last_old + 1) WHERE conversation_id = conversation;
  RETURN last_old - from_seq + 1;
END $$;

-- Partitions of messages, and when the month behind each begins.
CREATE FUNCTION message_partitions() RETURNS TABLE (part text, first_day timestamptz, next_month timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT c.relname, m.day AT TIME ZONE 'UTC', (m.day + interval '1 month') AT TIME ZONE 'UTC'
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
  CROSS JOIN LATERAL (SELECT to_timestamp(right(c.relname, 7), 'YYYY_MM')::date::timestamp AS day) AS m
  WHERE i.inhparent = 'messages'::regclass AND c.relname ~ '^messages_[0-9]{4}_[0-9]{2}$'
$$;

-- One step through the conversations of a partition, behind `after`: looks at many, but changes one, and says which. Gives where
-- it goes on; below 0: there are no more.
CREATE FUNCTION cut_partition(part text, cutoff timestamptz, after bigint, most bigint, with_rows boolean,
                              OUT onward bigint, OUT changed bigint)
LANGUAGE plpgsql AS $$
DECLARE
  here bigint := after;
BEGIN
  FOR i IN 1 .. 200 LOOP
    EXECUTE format('SELECT conversation_id FROM %I WHERE conversation_id > $1 ORDER BY conversation_id LIMIT 1', part)
    INTO here USING here;
    onward := COALESCE(here, -1);
    IF here IS NULL THEN RETURN; END IF;
    IF cut_old(here, cutoff, most, with_rows) > 0 THEN
      onward := here - 1;  -- perhaps there is more
      changed := here;
      RETURN;
    END IF;
  END LOOP;
END $$;

CREATE FUNCTION drop_message_partition(part text) RETURNS void
LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
BEGIN
  EXECUTE format('DROP TABLE %I', part);
END $$;

-- As before, and how long the room keeps messages, if it has a term of its own.
CREATE OR REPLACE FUNCTION room_json(conversation bigint, for_whom bigint) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
           'room', c.name, 'title', c.title, 'topic', c.topic, 'history', c.history, 'join', c.join_rule,
           'role', COALESCE(role_of(conversation, for_whom), ''),
           'member_count', c.member_count,
           'created_time', json_time(c.created_at))
         || CASE WHEN c.retention_days IS NULL THEN '{}' ELSE jsonb_build_object('retention_days', c.retention_days) END
  FROM conversations c WHERE c.conversation_id = conversation
$$;

-- The messages of everybody that are older than `days`. `phase` is 'partitions' (of months that are over), then 'rows' (of the
-- month in which the border lies), then 'rooms', with their own days. Gives where the phase goes on, below 0: it is through; and the
-- conversation in which something is gone now, if there is one.
CREATE FUNCTION retention_step(phase text, days bigint, after bigint, most bigint, OUT onward bigint, OUT changed bigint)
LANGUAGE plpgsql AS $$
DECLARE
  border timestamptz := retention_cutoff(days);
  it     record;
BEGIN
  onward := -1;
  IF phase = 'rooms' THEN
    FOR it IN SELECT c.conversation_id, c.retention_days FROM conversations c
              WHERE c.retention_days IS NOT NULL AND c.conversation_id > after ORDER BY c.conversation_id LIMIT 200 LOOP
      onward := it.conversation_id;
      IF cut_old(onward, retention_cutoff(it.retention_days), most, true) > 0 THEN
        changed := onward;
        onward := onward - 1;
        RETURN;
      END IF;
    END LOOP;
    RETURN;
  END IF;
  IF days = 0 THEN RETURN; END IF;
  IF phase = 'partitions' THEN
    SELECT p.part, p.next_month INTO it FROM message_partitions() p WHERE p.next_month <= border ORDER BY p.first_day LIMIT 1;
  ELSE
    SELECT p.part, p.next_month INTO it FROM message_partitions() p
    WHERE p.first_day < border AND p.next_month > border LIMIT 1;
  END IF;
  IF it IS NULL THEN RETURN; END IF;
  SELECT c.onward, c.changed INTO onward, changed
  FROM cut_partition(it.part, LEAST(border, it.next_month), after, most, phase = 'rows') AS c;
  IF onward >= 0 OR phase = 'rows' THEN RETURN; END IF;
  PERFORM drop_message_partition(it.part);
  onward := 0;  -- the next month, if there is one
END $$;
