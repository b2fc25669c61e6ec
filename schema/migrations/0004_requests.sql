-- The frame of all requests (docs/adr/0006): who asks, what a request answers, what it changes.

-- Who asks, and which record of which spool it is.
CREATE TYPE asker AS (
  user_id      bigint,
  name         text,
  device       text,
  scope        int,
  origin_spool bigint,
  ingest_no    bigint,
  received_at  timestamptz,
  limits       jsonb    -- {"room_members": 100000, "text_bytes": 65536, "mentions": 64}
);
-- code '' is success; then `result` is the JSON form of the method's result.
CREATE TYPE outcome AS (
  code   text,
  detail text,
  result jsonb
);

-- What sync and events tell beside the messages themselves; one row for each rev that is no ordinary
-- message. A change of the members has a message of kind system with the same rev.
ALTER TABLE changes
  ADD COLUMN event        jsonb,
  ADD COLUMN also_to      bigint,  -- who is told although he is no member (any more)
  ADD COLUMN origin_spool bigint,
  ADD COLUMN ingest_no    bigint,
  ADD COLUMN answer       jsonb;   -- what the request was answered; in the first of its rows
CREATE INDEX changes_origin ON changes (origin_spool, ingest_no);

-- An offer to join. Told as an event; sync tells all that are open.
CREATE TABLE invitations (
  user_id         bigint NOT NULL,
  conversation_id bigint NOT NULL,
  invited_by      bigint NOT NULL,
  invited_at      timestamptz NOT NULL,
  origin_spool    bigint NOT NULL,
  ingest_no       bigint NOT NULL,
  PRIMARY KEY (user_id, conversation_id)
);
CREATE INDEX invitations_origin ON invitations (origin_spool, ingest_no);

-- In a conversation of two, what the other one allows is a role, so that storing a message needs to
-- look at nothing else: 'blocked' by him; 'stranger', as he hears from his contacts only.
ALTER TABLE members DROP CONSTRAINT members_role_check;
ALTER TABLE members
  ADD CONSTRAINT members_role_check CHECK (role IN ('owner', 'admin', 'member', 'readonly', 'blocked', 'stranger')),
  ADD COLUMN muted_until timestamptz,
  ADD COLUMN archived    boolean NOT NULL DEFAULT false;

ALTER TABLE conversations
  ADD COLUMN retention_days int,
  ADD COLUMN member_count   int NOT NULL DEFAULT 0,  -- of a room
  ADD COLUMN created_with   jsonb;  -- the request that made the room: the same one again is answered alike

UPDATE conversations c SET member_count = (SELECT count(*) FROM members m WHERE m.conversation_id = c.conversation_id)
WHERE kind = 'room';

-- One row for each stay. Who sees what is joined_seq < seq <= left_seq; who was there when something was said is
-- since_seq < seq <= left_seq. After the stay, what the cursors were.
ALTER TABLE membership_periods
  ADD COLUMN since_seq bigint,
  ADD COLUMN got_seq   bigint,
  ADD COLUMN read_seq  bigint;
UPDATE membership_periods SET since_seq = joined_seq;
ALTER TABLE membership_periods
  ALTER COLUMN since_seq SET NOT NULL,
  DROP CONSTRAINT membership_periods_pkey,
  ADD PRIMARY KEY (conversation_id, user_id, since_seq);

ALTER TABLE users
  ADD COLUMN display_name text NOT NULL DEFAULT '',
  ADD COLUMN about        text NOT NULL DEFAULT '',
  ADD COLUMN write_to_me  text NOT NULL DEFAULT 'everyone' CHECK (write_to_me IN ('everyone', 'contacts')),
  ADD COLUMN add_to_rooms text NOT NULL DEFAULT 'everyone' CHECK (add_to_rooms IN ('everyone', 'contacts')),
  ADD COLUMN last_seen_to text NOT NULL DEFAULT 'everyone' CHECK (last_seen_to IN ('everyone', 'contacts', 'nobody')),
  ADD COLUMN searchable   boolean NOT NULL DEFAULT true,
  ADD COLUMN last_seen_at timestamptz;
ALTER TABLE devices ADD COLUMN last_seen_at timestamptz;

-- One row for each side; 'friend' in both, or 'requested' here and 'asked_me' there.
CREATE TABLE contacts (
  user_id  bigint NOT NULL,
  other_id bigint NOT NULL,
  state    text NOT NULL CHECK (state IN ('friend', 'requested', 'asked_me')),
  PRIMARY KEY (user_id, other_id)
);
CREATE TABLE blocks (
  user_id    bigint NOT NULL,
  blocked_id bigint NOT NULL,
  PRIMARY KEY (user_id, blocked_id)
);
CREATE INDEX blocks_blocked ON blocks (blocked_id);

CREATE FUNCTION done(result jsonb DEFAULT '{}') RETURNS outcome
LANGUAGE sql IMMUTABLE AS $$ SELECT ('', '', result)::outcome $$;
CREATE FUNCTION refused(code text, detail text) RETURNS outcome
LANGUAGE sql IMMUTABLE AS $$ SELECT (code, detail, '{}'::jsonb)::outcome $$;

-- A time as the schema's JSON has it.
CREATE FUNCTION json_time(t timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$ SELECT to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;

CREATE FUNCTION texts(list jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$ SELECT COALESCE(array_agg(t ORDER BY n), '{}') FROM jsonb_array_elements_text(list) WITH ORDINALITY AS x(t, n) $$;

-- The next rev of a conversation, whose head the caller's transaction has locked, for a change.
-- `what`: the event, e.g. {"joined": {"user": "bob", "by": "alice"}}. Gives the rev.
CREATE FUNCTION add_change(who asker, conversation bigint, change_kind text, about_seq bigint, what jsonb,
                           told bigint DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  next_rev bigint;
BEGIN
  UPDATE conversation_heads SET last_rev = last_rev + 1 WHERE conversation_id = conversation
  RETURNING last_rev INTO next_rev;
  INSERT INTO changes (conversation_id, rev, seq, kind, user_id, event, also_to, origin_spool, ingest_no)
  VALUES (conversation, next_rev, about_seq, change_kind, who.user_id, what, told, who.origin_spool, who.ingest_no);
  RETURN next_rev;
END $$;

-- The same with a message of kind system: "alice added bob". Gives the seq.
CREATE FUNCTION add_system_message(who asker, conversation bigint, change_kind text, words text, what jsonb,
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
  INSERT INTO changes (conversation_id, rev, seq, kind, user_id, event, also_to, origin_spool, ingest_no)
  VALUES (conversation, head.last_rev, head.last_seq, change_kind, who.user_id, what, told, who.origin_spool,
          who.ingest_no);
  RETURN head.last_seq;
END $$;

-- Carries out one request. No row: another worker owns the lane by now, and nothing was done. `in_lane` is below 0 for
-- what belongs to no conversation. Of a request that changed something, and comes again after a crash or without an
-- answer to its COMMIT, the first answer is given again.
CREATE FUNCTION carry_out(in_lane int, epoch bigint, method text, who asker, conversation bigint, request jsonb)
RETURNS SETOF outcome LANGUAGE plpgsql AS $$
DECLARE
  given  outcome;
BEGIN
  IF in_lane >= 0 THEN
    IF NOT EXISTS (SELECT FROM lanes WHERE lane = in_lane AND owner_epoch = epoch) THEN RETURN; END IF;
    SELECT '', '', c.answer INTO given FROM changes c
    WHERE c.origin_spool = who.origin_spool AND c.ingest_no = who.ingest_no AND c.answer IS NOT NULL;
    IF FOUND THEN
      RETURN NEXT given;
      RETURN;
    END IF;
  END IF;
  IF NOT EXISTS (SELECT FROM users WHERE user_id = who.user_id AND name = who.name AND disabled_at IS NULL) THEN
    RETURN NEXT refused('FORBIDDEN', 'no such user');
    RETURN;
  END IF;
  EXECUTE format('SELECT o.* FROM %I($1, $2, $3) AS o', 'do_' || replace(method, '.', '_'))
  INTO given USING who, conversation, request;
  IF in_lane >= 0 AND given.code = '' THEN
    UPDATE changes SET answer = given.result
    WHERE (conversation_id, rev) = (SELECT c.conversation_id, c.rev FROM changes c
                                    WHERE c.origin_spool = who.origin_spool AND c.ingest_no = who.ingest_no
                                    ORDER BY c.rev LIMIT 1);
  END IF;
  RETURN NEXT given;
END $$;
