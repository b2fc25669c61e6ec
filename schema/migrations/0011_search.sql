-- What search and mentions find (docs/protocol.md, "Search"). Filled beside the storing, by the worker's indexer: nothing here
-- is the truth, and what is found is checked against the message itself.

-- The words of a message, in the configuration of its conversation's position below.
CREATE TABLE search_documents (
  conversation_id bigint NOT NULL,
  seq             bigint NOT NULL,
  created_at      timestamptz NOT NULL,  -- of the message: where it lies
  words           tsvector NOT NULL,
  PRIMARY KEY (conversation_id, seq)
);
-- Both in one index: what everybody says is looked for in one's own conversations only.
CREATE INDEX search_words ON search_documents USING gin (words, (ARRAY[conversation_id]));
-- The newest are looked at first. What was written lately lies together, nearly, so next to nothing has to be kept for that.
CREATE INDEX search_times ON search_documents USING brin (created_at) WITH (pages_per_range = 64, autosummarize = on);

CREATE TABLE mentions (
  conversation_id bigint NOT NULL,
  seq             bigint NOT NULL,
  user_id         bigint NOT NULL,       -- who is mentioned
  said_at         timestamptz NOT NULL,  -- the message's received_at
  created_at      timestamptz NOT NULL,
  PRIMARY KEY (conversation_id, seq, user_id)
);
CREATE INDEX mentions_of_user ON mentions (user_id, said_at, conversation_id, seq);

-- How far each conversation is indexed: all messages up to `seq`, with all changes of them up to `rev`. Lanes commit in any
-- order, but within a conversation there is one order only. No row, or another configuration: nothing.
CREATE TABLE search_positions (
  conversation_id bigint PRIMARY KEY,
  seq             bigint NOT NULL,
  rev             bigint NOT NULL,
  configuration   text NOT NULL
) WITH (fillfactor = 50);

CREATE FUNCTION forget_words(conversation bigint, about_seq bigint) RETURNS void
LANGUAGE sql AS $$
  DELETE FROM search_documents d WHERE d.conversation_id = conversation AND d.seq = about_seq;
  DELETE FROM mentions m WHERE m.conversation_id = conversation AND m.seq = about_seq;
$$;

-- Who takes contents away behind the back of `rev` and who indexes do it one after the other: nothing comes back.
CREATE FUNCTION lock_search() RETURNS void
LANGUAGE sql AS $$ SELECT pg_advisory_xact_lock(hashtextextended('parley/search', 0)) $$;

-- As much of a message's words as is looked at.
CREATE FUNCTION searched(body text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT left(body, 65536) $$;

-- Indexes anew the messages of these stretches of conversations (in_…: from from_seq to to_seq, stored from from_at to to_at), with these
-- names mentioned in them (names_…), and says how far that is (done_…). Whoever is no member is not mentioned: nobody fills another
-- one's list from a room that this one never was in. What is about to expire is left out: the sweeper may be at it right now. Times
-- are texts, as nothing else keeps their microseconds.
-- Everything is looked for stretch by stretch by its key (OFFSET 0, and nothing is read from end to end), as the plan is kept for a while,
-- and the tables that it was made for may have been small: else each step reads all messages there are. What was there before goes by
-- stretches, too: mostly there is nothing, and that is known from one look at the index, not from one for each message.
CREATE FUNCTION index_messages(configuration text, in_of bigint[], in_from_seq bigint[], in_to_seq bigint[], in_from_at text[],
                               in_to_at text[], names_of bigint[], names_seq bigint[], names_at text[], names text[],
                               done_of bigint[], done_seq bigint[], done_rev bigint[])
RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
  known regconfig := configuration::regconfig;
BEGIN
  PERFORM lock_search();
  DELETE FROM search_documents d WHERE d.ctid = ANY (ARRAY(
    SELECT k.ctid FROM unnest(in_of, in_from_seq, in_to_seq) AS i(c, from_seq, to_seq)
    CROSS JOIN LATERAL (SELECT o.ctid FROM search_documents o
                        WHERE o.conversation_id = i.c AND o.seq >= i.from_seq AND o.seq <= i.to_seq OFFSET 0) AS k));
  DELETE FROM mentions m WHERE m.ctid = ANY (ARRAY(
    SELECT k.ctid FROM unnest(in_of, in_from_seq, in_to_seq) AS i(c, from_seq, to_seq)
    CROSS JOIN LATERAL (SELECT o.ctid FROM mentions o
                        WHERE o.conversation_id = i.c AND o.seq >= i.from_seq AND o.seq <= i.to_seq OFFSET 0) AS k));
  INSERT INTO search_documents
  SELECT i.c, x.seq, x.created_at, to_tsvector(known, searched(x.body))
  FROM unnest(in_of, in_from_seq, in_to_seq, in_from_at, in_to_at) AS i(c, from_seq, to_seq, from_at, to_at)
  CROSS JOIN LATERAL (
    SELECT m.seq, m.created_at, m.body FROM messages m
    WHERE m.conversation_id = i.c AND m.seq >= i.from_seq AND m.seq <= i.to_seq
      AND m.created_at >= i.from_at::timestamptz AND m.created_at <= i.to_at::timestamptz
      AND NOT m.deleted AND m.kind <> 'system' AND m.body <> ''
      AND (m.expires_at IS NULL OR m.expires_at > clock_timestamp() + interval '30 seconds') OFFSET 0) AS x;
  IF cardinality(names_of) > 0 THEN
    INSERT INTO mentions
    SELECT DISTINCT i.c, i.s, n.id, x.received_at, x.created_at
    FROM unnest(names_of, names_seq, names_at, names) AS i(c, s, t, name)
    CROSS JOIN LATERAL (
      SELECT m.received_at, m.created_at FROM messages m
      WHERE m.conversation_id = i.c AND m.seq = i.s AND m.created_at = i.t::timestamptz
        AND NOT m.deleted AND (m.expires_at IS NULL OR m.expires_at > clock_timestamp() + interval '30 seconds') OFFSET 0) AS x
    CROSS JOIN LATERAL (
      SELECT k.id FROM names k WHERE k.name = i.name AND k.kind = 'user' AND k.retired_at IS NULL OFFSET 0) AS n
    CROSS JOIN LATERAL (SELECT FROM members k WHERE k.conversation_id = i.c AND k.user_id = n.id OFFSET 0) AS there;
  END IF;
  INSERT INTO search_positions AS p
  SELECT i.c, i.s, i.r, configuration FROM unnest(done_of, done_seq, done_rev) AS i(c, s, r) ORDER BY i.c
  ON CONFLICT (conversation_id) DO UPDATE SET seq = EXCLUDED.seq, rev = EXCLUDED.rev, configuration = EXCLUDED.configuration;
END $$;

-- As one of its members calls it.
CREATE FUNCTION conv_name(conversation bigint, someone bigint) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN c.kind = 'room' THEN c.name
              ELSE (SELECT name_of(CASE WHEN p.user_lo = someone THEN p.user_hi ELSE p.user_lo END)
                    FROM direct_pairs p WHERE p.conversation_id = conversation) END
  FROM conversations c WHERE c.conversation_id = conversation
$$;

CREATE FUNCTION may_see(conversation bigint, someone bigint, wanted bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM members m WHERE m.conversation_id = conversation AND m.user_id = someone)
     AND EXISTS (SELECT FROM membership_periods p WHERE p.conversation_id = conversation AND p.user_id = someone
                 AND wanted > p.joined_seq AND (p.left_seq IS NULL OR wanted <= p.left_seq))
$$;

CREATE TYPE found_message AS (
  conversation_id bigint, conv text, snippet text,
  seq bigint, rev bigint, sender_id bigint, sender text, received_at timestamptz, request_id text, kind text, body text,
  extra bytea, expires_at timestamptz, edited_at timestamptz, deleted boolean, edited_mentions text);

-- The message, if `someone` may see it now; else no row. Without a query there is no snippet.
CREATE FUNCTION found_one(someone bigint, conversation bigint, wanted bigint, stored_at timestamptz,
                          configuration regconfig, asked tsquery)
RETURNS SETOF found_message LANGUAGE sql STABLE AS $$
  SELECT x.conversation_id, conv_name(conversation, someone),
         left(ts_headline(configuration, searched(x.body), asked,
                          'StartSel=<<, StopSel=>>, MaxFragments=2, MaxWords=20, MinWords=5, FragmentDelimiter=" … "'), 1000),
         x.seq, x.rev, x.sender_id, u.name, x.received_at, x.request_id, x.kind, x.body, x.extra, x.expires_at, x.edited_at,
         x.deleted, to_jsonb(x.edited_mentions)::text
  FROM messages x JOIN users u ON u.user_id = x.sender_id
  WHERE x.conversation_id = conversation AND x.seq = wanted AND x.created_at = stored_at
    AND NOT x.deleted AND (x.expires_at IS NULL OR x.expires_at > clock_timestamp())
    AND may_see(conversation, someone, wanted)
    AND (asked IS NULL OR to_tsvector(configuration, searched(x.body)) @@ asked)
$$;

-- Of one stretch of time, the newest that `someone` may see. Planned for this stretch and query each time: which index helps
-- depends on them.
CREATE FUNCTION search_hits(someone bigint, mine bigint[], wanted tsquery, from_time timestamptz, to_time timestamptz, most bigint)
RETURNS TABLE (conversation_id bigint, seq bigint, created_at timestamptz)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT d.conversation_id, d.seq, d.created_at FROM search_documents d
  WHERE d.words @@ wanted AND ARRAY[d.conversation_id] && mine AND d.created_at >= from_time AND d.created_at < to_time
    AND EXISTS (SELECT FROM membership_periods p WHERE p.conversation_id = d.conversation_id AND p.user_id = someone
                AND d.seq > p.joined_seq AND (p.left_seq IS NULL OR d.seq <= p.left_seq))
  ORDER BY d.created_at DESC, d.conversation_id, d.seq DESC LIMIT most;
END $$;

-- Newest first; what everybody says is found lately, so further back is looked only if that is not enough.
-- @param only_in  0: in all one's conversations
CREATE FUNCTION search_messages(someone bigint, only_in bigint, configuration text, asked text, most bigint)
RETURNS SETOF found_message LANGUAGE plpgsql STABLE AS $$
DECLARE
  wanted tsquery := websearch_to_tsquery(configuration::regconfig, asked);
  mine   bigint[] := (SELECT array_agg(uc.conversation_id) FROM user_conversations uc
                      WHERE uc.user_id = someone AND (only_in = 0 OR uc.conversation_id = only_in));
  begins timestamptz[] := ARRAY[now() - interval '1 hour', now() - interval '1 day', now() - interval '7 days',
                                now() - interval '30 days', now() - interval '180 days', '-infinity'];
  hit    record;
  found  found_message;
  n      bigint := 0;
BEGIN
  IF mine IS NULL OR numnode(wanted) = 0 THEN RETURN; END IF;
  FOR i IN 1 .. cardinality(begins) LOOP
    FOR hit IN SELECT * FROM search_hits(someone, mine, wanted, begins[i], COALESCE(begins[i - 1], 'infinity'),
                                         10 * most) LOOP
      FOR found IN SELECT * FROM found_one(someone, hit.conversation_id, hit.seq, hit.created_at, configuration::regconfig,
                                           wanted) LOOP
        RETURN NEXT found;
        n := n + 1;
      END LOOP;
      IF n >= most THEN RETURN; END IF;
    END LOOP;
  END LOOP;
END $$;

-- Newest first. Those of one time come together: `before` their time leads behind all of them. Of the conversations that one has
-- left nothing comes, but they are in the way: so many are looked at, at most.
CREATE FUNCTION mentions_of(someone bigint, before timestamptz, most bigint)
RETURNS SETOF found_message LANGUAGE plpgsql STABLE AS $$
DECLARE
  hit    record;
  found  found_message;
  n      bigint := 0;
  oldest timestamptz := 'infinity';
BEGIN
  FOR hit IN SELECT m.* FROM (SELECT k.* FROM mentions k WHERE k.user_id = someone AND k.said_at < COALESCE(before, 'infinity')
                              ORDER BY k.user_id DESC, k.said_at DESC, k.conversation_id DESC, k.seq DESC LIMIT 100000) AS m
             WHERE (SELECT true FROM members o WHERE o.conversation_id = m.conversation_id AND o.user_id = someone)
             ORDER BY m.user_id DESC, m.said_at DESC, m.conversation_id DESC, m.seq DESC LOOP
    EXIT WHEN n >= most AND hit.said_at < oldest;
    FOR found IN SELECT * FROM found_one(someone, hit.conversation_id, hit.seq, hit.created_at, 'simple', NULL) LOOP
      RETURN NEXT found;
      n := n + 1;
      oldest := hit.said_at;
    END LOOP;
  END LOOP;
END $$;

-- ---- what hangs on a message goes with it ----

-- What is still told about a message, and by whom. There may be no end of changes that tell nothing any more.
DROP INDEX changes_seq;
CREATE INDEX changes_about ON changes (conversation_id, seq, user_id) WHERE seq IS NOT NULL AND event IS NOT NULL;

-- Messages whose contents are gone, but not all that hangs on them: it was too much to go at once.
CREATE TABLE emptied_messages (
  conversation_id bigint NOT NULL,
  seq             bigint NOT NULL,
  PRIMARY KEY (conversation_id, seq)
);

-- Takes away what hangs on these messages, whose contents are gone: at most `most` reactions and as many events; what is more
-- is noted, and forget_rest goes on with it. Nobody sees it meanwhile. Gives whether that was all.
CREATE FUNCTION forget_told(convs bigint[], seqs bigint[], most bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  n         bigint;
  reactions bigint;
BEGIN
  DELETE FROM reactions r WHERE r.ctid = ANY (ARRAY(
    SELECT k.ctid FROM unnest(convs, seqs) AS g(c, s) JOIN reactions k ON k.conversation_id = g.c AND k.seq = g.s LIMIT most));
  GET DIAGNOSTICS reactions = ROW_COUNT;
  DELETE FROM pins p USING unnest(convs, seqs) AS g(c, s) WHERE p.conversation_id = g.c AND p.seq = g.s;
  UPDATE changes c SET event = NULL WHERE c.ctid = ANY (ARRAY(
    SELECT k.ctid FROM unnest(convs, seqs) AS g(c, s) JOIN changes k ON k.conversation_id = g.c AND k.seq = g.s
    WHERE k.event IS NOT NULL AND k.kind IN ('edited', 'reaction', 'pinned') LIMIT most));
  GET DIAGNOSTICS n = ROW_COUNT;
  IF GREATEST(n, reactions) < most THEN RETURN true; END IF;
  INSERT INTO emptied_messages SELECT * FROM unnest(convs, seqs) ON CONFLICT DO NOTHING;
  RETURN false;
END $$;

-- Some of what was too much.
CREATE FUNCTION forget_rest(most bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  convs bigint[];
  seqs  bigint[];
BEGIN
  SELECT array_agg(conversation_id), array_agg(seq) INTO convs, seqs
  FROM (SELECT conversation_id, seq FROM emptied_messages ORDER BY conversation_id, seq LIMIT 100 FOR UPDATE SKIP LOCKED) AS noted;
  IF convs IS NOT NULL AND forget_told(convs, seqs, most) THEN
    DELETE FROM emptied_messages e USING unnest(convs, seqs) AS g(c, s) WHERE e.conversation_id = g.c AND e.seq = g.s;
  END IF;
END $$;

-- Takes the contents out of at most `most` messages that have expired, and what hangs on them. The rows stay: seq has no gaps, and a
-- repeat of a request id is still known. What somebody else has in his hands, in an order of his own, comes the next time. Step by
-- step, as each step sees what those have done who had the messages before, and who comes later finds them deleted. Gives how many it
-- were, in which conversations.
CREATE FUNCTION expire_messages(most bigint) RETURNS TABLE (conversation_id bigint, messages bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  convs bigint[];
  seqs  bigint[];
BEGIN
  WITH old AS MATERIALIZED (
    SELECT x.conversation_id, x.seq, x.created_at FROM messages x
    WHERE x.expires_at <= statement_timestamp() AND NOT x.deleted ORDER BY x.expires_at LIMIT most
    FOR NO KEY UPDATE SKIP LOCKED
  ), gone AS (
    UPDATE messages x SET body = '', extra = NULL, edited_mentions = NULL, deleted = true FROM old
    WHERE x.conversation_id = old.conversation_id AND x.seq = old.seq AND x.created_at = old.created_at
    RETURNING x.conversation_id, x.seq)
  SELECT array_agg(gone.conversation_id), array_agg(gone.seq) INTO convs, seqs FROM gone;
  IF convs IS NOT NULL THEN
    DELETE FROM search_documents d USING unnest(convs, seqs) AS g(c, s) WHERE d.conversation_id = g.c AND d.seq = g.s;
    DELETE FROM mentions m USING unnest(convs, seqs) AS g(c, s) WHERE m.conversation_id = g.c AND m.seq = g.s;
    PERFORM forget_told(convs, seqs, 5 * most);
  END IF;
  PERFORM forget_rest(5 * most);
  RETURN QUERY SELECT g.c, count(*) FROM unnest(convs, seqs) AS g(c, s) GROUP BY g.c;
END $$;

-- Null: there is such a message, for him.
CREATE FUNCTION must_find(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN role_of(conversation, who.user_id) IS NULL THEN refused('NOT_MEMBER', 'you are not in there')
              WHEN (visible_message(conversation, who.user_id, (request->>'seq')::bigint)).seq IS NULL
              THEN refused('NOT_FOUND', 'there is no such message') END
$$;

-- As before, and what was said is not found any more. One's own words one may take back also from who does not want to hear
-- of one.
CREATE OR REPLACE FUNCTION do_msg_delete(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  bad  outcome;
  it   messages;
BEGIN
  SELECT x.* INTO it FROM messages x WHERE x.conversation_id = conversation AND x.seq = (request->>'seq')::bigint;
  IF it.sender_id = who.user_id THEN
    bad := must_find(who, conversation, request);
  ELSE
    bad := must_see(who, conversation, request);
  END IF;
  IF it.deleted AND (bad).code = 'NOT_FOUND' THEN RETURN done(); END IF;
  IF bad IS NOT NULL THEN RETURN bad; END IF;
  IF it.kind = 'system'
     OR (it.sender_id <> who.user_id
         AND NOT (is_room(conversation) AND role_of(conversation, who.user_id) IN ('owner', 'admin'))) THEN
    RETURN refused('FORBIDDEN', 'for its sender, and for owners and admins of a room');
  END IF;
  UPDATE messages SET body = '', extra = NULL, edited_mentions = NULL, deleted = true
  WHERE conversation_id = conversation AND seq = it.seq AND created_at = it.created_at;
  PERFORM forget_words(conversation, it.seq);
  PERFORM forget_told(ARRAY[conversation], ARRAY[it.seq], 1000);
  PERFORM add_change(who, conversation, 'deleted', it.seq,
                     jsonb_build_object('deleted', jsonb_build_object('seq', it.seq)));
  RETURN done();
END $$;

-- As before; the earlier words are gone from what was told of edits, too. It may have expired or been erased just now.
CREATE OR REPLACE FUNCTION do_msg_edit(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  bad  outcome := must_see(who, conversation, request);
  it   messages := visible_message(conversation, who.user_id, (request->>'seq')::bigint);
  said text := request->>'text';
  meant text[] := texts(request->'mentions');
BEGIN
  IF bad IS NOT NULL THEN RETURN bad; END IF;
  IF role_of(conversation, who.user_id) = 'readonly' THEN RETURN refused('FORBIDDEN', 'you may only read there'); END IF;
  IF it.sender_id <> who.user_id OR it.kind = 'system' THEN RETURN refused('FORBIDDEN', 'this is not your message'); END IF;
  IF said = '' THEN RETURN refused('BAD_PAYLOAD', 'text is empty'); END IF;
  IF octet_length(said) > (who.limits->>'text_bytes')::int OR cardinality(meant) > (who.limits->>'mentions')::int THEN
    RETURN refused('TOO_LARGE', 'the text is too long, or mentions too many');
  END IF;
  IF it.body = said AND it.edited_mentions = meant THEN RETURN done(); END IF;
  UPDATE messages SET body = said, edited_mentions = meant, edited_at = GREATEST(who.received_at, received_at)
  WHERE conversation_id = conversation AND seq = it.seq AND created_at = it.created_at AND NOT deleted;
  IF NOT FOUND THEN RETURN refused('NOT_FOUND', 'there is no such message'); END IF;
  UPDATE changes c SET event = NULL
  WHERE c.conversation_id = conversation AND c.seq = it.seq AND c.user_id = who.user_id AND c.kind = 'edited'
    AND c.event IS NOT NULL;
  PERFORM add_change(who, conversation, 'edited', it.seq,
                     jsonb_build_object('edited', jsonb_build_object('seq', it.seq, 'text', said)));
  RETURN done();
END $$;

-- As before, but of a reaction that comes and goes the last word is kept only.
CREATE OR REPLACE FUNCTION do_msg_react(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  bad     outcome := must_see(who, conversation, request);
  about   bigint := (request->>'seq')::bigint;
  sign    text := request->>'emoji';
  removed boolean := (request->>'removed')::boolean;
BEGIN
  IF bad IS NOT NULL THEN RETURN bad; END IF;
  IF sign = '' THEN RETURN refused('BAD_PAYLOAD', 'emoji is empty'); END IF;
  IF octet_length(sign) > 64 THEN RETURN refused('TOO_LARGE', 'an emoji has at most 64 bytes'); END IF;
  -- Who takes the contents away does not do it before this is there to be taken along.
  PERFORM FROM messages x WHERE x.conversation_id = conversation AND x.seq = about AND NOT x.deleted FOR SHARE;
  IF NOT FOUND THEN RETURN refused('NOT_FOUND', 'there is no such message'); END IF;
  IF removed THEN
    DELETE FROM reactions r
    WHERE r.conversation_id = conversation AND r.seq = about AND r.user_id = who.user_id AND r.emoji = sign;
  ELSE
    IF (SELECT count(*) FROM reactions r
        WHERE r.conversation_id = conversation AND r.seq = about AND r.user_id = who.user_id AND r.emoji <> sign) >= 16 THEN
      RETURN refused('TOO_LARGE', 'at most 16 reactions of one user to one message');
    END IF;
    INSERT INTO reactions VALUES (conversation, about, who.user_id, sign) ON CONFLICT DO NOTHING;
  END IF;
  IF NOT FOUND THEN RETURN done(); END IF;
  UPDATE changes c SET event = NULL
  WHERE c.conversation_id = conversation AND c.seq = about AND c.user_id = who.user_id AND c.kind = 'reaction'
    AND c.event IS NOT NULL AND c.event->'reaction'->>'emoji' = sign;
  PERFORM add_change(who, conversation, 'reaction', about,
                     jsonb_build_object('reaction', jsonb_build_object('seq', about, 'user', who.name, 'emoji', sign,
                                                                       'removed', removed)));
  RETURN done();
END $$;

-- The same of a pin.
CREATE OR REPLACE FUNCTION do_msg_pin(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  bad     outcome := must_see(who, conversation, request);
  about   bigint := (request->>'seq')::bigint;
  removed boolean := (request->>'removed')::boolean;
BEGIN
  IF bad IS NOT NULL THEN RETURN bad; END IF;
  IF is_room(conversation) AND role_of(conversation, who.user_id) NOT IN ('owner', 'admin') THEN
    RETURN refused('FORBIDDEN', 'for owners and admins of the room');
  END IF;
  PERFORM FROM messages x WHERE x.conversation_id = conversation AND x.seq = about AND NOT x.deleted FOR SHARE;
  IF NOT FOUND THEN RETURN refused('NOT_FOUND', 'there is no such message'); END IF;
  IF removed THEN
    DELETE FROM pins p WHERE p.conversation_id = conversation AND p.seq = about;
  ELSE
    INSERT INTO pins VALUES (conversation, about, who.user_id) ON CONFLICT DO NOTHING;
  END IF;
  IF NOT FOUND THEN RETURN done(); END IF;
  UPDATE changes c SET event = NULL
  WHERE c.conversation_id = conversation AND c.seq = about AND c.kind = 'pinned' AND c.event IS NOT NULL;
  PERFORM add_change(who, conversation, 'pinned', about,
                     jsonb_build_object('pinned', jsonb_build_object('seq', about, 'removed', removed)));
  RETURN done();
END $$;
