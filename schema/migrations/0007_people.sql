-- Profiles, contacts, blocks; and what one does with one's own conversations.

-- What the owner of `side` lets the other one of a conversation of two do.
CREATE FUNCTION direct_role(side bigint, other bigint) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN side = other THEN 'member'
              WHEN EXISTS (SELECT FROM blocks b WHERE b.user_id = side AND b.blocked_id = other) THEN 'blocked'
              WHEN u.write_to_me = 'contacts' AND NOT are_contacts(side, other) THEN 'stranger'
              ELSE 'member' END
  FROM users u WHERE u.user_id = side
$$;

-- In the conversations of two that there are with `side`, after something that direct_role looks at has changed: with
-- one other, or with all.
CREATE FUNCTION renew_direct_role(conversation bigint, side bigint, other bigint) RETURNS void
LANGUAGE sql AS $$
  WITH renewed AS (
    UPDATE members m SET role = direct_role(side, other)
    WHERE m.conversation_id = conversation AND m.user_id = other AND m.user_id <> side
      AND m.role <> direct_role(side, other)
    RETURNING m.conversation_id)
  UPDATE conversation_heads h SET members_version = members_version + 1
  FROM renewed WHERE h.conversation_id = renewed.conversation_id
$$;
CREATE FUNCTION renew_direct_roles(side bigint, only_with bigint) RETURNS void
LANGUAGE sql AS $$
  SELECT renew_direct_role(p.conversation_id, side, only_with) FROM direct_pairs p
  WHERE p.user_lo = LEAST(side, only_with) AND p.user_hi = GREATEST(side, only_with)
$$;
CREATE FUNCTION renew_direct_roles(side bigint) RETURNS void
LANGUAGE sql AS $$
  SELECT renew_direct_role(p.conversation_id, side, p.user_hi) FROM direct_pairs p WHERE p.user_lo = side;
  SELECT renew_direct_role(p.conversation_id, side, p.user_lo) FROM direct_pairs p WHERE p.user_hi = side;
$$;
CREATE INDEX direct_pairs_hi ON direct_pairs (user_hi);

CREATE FUNCTION profile_json(someone bigint) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('display_name', display_name, 'about', about, 'write_to_me', write_to_me,
                            'add_to_rooms', add_to_rooms, 'last_seen_to', last_seen_to, 'searchable', searchable)
  FROM users WHERE user_id = someone
$$;

CREATE FUNCTION do_me_get(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE sql STABLE AS $$ SELECT done(profile_json(who.user_id)) $$;

CREATE FUNCTION do_me_set(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  before text := (SELECT write_to_me FROM users WHERE user_id = who.user_id);
BEGIN
  IF octet_length(request->>'display_name') > 256 OR octet_length(request->>'about') > 4096 THEN
    RETURN refused('TOO_LARGE', 'display_name has at most 256 bytes, about 4096');
  END IF;
  IF request->>'write_to_me' NOT IN ('everyone', 'contacts') OR request->>'add_to_rooms' NOT IN ('everyone', 'contacts')
     OR request->>'last_seen_to' NOT IN ('everyone', 'contacts', 'nobody') THEN
    RETURN refused('BAD_PAYLOAD', 'everyone or contacts; last_seen_to also nobody');
  END IF;
  UPDATE users SET
    display_name = COALESCE(request->>'display_name', display_name), about = COALESCE(request->>'about', about),
    write_to_me = COALESCE(request->>'write_to_me', write_to_me),
    add_to_rooms = COALESCE(request->>'add_to_rooms', add_to_rooms),
    last_seen_to = COALESCE(request->>'last_seen_to', last_seen_to),
    searchable = COALESCE((request->>'searchable')::boolean, searchable)
  WHERE user_id = who.user_id;
  IF request->>'write_to_me' <> before THEN PERFORM renew_direct_roles(who.user_id); END IF;
  RETURN done(profile_json(who.user_id));
END $$;

-- By the beginning of the name or of the display name; those who do not want it are found by their whole name only.
-- Ranges, not LIKE: its pattern is a parameter here, and no index helps with that.
CREATE INDEX users_name ON users (name);
CREATE INDEX users_display_name ON users (lower(display_name) COLLATE "C") WHERE display_name <> '' AND searchable;
CREATE FUNCTION do_user_search(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql STABLE AS $$
DECLARE
  wanted text := lower(btrim(request->>'query'));
  beyond text := wanted || chr(1114111);
  most   int := LEAST(GREATEST(COALESCE((request->>'limit')::bigint, 20), 1), 100)::int;
BEGIN
  IF wanted = '' THEN RETURN refused('BAD_PAYLOAD', 'query is empty'); END IF;
  RETURN (
    SELECT done(jsonb_build_object('users', COALESCE(
      jsonb_agg(jsonb_build_object('name', name, 'display_name', display_name) ORDER BY name), '[]')))
    FROM (SELECT u.name, u.display_name
          FROM (SELECT user_id FROM users WHERE name = wanted
                UNION
                (SELECT user_id FROM users
                 WHERE name >= wanted AND name < beyond AND searchable ORDER BY name LIMIT 2 * most)
                UNION
                (SELECT user_id FROM users
                 WHERE lower(display_name) COLLATE "C" >= wanted AND lower(display_name) COLLATE "C" < beyond
                   AND display_name <> '' AND searchable ORDER BY lower(display_name) COLLATE "C" LIMIT 2 * most)) AS near
          JOIN users u ON u.user_id = near.user_id
          WHERE u.disabled_at IS NULL
            AND NOT EXISTS (SELECT FROM blocks b WHERE b.user_id = u.user_id AND b.blocked_id = who.user_id)
          ORDER BY u.name LIMIT most) AS found);
END $$;

-- ---- contacts ----

CREATE FUNCTION set_contact(one bigint, other bigint, new_state text) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO contacts (user_id, other_id, state) VALUES (one, other, new_state)
  ON CONFLICT (user_id, other_id) DO UPDATE SET state = EXCLUDED.state
$$;
CREATE FUNCTION make_friends(one bigint, other bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_contact(one, other, 'friend'), set_contact(other, one, 'friend');
  PERFORM renew_direct_roles(one, other), renew_direct_roles(other, one);
END $$;
CREATE FUNCTION unmake_contact(one bigint, other bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM contacts WHERE (user_id, other_id) IN ((one, other), (other, one));
  PERFORM renew_direct_roles(one, other), renew_direct_roles(other, one);
END $$;

-- Two who change something between them at the same time do it one after the other.
CREATE FUNCTION lock_pair(one bigint, other bigint) RETURNS void
LANGUAGE sql AS $$
  SELECT pg_advisory_xact_lock(hashtextextended(format('parley/pair/%s/%s', LEAST(one, other), GREATEST(one, other)), 0))
$$;

-- Null: there is somebody else of that name; then the pair is locked.
CREATE FUNCTION must_be_other(who asker, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
BEGIN
  IF user_named(request->>'user') IS NULL THEN RETURN refused('USER_NOT_FOUND', 'there is no such user'); END IF;
  IF user_named(request->>'user') = who.user_id THEN RETURN refused('FORBIDDEN', 'that is you'); END IF;
  PERFORM lock_pair(who.user_id, user_named(request->>'user'));
  RETURN NULL;
END $$;

-- Who asks somebody that has asked him has accepted. One who is blocked is not told so.
CREATE FUNCTION do_contact_request(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  bad   outcome := must_be_other(who, request);
  other bigint := user_named(request->>'user');
  is_now text := (SELECT state FROM contacts WHERE user_id = who.user_id AND other_id = other);
BEGIN
  IF bad IS NOT NULL THEN RETURN bad; END IF;
  IF is_now = 'asked_me' THEN
    PERFORM make_friends(who.user_id, other);
  ELSIF is_now IS DISTINCT FROM 'friend' THEN
    PERFORM set_contact(who.user_id, other, 'requested');
    IF NOT EXISTS (SELECT FROM blocks WHERE user_id = other AND blocked_id = who.user_id) THEN
      PERFORM set_contact(other, who.user_id, 'asked_me');
    END IF;
  END IF;
  RETURN done();
END $$;

CREATE FUNCTION do_contact_accept(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  bad   outcome := must_be_other(who, request);
  other bigint := user_named(request->>'user');
  is_now text := (SELECT state FROM contacts WHERE user_id = who.user_id AND other_id = other);
BEGIN
  IF bad IS NOT NULL THEN RETURN bad; END IF;
  IF is_now = 'friend' THEN RETURN done(); END IF;
  IF is_now IS DISTINCT FROM 'asked_me' THEN RETURN refused('NOT_FOUND', 'he has not asked'); END IF;
  PERFORM make_friends(who.user_id, other);
  RETURN done();
END $$;

CREATE FUNCTION do_contact_decline(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  bad   outcome := must_be_other(who, request);
  other bigint := user_named(request->>'user');
BEGIN
  IF bad IS NOT NULL THEN RETURN bad; END IF;
  IF EXISTS (SELECT FROM contacts WHERE user_id = who.user_id AND other_id = other AND state = 'asked_me') THEN
    PERFORM unmake_contact(who.user_id, other);
  END IF;
  RETURN done();
END $$;

CREATE FUNCTION do_contact_remove(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  bad   outcome := must_be_other(who, request);
BEGIN
  IF bad IS NOT NULL THEN RETURN bad; END IF;
  PERFORM unmake_contact(who.user_id, user_named(request->>'user'));
  RETURN done();
END $$;

CREATE FUNCTION do_contact_list(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE sql STABLE AS $$
  SELECT done(jsonb_build_object('contacts', COALESCE(
    jsonb_agg(jsonb_build_object('user', u.name, 'state', c.state) ORDER BY u.name), '[]')))
  FROM contacts c JOIN users u ON u.user_id = c.other_id WHERE c.user_id = who.user_id
$$;

-- ---- blocks ----

CREATE FUNCTION do_block_add(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  bad   outcome := must_be_other(who, request);
  other bigint := user_named(request->>'user');
BEGIN
  IF bad IS NOT NULL THEN RETURN bad; END IF;
  INSERT INTO blocks VALUES (who.user_id, other) ON CONFLICT DO NOTHING;
  PERFORM unmake_contact(who.user_id, other);
  RETURN done();
END $$;

CREATE FUNCTION do_block_remove(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  bad   outcome := must_be_other(who, request);
  other bigint := user_named(request->>'user');
BEGIN
  IF bad IS NOT NULL THEN RETURN bad; END IF;
  DELETE FROM blocks WHERE user_id = who.user_id AND blocked_id = other;
  PERFORM renew_direct_roles(who.user_id, other);
  RETURN done();
END $$;

CREATE FUNCTION do_block_list(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE sql STABLE AS $$
  SELECT done(jsonb_build_object('users', COALESCE(jsonb_agg(u.name ORDER BY u.name), '[]')))
  FROM blocks b JOIN users u ON u.user_id = b.blocked_id WHERE b.user_id = who.user_id
$$;

-- ---- one's own conversations ----

CREATE FUNCTION do_conv_mute(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE members SET muted_until = (request->>'muted_until')::timestamptz
  WHERE conversation_id = conversation AND user_id = who.user_id;
  IF NOT FOUND THEN RETURN refused('NOT_MEMBER', 'you are not in there'); END IF;
  RETURN done();
END $$;

CREATE FUNCTION do_conv_archive(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE members SET archived = (request->>'archived')::boolean
  WHERE conversation_id = conversation AND user_id = who.user_id;
  IF NOT FOUND THEN RETURN refused('NOT_MEMBER', 'you are not in there'); END IF;
  RETURN done();
END $$;

-- ---- who is there: the worker adds who is online ----

-- A room, or a conversation of two in which something was said and both may write.
CREATE FUNCTION share_a_conversation(one bigint, other bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM direct_pairs p
                 JOIN conversation_heads h ON h.conversation_id = p.conversation_id AND h.last_seq > 0
                 WHERE p.user_lo = LEAST(one, other) AND p.user_hi = GREATEST(one, other)
                   AND role_of(p.conversation_id, one) = 'member')
      OR EXISTS (SELECT FROM user_conversations a
                 JOIN conversations c ON c.conversation_id = a.conversation_id AND c.kind = 'room'
                 JOIN members m ON m.conversation_id = a.conversation_id AND m.user_id = other WHERE a.user_id = one)
$$;

-- Whether `viewer` may know when `someone` is or was there.
CREATE FUNCTION may_see_presence(viewer bigint, someone bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT viewer = someone
      OR (u.last_seen_to <> 'nobody'
          AND NOT EXISTS (SELECT FROM blocks b WHERE b.user_id = someone AND b.blocked_id = viewer)
          AND (are_contacts(someone, viewer)
               OR (u.last_seen_to = 'everyone' AND share_a_conversation(viewer, someone))))
  FROM users u WHERE u.user_id = someone
$$;

-- Those whom one may not see are left out.
CREATE FUNCTION do_presence_get(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF jsonb_array_length(request->'users') > 200 THEN RETURN refused('TOO_LARGE', 'at most 200 users at once'); END IF;
  RETURN (
    SELECT done(jsonb_build_object('users', COALESCE(
      jsonb_agg(jsonb_strip_nulls(jsonb_build_object('user', u.name, 'last_seen', json_time(u.last_seen_at)))
                ORDER BY u.name), '[]')))
    FROM (SELECT DISTINCT user_named(n) AS id FROM unnest(texts(request->'users')) AS n) AS asked
    JOIN users u ON u.user_id = asked.id
    WHERE may_see_presence(who.user_id, u.user_id));
END $$;

CREATE FUNCTION do_device_list(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE sql STABLE AS $$
  SELECT done(jsonb_build_object('devices', COALESCE(
    jsonb_agg(jsonb_strip_nulls(jsonb_build_object('device', device, 'confirms', confirms,
                                                   'last_seen', json_time(last_seen_at))) ORDER BY device), '[]')))
  FROM devices WHERE user_id = who.user_id
$$;
