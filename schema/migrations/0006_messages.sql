-- What can be done to messages after they were stored, and who holds them.

ALTER TABLE messages ADD COLUMN edited_mentions text[];  -- instead of those in `extra`, once it was edited

CREATE TABLE reactions (
  conversation_id bigint NOT NULL,
  seq             bigint NOT NULL,
  user_id         bigint NOT NULL,
  emoji           text NOT NULL,
  PRIMARY KEY (conversation_id, seq, user_id, emoji)
);
CREATE TABLE pins (
  conversation_id bigint NOT NULL,
  seq             bigint NOT NULL,
  pinned_by       bigint NOT NULL,
  PRIMARY KEY (conversation_id, seq)
);

CREATE FUNCTION is_room(conversation bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$ SELECT kind = 'room' FROM conversations WHERE conversation_id = conversation $$;

-- A message that a member may see, with its contents. Null: there is none, not (any more) for him.
CREATE FUNCTION visible_message(conversation bigint, someone bigint, wanted bigint) RETURNS messages
LANGUAGE sql STABLE AS $$
  SELECT x FROM messages x
  WHERE x.conversation_id = conversation AND x.seq = wanted AND NOT x.deleted
    AND (x.expires_at IS NULL OR x.expires_at > clock_timestamp())
    AND EXISTS (SELECT FROM membership_periods p WHERE p.conversation_id = conversation AND p.user_id = someone
                AND x.seq > p.joined_seq AND (p.left_seq IS NULL OR x.seq <= p.left_seq))
$$;

-- Null: he may do something to this message.
CREATE FUNCTION must_see(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN role_of(conversation, who.user_id) IS NULL THEN refused('NOT_MEMBER', 'you are not in there')
              WHEN role_of(conversation, who.user_id) = 'blocked' THEN refused('BLOCKED', 'he does not want to hear from you')
              WHEN role_of(conversation, who.user_id) = 'stranger' THEN refused('FORBIDDEN', 'he hears from contacts only')
              WHEN (visible_message(conversation, who.user_id, (request->>'seq')::bigint)).seq IS NULL
              THEN refused('NOT_FOUND', 'there is no such message') END
$$;

CREATE FUNCTION do_msg_edit(who asker, conversation bigint, request jsonb) RETURNS outcome
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
  WHERE conversation_id = conversation AND seq = it.seq AND created_at = it.created_at;
  PERFORM add_change(who, conversation, 'edited', it.seq,
                     jsonb_build_object('edited', jsonb_build_object('seq', it.seq, 'text', said)));
  RETURN done();
END $$;

-- The row stays: seq has no gaps, and a repeat of its request id is still known. The words are gone from
-- what was told of edits, too.
CREATE FUNCTION do_msg_delete(who asker, conversation bigint, request jsonb) RETURNS outcome
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
  UPDATE changes c SET event = NULL
  WHERE c.conversation_id = conversation AND c.seq = it.seq AND c.kind IN ('edited', 'reaction', 'pinned');
  PERFORM add_change(who, conversation, 'deleted', it.seq,
                     jsonb_build_object('deleted', jsonb_build_object('seq', it.seq)));
  RETURN done();
END $$;
CREATE INDEX changes_seq ON changes (conversation_id, seq) WHERE seq IS NOT NULL;

CREATE FUNCTION do_msg_react(who asker, conversation bigint, request jsonb) RETURNS outcome
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
  PERFORM add_change(who, conversation, 'reaction', about,
                     jsonb_build_object('reaction', jsonb_build_object('seq', about, 'user', who.name, 'emoji', sign,
                                                                       'removed', removed)));
  RETURN done();
END $$;

CREATE FUNCTION do_msg_pin(who asker, conversation bigint, request jsonb) RETURNS outcome
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
  IF removed THEN
    DELETE FROM pins p WHERE p.conversation_id = conversation AND p.seq = about;
  ELSE
    INSERT INTO pins VALUES (conversation, about, who.user_id) ON CONFLICT DO NOTHING;
  END IF;
  IF NOT FOUND THEN RETURN done(); END IF;
  PERFORM add_change(who, conversation, 'pinned', about,
                     jsonb_build_object('pinned', jsonb_build_object('seq', about, 'removed', removed)));
  RETURN done();
END $$;

-- Everybody who was there when it was said, but for its sender: by his cursors of now, or of when he left.
CREATE FUNCTION do_receipts(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql STABLE AS $$
DECLARE
  wanted bigint := (request->>'seq')::bigint;
  it    messages;
BEGIN
  IF role_of(conversation, who.user_id) IS NULL THEN RETURN refused('NOT_MEMBER', 'you are not in there'); END IF;
  SELECT x.* INTO it FROM messages x
  WHERE x.conversation_id = conversation AND x.seq = wanted
    AND EXISTS (SELECT FROM membership_periods p WHERE p.conversation_id = conversation AND p.user_id = who.user_id
                AND wanted > p.joined_seq AND (p.left_seq IS NULL OR wanted <= p.left_seq));
  IF NOT FOUND THEN RETURN refused('NOT_FOUND', 'there is no such message'); END IF;
  RETURN (
    SELECT done(jsonb_build_object(
      'got', COALESCE(jsonb_agg(name ORDER BY name) FILTER (WHERE got AND NOT has_read), '[]'),
      'read', COALESCE(jsonb_agg(name ORDER BY name) FILTER (WHERE has_read), '[]'),
      'pending', COALESCE(jsonb_agg(name ORDER BY name) FILTER (WHERE NOT got AND NOT has_read), '[]')))
    FROM (
      SELECT u.name, bool_or(COALESCE(p.got_seq, m.got_seq) >= wanted) AS got,
             bool_or(COALESCE(p.read_seq, m.read_seq) >= wanted) AS has_read
      FROM membership_periods p
      JOIN users u ON u.user_id = p.user_id
      LEFT JOIN members m ON p.left_seq IS NULL AND m.conversation_id = conversation AND m.user_id = p.user_id
      WHERE p.conversation_id = conversation AND p.user_id <> it.sender_id
        AND wanted > p.since_seq AND (p.left_seq IS NULL OR wanted <= p.left_seq)
      GROUP BY u.name) AS there);
END $$;
