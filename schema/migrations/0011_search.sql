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

-- Indexes these messages anew (docs_…), with these names mentioned in them (names_…), and says how far that is. What is about to
-- expire is left out: the sweeper may be at it right now. Times are texts, as nothing else keeps their microseconds.
CREATE FUNCTION index_messages(configuration text, docs_of bigint[], docs_seq bigint[], docs_at text[],
                               names_of bigint[], names_seq bigint[], names_at text[], names text[],
                               done_of bigint[], done_seq bigint[], done_rev bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM lock_search();
  DELETE FROM search_documents d USING unnest(docs_of, docs_seq) AS i(c, s) WHERE d.conversation_id = i.c AND d.seq = i.s;
  DELETE FROM mentions m USING unnest(docs_of, docs_seq) AS i(c, s) WHERE m.conversation_id = i.c AND m.seq = i.s;
  INSERT INTO search_documents
  SELECT x.conversation_id, x.seq, x.created_at, to_tsvector(configuration::regconfig, searched(x.body))
  FROM unnest(docs_of, docs_seq, docs_at) AS i(c, s, t)
  JOIN messages x ON x.conversation_id = i.c AND x.seq = i.s AND x.created_at = i.t::timestamptz
  WHERE NOT x.deleted AND x.kind <> 'system' AND x.body <> ''
    AND (x.expires_at IS NULL OR x.expires_at > clock_timestamp() + interval '30 seconds');
  INSERT INTO mentions
  SELECT DISTINCT x.conversation_id, x.seq, n.id, x.received_at, x.created_at
  FROM unnest(names_of, names_seq, names_at, names) AS i(c, s, t, name)
  JOIN messages x ON x.conversation_id = i.c AND x.seq = i.s AND x.created_at = i.t::timestamptz
  JOIN names n ON n.name = i.name AND n.kind = 'user' AND n.retired_at IS NULL
  WHERE NOT x.deleted AND (x.expires_at IS NULL OR x.expires_at > clock_timestamp() + interval '30 seconds');
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

-- Newest first. @param only_in  0: in all one's conversations
CREATE FUNCTION search_messages(someone bigint, only_in bigint, configuration text, asked text, most bigint)
RETURNS SETOF found_message LANGUAGE plpgsql STABLE AS $$
DECLARE
  wanted tsquery := websearch_to_tsquery(configuration::regconfig, asked);
  mine   bigint[] := CASE WHEN only_in > 0 THEN ARRAY[only_in]
                          ELSE (SELECT array_agg(uc.conversation_id) FROM user_conversations uc WHERE uc.user_id = someone) END;
  hit    record;
  found  found_message;
  n      bigint := 0;
BEGIN
  IF mine IS NULL OR numnode(wanted) = 0 THEN RETURN; END IF;
  FOR hit IN SELECT d.conversation_id, d.seq, d.created_at FROM search_documents d
             WHERE d.words @@ wanted AND ARRAY[d.conversation_id] && mine
             ORDER BY d.created_at DESC, d.conversation_id, d.seq DESC LOOP
    FOR found IN SELECT * FROM found_one(someone, hit.conversation_id, hit.seq, hit.created_at, configuration::regconfig,
                                         wanted) LOOP
      RETURN NEXT found;
      n := n + 1;
    END LOOP;
    EXIT WHEN n >= most;
  END LOOP;
END $$;

-- Newest first. Those of one time come together: `before` their time leads behind all of them.
CREATE FUNCTION mentions_of(someone bigint, before timestamptz, most bigint)
RETURNS SETOF found_message LANGUAGE plpgsql STABLE AS $$
DECLARE
  hit    record;
  found  found_message;
  n      bigint := 0;
  oldest timestamptz := 'infinity';
BEGIN
  FOR hit IN SELECT m.* FROM mentions m WHERE m.user_id = someone AND m.said_at < COALESCE(before, 'infinity')
             ORDER BY m.user_id DESC, m.said_at DESC, m.conversation_id DESC, m.seq DESC LOOP
    EXIT WHEN n >= most AND hit.said_at < oldest;
    FOR found IN SELECT * FROM found_one(someone, hit.conversation_id, hit.seq, hit.created_at, 'simple', NULL) LOOP
      RETURN NEXT found;
      n := n + 1;
      oldest := hit.said_at;
    END LOOP;
  END LOOP;
END $$;

-- As before, and what was said is not found any more.
CREATE OR REPLACE FUNCTION do_msg_delete(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  bad  outcome := must_see(who, conversation, request);
  it   messages;
BEGIN
  SELECT x.* INTO it FROM messages x WHERE x.conversation_id = conversation AND x.seq = (request->>'seq')::bigint;
  IF it.deleted AND (bad).code = 'NOT_FOUND' THEN RETURN done(); END IF;
  IF bad IS NOT NULL THEN RETURN bad; END IF;
  IF it.kind = 'system'
     OR (it.sender_id <> who.user_id
         AND NOT (is_room(conversation) AND role_of(conversation, who.user_id) IN ('owner', 'admin'))) THEN
    RETURN refused('FORBIDDEN', 'for its sender, and for owners and admins of a room');
  END IF;
  UPDATE messages SET body = '', extra = NULL, edited_mentions = NULL, deleted = true
  WHERE conversation_id = conversation AND seq = it.seq AND created_at = it.created_at;
  DELETE FROM reactions r WHERE r.conversation_id = conversation AND r.seq = it.seq;
  DELETE FROM pins p WHERE p.conversation_id = conversation AND p.seq = it.seq;
  PERFORM forget_words(conversation, it.seq);
  UPDATE changes c SET event = NULL
  WHERE c.conversation_id = conversation AND c.seq = it.seq AND c.kind IN ('edited', 'reaction', 'pinned');
  PERFORM add_change(who, conversation, 'deleted', it.seq,
                     jsonb_build_object('deleted', jsonb_build_object('seq', it.seq)));
  RETURN done();
END $$;
