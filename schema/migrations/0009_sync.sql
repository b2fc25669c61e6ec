-- One position for each conversation says what a device holds: `rev` (docs/protocol.md, "Sync").

-- What the last message was when it happened, so that a rev is a seq and a seq a rev after one descent of the index.
-- A row stays when what it told is gone (event null), as positions are counted from it; unless all that was stored before
-- the row behind it is gone as well.
ALTER TABLE changes
  ADD COLUMN last_seq   bigint,
  ADD COLUMN is_message boolean NOT NULL DEFAULT false;  -- a message of kind system has this rev
UPDATE changes c SET is_message = true FROM messages x
WHERE x.conversation_id = c.conversation_id AND x.seq = c.seq AND x.rev = c.rev;
UPDATE changes c SET last_seq = n.seq
FROM (SELECT conversation_id, rev,
             rev - count(*) FILTER (WHERE NOT is_message) OVER (PARTITION BY conversation_id ORDER BY rev) AS seq
      FROM changes) AS n
WHERE n.conversation_id = c.conversation_id AND n.rev = c.rev;
ALTER TABLE changes ALTER COLUMN last_seq SET NOT NULL;
-- Who has been removed is told so when he is back.
CREATE INDEX changes_also_to ON changes (also_to, created_at) WHERE also_to IS NOT NULL;

ALTER TABLE device_marks ADD COLUMN got_rev bigint NOT NULL DEFAULT 0;  -- events; its messages say more, perhaps
ALTER TABLE members ADD COLUMN cursor_at timestamptz;                   -- when got_seq or read_seq rose
-- Until when a session was there for sure, and so was told what has no rev: earlier than last_seen_at, which is when it was
-- noticed that the last one is gone. Null: not known to have ended.
ALTER TABLE users ADD COLUMN told_until timestamptz;  -- sessions without a device
ALTER TABLE devices ADD COLUMN told_until timestamptz;

CREATE OR REPLACE FUNCTION add_change(who asker, conversation bigint, change_kind text, about_seq bigint, what jsonb,
                                      told bigint DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  head conversation_heads;
BEGIN
  UPDATE conversation_heads SET last_rev = last_rev + 1 WHERE conversation_id = conversation RETURNING * INTO head;
  INSERT INTO changes (conversation_id, rev, seq, kind, user_id, event, also_to, origin_spool, ingest_no, last_seq)
  VALUES (conversation, head.last_rev, about_seq, change_kind, who.user_id, what, told, who.origin_spool, who.ingest_no,
          head.last_seq);
  RETURN head.last_rev;
END $$;

CREATE OR REPLACE FUNCTION add_system_message(who asker, conversation bigint, change_kind text, words text, what jsonb,
                                              told bigint DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  head conversation_heads;
  key  bytea;
BEGIN
  UPDATE conversation_heads
  SET last_seq = last_seq + 1, last_rev = last_rev + 1, last_at = GREATEST(last_at, statement_timestamp())
  WHERE conversation_id = conversation RETURNING * INTO head;
  key := decode(md5(format('system/%s/%s/%s', who.origin_spool, who.ingest_no, head.last_rev)), 'hex');
  INSERT INTO messages (conversation_id, seq, rev, sender_id, received_at, created_at, origin_spool, ingest_no,
                        request_key, request_hash, kind, body)
  VALUES (conversation, head.last_seq, head.last_rev, who.user_id, who.received_at, head.last_at, who.origin_spool,
          who.ingest_no, key, key, 'system', words);
  INSERT INTO changes (conversation_id, rev, seq, kind, user_id, event, also_to, origin_spool, ingest_no, last_seq,
                       is_message)
  VALUES (conversation, head.last_rev, head.last_seq, change_kind, who.user_id, what, told, who.origin_spool,
          who.ingest_no, head.last_seq, true);
  RETURN head.last_seq;
END $$;

-- The last message whose rev is not beyond this one. Before the first row there is: what is not kept any more, or
-- nothing but messages.
CREATE FUNCTION seq_at(conversation bigint, at_rev bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT COALESCE((SELECT c.last_seq + at_rev - c.rev FROM changes c
                   WHERE c.conversation_id = conversation AND c.rev <= at_rev ORDER BY c.rev DESC LIMIT 1),
                  LEAST(at_rev, (SELECT c.last_seq FROM changes c
                                 WHERE c.conversation_id = conversation ORDER BY c.rev LIMIT 1)))
$$;

-- The rev of this message: who holds it was told what has a smaller one. Its own row, if it has one, is the first with its seq;
-- else it lies behind the last row before it, as revs and seqs rise together.
CREATE INDEX changes_last_seq ON changes (conversation_id, last_seq, rev);
CREATE FUNCTION rev_at(conversation bigint, message_seq bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT COALESCE((SELECT own.rev FROM (SELECT c.rev, c.is_message FROM changes c
                                        WHERE c.conversation_id = conversation AND c.last_seq = message_seq
                                        ORDER BY c.rev LIMIT 1) AS own WHERE own.is_message),
                  (SELECT c.rev + message_seq - c.last_seq FROM changes c
                   WHERE c.conversation_id = conversation AND c.last_seq < message_seq
                   ORDER BY c.last_seq DESC, c.rev DESC LIMIT 1),
                  message_seq)
$$;

-- The last message that was stored by then. For nobody's time: null.
CREATE FUNCTION stored_until(conversation bigint, at timestamptz) RETURNS bigint
LANGUAGE sql STABLE STRICT AS $$
  SELECT x.seq FROM messages x WHERE x.conversation_id = conversation AND x.created_at <= at ORDER BY x.seq DESC LIMIT 1
$$;

-- What a user calls his conversations.
CREATE FUNCTION conversation_called(someone bigint, conv text) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN n.kind = 'room' THEN n.id ELSE p.conversation_id END
  FROM names n
  LEFT JOIN direct_pairs p ON n.kind = 'user' AND p.user_lo = LEAST(someone, n.id) AND p.user_hi = GREATEST(someone, n.id)
  WHERE n.name = conv
$$;

-- Members who do not see everything.
CREATE INDEX membership_periods_late ON membership_periods (conversation_id, joined_seq) WHERE left_seq IS NULL AND joined_seq > 0;

-- What somebody may see of a conversation, as far as it is kept, between these seqs: as few stretches as possible, without overlap.
CREATE FUNCTION visible_stretches(conversation bigint, someone bigint, after bigint, before bigint)
RETURNS TABLE (low bigint, high bigint) LANGUAGE sql STABLE AS $$
  SELECT r.low, r.high
  FROM conversation_heads h
  CROSS JOIN (SELECT unnest(range_agg(int8range(p.joined_seq + 1, p.left_seq + 1))) AS stay FROM membership_periods p
              WHERE p.conversation_id = conversation AND p.user_id = someone
                AND (p.left_seq IS NULL OR p.left_seq > p.joined_seq)) AS s
  CROSS JOIN LATERAL (SELECT GREATEST(lower(s.stay), h.first_seq, after + 1) AS low,
                             LEAST(upper(s.stay) - 1, h.last_seq, before - 1) AS high) AS r
  WHERE h.conversation_id = conversation AND r.low <= r.high
$$;

-- What a device holds, or all of his devices (null). Locked in the order in which marks rise.
CREATE FUNCTION forget_marks(someone bigint, its_name text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM device_marks d WHERE d.user_id = someone AND (its_name IS NULL OR d.device = its_name)
  ORDER BY d.device, d.conversation_id FOR UPDATE;
  DELETE FROM device_marks d WHERE d.user_id = someone AND (its_name IS NULL OR d.device = its_name);
END $$;

-- Puts a device exactly where it says it is; what it does not name it does not hold. From now on it confirms. One row
-- for each conversation that it names and is in: up to where it holds it. Without a device only says so. A mark that has risen
-- meanwhile is put back, too: it gets something once more.
CREATE FUNCTION place_device(someone bigint, its_name text, convs text[], revs bigint[])
RETURNS TABLE (conversation_id bigint, got_seq bigint, got_rev bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  IF NOT EXISTS (SELECT FROM users WHERE user_id = someone AND disabled_at IS NULL) THEN RETURN; END IF;
  IF its_name <> '' THEN
    INSERT INTO devices (user_id, device, confirms) VALUES (someone, its_name, true)
    ON CONFLICT (user_id, device) DO UPDATE SET confirms = true;
    PERFORM forget_marks(someone, its_name);
  END IF;
  FOR conversation_id, got_seq, got_rev IN
    SELECT h.conversation_id, GREATEST(seq_at(h.conversation_id, LEAST(i.rev, h.last_rev)), 0), LEAST(i.rev, h.last_rev)
    FROM (SELECT conversation_called(someone, conv) AS id, max(rev) AS rev
          FROM unnest(convs, revs) AS listed(conv, rev) GROUP BY 1) AS i
    JOIN members m ON m.conversation_id = i.id AND m.user_id = someone
    JOIN conversation_heads h ON h.conversation_id = i.id
    ORDER BY h.conversation_id
  LOOP
    IF its_name <> '' THEN
      INSERT INTO device_marks (user_id, device, conversation_id, got_seq, got_rev)
      VALUES (someone, its_name, conversation_id, got_seq, got_rev)
      ON CONFLICT (user_id, device, conversation_id) DO UPDATE SET got_seq = EXCLUDED.got_seq, got_rev = EXCLUDED.got_rev;
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;

-- How many names a list in an answer has at most: of a room with 100,000 members it would be megabytes.
CREATE FUNCTION names_listed() RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT 5000 $$;

-- As before, and in a larger room of those who lead it all, and of the others the first by name.
CREATE OR REPLACE FUNCTION do_room_get(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
BEGIN
  IF role_of(conversation, who.user_id) IS NULL THEN RETURN refused('NOT_MEMBER', 'you are not in this room'); END IF;
  RETURN done(jsonb_build_object(
    'room', room_json(conversation, who.user_id),
    'members', (SELECT jsonb_agg(jsonb_build_object('user', listed.name, 'role', listed.role) ORDER BY listed.name)
                FROM (SELECT u.name, m.role FROM members m JOIN users u ON u.user_id = m.user_id
                      WHERE m.conversation_id = conversation
                      ORDER BY m.role IN ('owner', 'admin') DESC, u.name LIMIT names_listed()) AS listed)));
END $$;

-- As before; of two of whom one has blocked the other neither is told what the other one has read; and each list has the first by name.
CREATE OR REPLACE FUNCTION do_receipts(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql STABLE AS $$
DECLARE
  wanted bigint := (request->>'seq')::bigint;
  it    messages;
BEGIN
  IF role_of(conversation, who.user_id) IS NULL THEN RETURN refused('NOT_MEMBER', 'you are not in there'); END IF;
  IF role_of(conversation, who.user_id) = 'blocked' THEN RETURN refused('BLOCKED', 'he does not want to hear from you'); END IF;
  SELECT x.* INTO it FROM messages x
  WHERE x.conversation_id = conversation AND x.seq = wanted
    AND EXISTS (SELECT FROM membership_periods p WHERE p.conversation_id = conversation AND p.user_id = who.user_id
                AND wanted > p.joined_seq AND (p.left_seq IS NULL OR wanted <= p.left_seq));
  IF NOT FOUND THEN RETURN refused('NOT_FOUND', 'there is no such message'); END IF;
  RETURN (
    SELECT done(jsonb_build_object(
      'got', COALESCE(jsonb_agg(name ORDER BY name) FILTER (WHERE mark = 'got'), '[]'),
      'read', COALESCE(jsonb_agg(name ORDER BY name) FILTER (WHERE mark = 'read'), '[]'),
      'pending', COALESCE(jsonb_agg(name ORDER BY name) FILTER (WHERE mark = 'pending'), '[]')))
    FROM (SELECT there.*, row_number() OVER (PARTITION BY mark ORDER BY name) AS place FROM (
      SELECT u.name, CASE WHEN bool_or(COALESCE(p.read_seq, m.read_seq) >= wanted) THEN 'read'
                          WHEN bool_or(COALESCE(p.got_seq, m.got_seq) >= wanted) THEN 'got'
                          WHEN NOT bool_or(COALESCE(p.got_seq, m.got_seq) >= wanted) THEN 'pending' END AS mark
      FROM membership_periods p
      JOIN users u ON u.user_id = p.user_id
      LEFT JOIN members m ON p.left_seq IS NULL AND m.conversation_id = conversation AND m.user_id = p.user_id
      WHERE p.conversation_id = conversation AND p.user_id <> it.sender_id AND m.role IS DISTINCT FROM 'blocked'
        AND wanted > p.since_seq AND (p.left_seq IS NULL OR wanted <= p.left_seq)
      GROUP BY u.name) AS there) AS placed
    WHERE place <= names_listed());
END $$;
