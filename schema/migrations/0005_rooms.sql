-- Rooms: who may do what, and what is told of it (docs/protocol.md, "Requests").

CREATE FUNCTION role_of(conversation bigint, someone bigint) RETURNS text
LANGUAGE sql STABLE AS $$ SELECT role FROM members WHERE conversation_id = conversation AND user_id = someone $$;

-- Null: there is nobody of this name.
CREATE FUNCTION user_named(wanted text) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT n.id FROM names n WHERE n.name = wanted AND n.kind = 'user' AND n.retired_at IS NULL
$$;
CREATE FUNCTION name_of(someone bigint) RETURNS text
LANGUAGE sql STABLE AS $$ SELECT name FROM users WHERE user_id = someone $$;

CREATE FUNCTION are_contacts(one bigint, other bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM contacts WHERE user_id = one AND other_id = other AND state = 'friend')
$$;

-- As one of its members, or somebody invited, sees it.
CREATE FUNCTION room_json(conversation bigint, for_whom bigint) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
           'room', c.name, 'title', c.title, 'topic', c.topic, 'history', c.history, 'join', c.join_rule,
           'role', COALESCE(role_of(conversation, for_whom), ''),
           'member_count', c.member_count,
           'created_time', json_time(c.created_at))
  FROM conversations c WHERE c.conversation_id = conversation
$$;

-- Makes a user a member. Nothing old is unread to him, nor sent to his devices: it waits in `history`, if the
-- room's rule lets him see it. The caller has locked the head and raises members_version.
CREATE FUNCTION enter_room(conversation bigint, someone bigint, as_role text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  here bigint := (SELECT last_seq FROM conversation_heads WHERE conversation_id = conversation);
  sees_all boolean := (SELECT history = 'all' FROM conversations WHERE conversation_id = conversation);
BEGIN
  INSERT INTO members (conversation_id, user_id, got_seq, read_seq, role)
  VALUES (conversation, someone, here, here, as_role);
  UPDATE conversations SET member_count = member_count + 1 WHERE conversation_id = conversation;
  INSERT INTO membership_periods (conversation_id, user_id, joined_seq, since_seq)
  VALUES (conversation, someone, CASE WHEN sees_all THEN 0 ELSE here END, here)
  ON CONFLICT (conversation_id, user_id, since_seq) DO UPDATE SET left_seq = NULL, got_seq = NULL, read_seq = NULL;
  INSERT INTO user_conversations (user_id, conversation_id) VALUES (someone, conversation) ON CONFLICT DO NOTHING;
  INSERT INTO device_marks (user_id, device, conversation_id, got_seq)
  SELECT d.user_id, d.device, conversation, here FROM devices d WHERE d.user_id = someone AND here > 0
  ON CONFLICT (user_id, device, conversation_id) DO UPDATE
  SET got_seq = GREATEST(device_marks.got_seq, EXCLUDED.got_seq);
  DELETE FROM invitations WHERE user_id = someone AND conversation_id = conversation;
END $$;

-- The opposite. What is stored from here on is not for him.
CREATE FUNCTION quit_room(conversation bigint, someone bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  here bigint := (SELECT last_seq FROM conversation_heads WHERE conversation_id = conversation);
  was  members;
BEGIN
  DELETE FROM members WHERE conversation_id = conversation AND user_id = someone RETURNING * INTO was;
  UPDATE conversations SET member_count = member_count - 1 WHERE conversation_id = conversation;
  UPDATE membership_periods SET left_seq = here, got_seq = was.got_seq, read_seq = was.read_seq
  WHERE conversation_id = conversation AND user_id = someone AND left_seq IS NULL;
  DELETE FROM user_conversations WHERE user_id = someone AND conversation_id = conversation;
  DELETE FROM device_marks WHERE user_id = someone AND conversation_id = conversation;
END $$;

CREATE FUNCTION members_changed(conversation bigint) RETURNS void
LANGUAGE sql AS $$
  UPDATE conversation_heads SET members_version = members_version + 1 WHERE conversation_id = conversation
$$;

-- Why `who` may not bring this user into a room; empty: he may.
CREATE FUNCTION add_refusal(who asker, someone bigint) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN EXISTS (SELECT FROM blocks b WHERE b.user_id = someone AND b.blocked_id = who.user_id) THEN 'BLOCKED'
              WHEN someone <> who.user_id AND u.add_to_rooms = 'contacts' AND NOT are_contacts(someone, who.user_id)
              THEN 'FORBIDDEN'
              ELSE '' END
  FROM users u WHERE u.user_id = someone
$$;

CREATE FUNCTION room_size(conversation bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$ SELECT member_count FROM conversations WHERE conversation_id = conversation $$;

CREATE FUNCTION offer_room(who asker, conversation bigint, someone bigint) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO invitations (user_id, conversation_id, invited_by, invited_at, origin_spool, ingest_no)
  VALUES (someone, conversation, who.user_id, statement_timestamp(), who.origin_spool, who.ingest_no)
  ON CONFLICT (user_id, conversation_id) DO UPDATE
  SET invited_by = EXCLUDED.invited_by, invited_at = EXCLUDED.invited_at, origin_spool = EXCLUDED.origin_spool,
      ingest_no = EXCLUDED.ingest_no
$$;

-- Null: as it should be.
CREATE FUNCTION check_room_texts(request jsonb) RETURNS outcome
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN octet_length(request->>'title') > 1024 THEN refused('TOO_LARGE', 'a title has at most 1024 bytes')
              WHEN octet_length(request->>'topic') > 8192 THEN refused('TOO_LARGE', 'a topic has at most 8192 bytes')
              WHEN request->>'history' NOT IN ('', 'all', 'joined') THEN refused('BAD_PAYLOAD', 'history is all or joined')
              WHEN request->>'join' NOT IN ('', 'invite', 'open') THEN refused('BAD_PAYLOAD', 'join is invite or open')
         END
$$;

-- What was made before, by the same user from the same request, is not made again.
CREATE FUNCTION do_room_create(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  bad      outcome := check_room_texts(request);
  room     text := request->>'room';
  wanted   text[] := texts(request->'members');
  made     conversations;
  member   text;
  added    bigint;
BEGIN
  IF bad IS NOT NULL THEN RETURN bad; END IF;
  IF room !~ '^[a-z0-9][a-z0-9_-]{0,31}$' THEN
    RETURN refused('BAD_NAME', 'a name is 1 to 32 of a-z 0-9 _ -, beginning with a letter or digit');
  END IF;
  IF cardinality(wanted) > 1000 THEN
    RETURN refused('TOO_LARGE', 'at most 1000 members at once: add the others then');
  END IF;
  IF cardinality(wanted) >= (who.limits->>'room_members')::int THEN
    RETURN refused('ROOM_FULL', 'a room has at most ' || (who.limits->>'room_members') || ' members');
  END IF;
  FOREACH member IN ARRAY wanted LOOP
    IF user_named(member) IS NULL THEN RETURN refused('USER_NOT_FOUND', 'there is no user ' || member); END IF;
  END LOOP;
  INSERT INTO names (name, kind, id) VALUES (room, 'room', nextval('conversation_ids')) ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    SELECT c.* INTO made FROM names n JOIN conversations c ON n.kind = 'room' AND c.conversation_id = n.id
    WHERE n.name = room AND n.retired_at IS NULL AND c.created_by = who.user_id AND c.created_with = request;
    IF NOT FOUND OR role_of(made.conversation_id, who.user_id) IS NULL THEN
      RETURN refused('NAME_TAKEN', 'this name is taken');
    END IF;
    RETURN done(jsonb_build_object('room', room_json(made.conversation_id, who.user_id)));
  END IF;
  INSERT INTO conversations (conversation_id, kind, name, title, topic, history, join_rule, created_by, created_with)
  SELECT n.id, 'room', room, request->>'title', request->>'topic', COALESCE(NULLIF(request->>'history', ''), 'all'),
         COALESCE(NULLIF(request->>'join', ''), 'invite'), who.user_id, request
  FROM names n WHERE n.name = room RETURNING * INTO made;
  INSERT INTO conversation_heads (conversation_id) VALUES (made.conversation_id);
  PERFORM enter_room(made.conversation_id, who.user_id, 'owner');
  FOR added IN SELECT DISTINCT user_named(w) FROM unnest(wanted) AS w LOOP
    CONTINUE WHEN added = who.user_id;
    IF add_refusal(who, added) = '' THEN
      PERFORM enter_room(made.conversation_id, added, 'member');
    ELSIF add_refusal(who, added) = 'FORBIDDEN' THEN
      PERFORM offer_room(who, made.conversation_id, added);  -- who wants to be asked is asked
    END IF;
  END LOOP;
  PERFORM add_change(who, made.conversation_id, 'room', NULL,
                     jsonb_build_object('room', room_json(made.conversation_id, NULL)));
  RETURN done(jsonb_build_object('room', room_json(made.conversation_id, who.user_id)));
END $$;

-- One answer for each name of a list: `each` says what is wrong with one, or does it and gives ''.
CREATE FUNCTION for_each_user(who asker, conversation bigint, request jsonb, each text) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  wanted   text[] := texts(request->'users');
  one      text;
  someone  bigint;
  code     text;
  good     jsonb := '[]';
  bad      jsonb := '[]';
BEGIN
  IF cardinality(wanted) = 0 THEN RETURN refused('BAD_PAYLOAD', 'users is empty'); END IF;
  IF cardinality(wanted) > 1000 THEN RETURN refused('TOO_LARGE', 'at most 1000 users at once'); END IF;
  FOR one IN SELECT u FROM unnest(wanted) WITH ORDINALITY AS x(u, n) GROUP BY u ORDER BY min(n) LOOP
    someone := user_named(one);
    IF someone IS NULL THEN
      code := 'USER_NOT_FOUND';
    ELSE
      EXECUTE format('SELECT %I($1, $2, $3)', each) INTO code USING who, conversation, someone;
    END IF;
    IF code = '' THEN
      good := good || to_jsonb(one);
    ELSE
      bad := bad || jsonb_build_object('user', one, 'code', code);
    END IF;
  END LOOP;
  RETURN done(jsonb_build_object('done', good, 'refused', bad));
END $$;

-- Null: he is an owner or an admin.
CREATE FUNCTION must_lead(who asker, conversation bigint) RETURNS outcome
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN role_of(conversation, who.user_id) IS NULL THEN refused('NOT_MEMBER', 'you are not in this room')
              WHEN role_of(conversation, who.user_id) NOT IN ('owner', 'admin')
              THEN refused('FORBIDDEN', 'for owners and admins of the room') END
$$;

CREATE FUNCTION add_one(who asker, conversation bigint, someone bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  refusal text := add_refusal(who, someone);
BEGIN
  IF role_of(conversation, someone) IS NOT NULL THEN RETURN ''; END IF;
  IF refusal <> '' THEN RETURN refusal; END IF;
  IF room_size(conversation) >= (who.limits->>'room_members')::bigint THEN RETURN 'ROOM_FULL'; END IF;
  PERFORM enter_room(conversation, someone, 'member');
  PERFORM members_changed(conversation);
  PERFORM add_system_message(who, conversation, 'joined', who.name || ' added ' || name_of(someone),
                             jsonb_build_object('joined', jsonb_build_object('user', name_of(someone), 'by', who.name)));
  RETURN '';
END $$;

CREATE FUNCTION do_room_add(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE sql AS $$
  SELECT COALESCE(must_lead(who, conversation), for_each_user(who, conversation, request, 'add_one'))
$$;

CREATE FUNCTION invite_one(who asker, conversation bigint, someone bigint) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
  IF role_of(conversation, someone) IS NOT NULL THEN RETURN ''; END IF;
  IF EXISTS (SELECT FROM blocks WHERE user_id = someone AND blocked_id = who.user_id) THEN RETURN 'BLOCKED'; END IF;
  PERFORM offer_room(who, conversation, someone);
  RETURN '';
END $$;

CREATE FUNCTION do_room_invite(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE sql AS $$
  SELECT COALESCE(must_lead(who, conversation), for_each_user(who, conversation, request, 'invite_one'))
$$;

CREATE FUNCTION do_room_join(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
BEGIN
  IF role_of(conversation, who.user_id) IS NOT NULL THEN RETURN done(); END IF;
  IF NOT EXISTS (SELECT FROM invitations i WHERE i.user_id = who.user_id AND i.conversation_id = conversation)
     AND NOT EXISTS (SELECT FROM conversations c WHERE c.conversation_id = conversation AND c.join_rule = 'open') THEN
    RETURN refused('NOT_MEMBER', 'one has to be invited into this room');
  END IF;
  IF room_size(conversation) >= (who.limits->>'room_members')::bigint THEN
    RETURN refused('ROOM_FULL', 'the room is full');
  END IF;
  -- Whom everybody has left has no owner any more.
  PERFORM enter_room(conversation, who.user_id, CASE WHEN room_size(conversation) = 0 THEN 'owner' ELSE 'member' END);
  PERFORM members_changed(conversation);
  PERFORM add_system_message(who, conversation, 'joined', who.name || ' joined',
                             jsonb_build_object('joined', jsonb_build_object('user', who.name, 'by', who.name)));
  RETURN done();
END $$;

-- Whether the room would be left without an owner.
CREATE FUNCTION is_last_owner(conversation bigint, someone bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT role_of(conversation, someone) = 'owner'
         AND NOT EXISTS (SELECT FROM members m WHERE m.conversation_id = conversation AND m.role = 'owner'
                                                 AND m.user_id <> someone)
$$;

-- He is told himself, too: on his other devices.
CREATE FUNCTION remove_member(who asker, conversation bigint, someone bigint, words text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM quit_room(conversation, someone);
  PERFORM members_changed(conversation);
  PERFORM add_system_message(who, conversation, 'left', words,
                             jsonb_build_object('left', jsonb_build_object('user', name_of(someone), 'by', who.name)),
                             someone);
END $$;

CREATE FUNCTION do_room_leave(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
BEGIN
  IF role_of(conversation, who.user_id) IS NULL THEN
    DELETE FROM invitations i WHERE i.user_id = who.user_id AND i.conversation_id = conversation;
    RETURN done();
  END IF;
  IF is_last_owner(conversation, who.user_id) AND room_size(conversation) > 1 THEN
    RETURN refused('FORBIDDEN', 'you are the last owner: make somebody else one before');
  END IF;
  PERFORM remove_member(who, conversation, who.user_id, who.name || ' left');
  RETURN done();
END $$;

CREATE FUNCTION kick_one(who asker, conversation bigint, someone bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  his text := role_of(conversation, someone);
BEGIN
  IF his IS NULL THEN
    DELETE FROM invitations i WHERE i.user_id = someone AND i.conversation_id = conversation;
    RETURN '';
  END IF;
  -- Who wants to go himself leaves.
  IF someone = who.user_id OR (his IN ('owner', 'admin') AND role_of(conversation, who.user_id) <> 'owner') THEN
    RETURN 'FORBIDDEN';
  END IF;
  PERFORM remove_member(who, conversation, someone, who.name || ' removed ' || name_of(someone));
  RETURN '';
END $$;

CREATE FUNCTION do_room_kick(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE sql AS $$
  SELECT COALESCE(must_lead(who, conversation), for_each_user(who, conversation, request, 'kick_one'))
$$;

CREATE FUNCTION do_room_role(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  bad     outcome := must_lead(who, conversation);
  someone bigint := user_named(request->>'user');
  his     text := role_of(conversation, someone);
  wanted  text := request->>'role';
BEGIN
  IF bad IS NOT NULL THEN RETURN bad; END IF;
  IF wanted NOT IN ('owner', 'admin', 'member', 'readonly') THEN
    RETURN refused('BAD_PAYLOAD', 'role is owner, admin, member or readonly');
  END IF;
  IF someone IS NULL THEN RETURN refused('USER_NOT_FOUND', 'there is no such user'); END IF;
  IF his IS NULL THEN RETURN refused('NOT_MEMBER', 'he is not in this room'); END IF;
  IF his = wanted THEN RETURN done(); END IF;
  IF role_of(conversation, who.user_id) <> 'owner'
     AND (his IN ('owner', 'admin') OR wanted IN ('owner', 'admin')) THEN
    RETURN refused('FORBIDDEN', 'for owners of the room');
  END IF;
  IF is_last_owner(conversation, someone) THEN
    RETURN refused('FORBIDDEN', 'a room has an owner: make somebody else one before');
  END IF;
  UPDATE members SET role = wanted WHERE conversation_id = conversation AND user_id = someone;
  PERFORM members_changed(conversation);
  PERFORM add_system_message(who, conversation, 'role', format('%s made %s %s', who.name, name_of(someone), wanted),
                             jsonb_build_object('room', room_json(conversation, NULL)));
  RETURN done();
END $$;

CREATE FUNCTION do_room_set(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  bad    outcome := COALESCE(must_lead(who, conversation), check_room_texts(request));
  before conversations;
  now_is conversations;
  what   jsonb;
BEGIN
  IF bad IS NOT NULL THEN RETURN bad; END IF;
  SELECT * INTO before FROM conversations WHERE conversation_id = conversation;
  UPDATE conversations SET
    title = COALESCE(request->>'title', title), topic = COALESCE(request->>'topic', topic),
    history = COALESCE(NULLIF(request->>'history', ''), history),
    join_rule = COALESCE(NULLIF(request->>'join', ''), join_rule),
    retention_days = CASE WHEN request ? 'retention_days' THEN NULLIF(LEAST((request->>'retention_days')::bigint, 36500), 0)::int
                          ELSE retention_days END
  WHERE conversation_id = conversation RETURNING * INTO now_is;
  what := jsonb_build_object('room', room_json(conversation, NULL));
  IF now_is.title <> before.title THEN
    PERFORM add_system_message(who, conversation, 'title', format('%s set the title to %s', who.name, now_is.title), what);
  ELSIF now_is IS DISTINCT FROM before THEN
    PERFORM add_change(who, conversation, 'room', NULL, what);
  END IF;
  RETURN done();
END $$;

CREATE FUNCTION do_room_get(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
BEGIN
  IF role_of(conversation, who.user_id) IS NULL THEN RETURN refused('NOT_MEMBER', 'you are not in this room'); END IF;
  RETURN done(jsonb_build_object(
    'room', room_json(conversation, who.user_id),
    'members', (SELECT jsonb_agg(jsonb_build_object('user', u.name, 'role', m.role) ORDER BY u.name)
                FROM members m JOIN users u ON u.user_id = m.user_id WHERE m.conversation_id = conversation)));
END $$;

CREATE FUNCTION do_room_list(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE sql STABLE AS $$
  SELECT done(jsonb_build_object('rooms', COALESCE(jsonb_agg(room_json(c.conversation_id, who.user_id) ORDER BY c.name), '[]')))
  FROM user_conversations uc JOIN conversations c ON c.conversation_id = uc.conversation_id
  WHERE uc.user_id = who.user_id AND c.kind = 'room'
$$;

-- Whoever asks is one of the members, named or not.
CREATE FUNCTION do_room_find(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  wanted bigint[];
BEGIN
  IF jsonb_array_length(request->'members') > 1000 THEN RETURN refused('TOO_LARGE', 'at most 1000 members at once'); END IF;
  SELECT array_agg(DISTINCT user_named(m)) INTO wanted FROM unnest(texts(request->'members') || who.name) AS m;
  IF array_position(wanted, NULL) IS NOT NULL THEN RETURN refused('USER_NOT_FOUND', 'there is no such user'); END IF;
  RETURN (
    SELECT done(jsonb_build_object('rooms', COALESCE(jsonb_agg(room_json(c.conversation_id, who.user_id) ORDER BY c.name), '[]')))
    FROM user_conversations uc
    JOIN conversations c ON c.conversation_id = uc.conversation_id AND c.kind = 'room'
    WHERE uc.user_id = who.user_id AND c.member_count = cardinality(wanted)
      AND (SELECT bool_and(m.user_id = ANY (wanted))
           FROM members m WHERE m.conversation_id = c.conversation_id));
END $$;
