-- What one does with one's own devices, tokens and account.

-- ---- devices that were removed ----

-- A device that is removed is gone but for its generation: tokens bound to it must not become good again. One that has a token
-- and was never there is here, too.
CREATE TABLE removed_devices (
  user_id    bigint NOT NULL,
  device     text COLLATE "C" NOT NULL,
  generation bigint NOT NULL CHECK (generation BETWEEN 0 AND 4294967295),
  PRIMARY KEY (user_id, device)
);

-- Who makes, removes or revokes devices or tokens of a user does it one after the other. Few keys: a transaction may begin thousands
-- of devices. It is taken before any row of devices, and by nobody who holds rows that its holder wants.
CREATE FUNCTION lock_devices(someone bigint) RETURNS void
LANGUAGE sql AS $$ SELECT pg_advisory_xact_lock(hashtext('parley/devices'), (someone % 64)::int) $$;

CREATE FUNCTION is_active(someone bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$ SELECT EXISTS (SELECT FROM users WHERE user_id = someone AND disabled_at IS NULL) $$;

-- A new one of that name goes on from there. What its predecessor said at the last moment is not its own. Who is no user any
-- more gets none.
CREATE FUNCTION begin_device() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
  before bigint;
BEGIN
  PERFORM lock_devices(NEW.user_id);
  IF NOT is_active(NEW.user_id) THEN RETURN NULL; END IF;
  DELETE FROM removed_devices r WHERE r.user_id = NEW.user_id AND r.device = NEW.device RETURNING r.generation INTO before;
  IF FOUND THEN
    NEW.generation := GREATEST(NEW.generation, before);
    DELETE FROM device_marks m WHERE m.user_id = NEW.user_id AND m.device = NEW.device;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER begin_device BEFORE INSERT ON devices FOR EACH ROW EXECUTE FUNCTION begin_device();

-- The least generation of a user's tokens, or of those bound to one of his devices.
CREATE FUNCTION generation_of(someone bigint, of_device text) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN of_device = '' THEN (SELECT u.generation FROM users u WHERE u.user_id = someone)
              ELSE GREATEST((SELECT d.generation FROM devices d WHERE d.user_id = someone AND d.device = of_device),
                            (SELECT r.generation FROM removed_devices r WHERE r.user_id = someone AND r.device = of_device),
                            0) END
$$;

-- Whether a user may have one more name in removed_devices, or has this one.
CREATE FUNCTION may_keep_removed(someone bigint, its_name text) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM removed_devices r WHERE r.user_id = someone AND r.device = its_name)
      OR (SELECT count(*) FROM removed_devices r WHERE r.user_id = someone) < 1000
$$;

-- Also one that nothing is known of: it may have a session that subscribed nothing, or a token.
CREATE FUNCTION do_device_remove(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  wanted text := COALESCE(request->>'device', '');
BEGIN
  IF wanted !~ '^[A-Za-z0-9_-]{1,32}$' THEN RETURN refused('NOT_FOUND', 'no device is called so'); END IF;
  PERFORM lock_devices(who.user_id);
  IF NOT may_keep_removed(who.user_id, wanted) THEN
    RETURN refused('TOO_LARGE', 'you have removed 1000 devices: token.revoke_all ends everything');
  END IF;
  INSERT INTO removed_devices AS r VALUES (who.user_id, wanted, generation_of(who.user_id, wanted) + 1)
  ON CONFLICT (user_id, device) DO UPDATE SET generation = EXCLUDED.generation;
  DELETE FROM devices d WHERE d.user_id = who.user_id AND d.device = wanted;
  PERFORM forget_marks(who.user_id, wanted);
  RETURN done();
END $$;

-- ---- tokens ----

-- All tokens of a user, also those bound to a device.
CREATE FUNCTION revoke_tokens(someone bigint) RETURNS void
LANGUAGE sql AS $$
  SELECT lock_devices(someone);
  UPDATE users SET generation = generation + 1 WHERE user_id = someone;
  UPDATE devices SET generation = generation + 1 WHERE user_id = someone;
  UPDATE removed_devices SET generation = generation + 1 WHERE user_id = someone;
$$;

-- Those bound to one device, and the sessions of it that there are.
CREATE FUNCTION revoke_device(someone bigint, its_name text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM lock_devices(someone);
  UPDATE devices SET generation = generation + 1 WHERE user_id = someone AND device = its_name;
  IF FOUND THEN RETURN; END IF;
  INSERT INTO removed_devices AS r VALUES (someone, its_name, 1)
  ON CONFLICT (user_id, device) DO UPDATE SET generation = r.generation + 1;
END $$;

CREATE FUNCTION do_token_revoke_all(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM revoke_tokens(who.user_id);
  RETURN done();
END $$;

-- For a new token. Null: there is no such user (any more). Below 0: he has too many devices.
CREATE FUNCTION token_generation(someone bigint, its_name text, of_device text) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM lock_devices(someone);
  IF NOT EXISTS (SELECT FROM users WHERE user_id = someone AND name = its_name AND disabled_at IS NULL) THEN
    RETURN NULL;
  END IF;
  IF of_device <> '' AND NOT EXISTS (SELECT FROM devices d WHERE d.user_id = someone AND d.device = of_device) THEN
    IF NOT may_keep_removed(someone, of_device) THEN RETURN -1; END IF;
    INSERT INTO removed_devices VALUES (someone, of_device, 0) ON CONFLICT DO NOTHING;
  END IF;
  RETURN generation_of(someone, of_device);
END $$;

-- The same for who asks with a token himself. Null also if that is void by now: his session may still be there for a moment.
-- @param own_device         of his session, '' without one
-- @param at_login           the device's generation when the session began; below 0: not known, so the least is taken
CREATE FUNCTION token_generation(someone bigint, its_name text, of_device text, own_device text, own_bound boolean,
                                 own_generation bigint, at_login bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM lock_devices(someone);
  IF own_generation < generation_of(someone, CASE WHEN own_bound THEN own_device ELSE '' END)
     OR (own_device <> '' AND GREATEST(at_login, 0) < generation_of(someone, own_device)) THEN
    RETURN NULL;
  END IF;
  RETURN token_generation(someone, its_name, of_device);
END $$;

-- ---- who may write to whom, with several at it at the same time ----

-- As before, in one piece: a function that is called in here would be planned again at each call.
CREATE OR REPLACE FUNCTION direct_role(side bigint, other bigint) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN side = other THEN 'member'
              WHEN EXISTS (SELECT FROM blocks b WHERE b.user_id = side AND b.blocked_id = other) THEN 'blocked'
              WHEN u.write_to_me = 'contacts'
                   AND NOT EXISTS (SELECT FROM contacts k WHERE k.user_id = side AND k.other_id = other AND k.state = 'friend')
              THEN 'stranger'
              ELSE 'member' END
  FROM users u WHERE u.user_id = side
$$;

-- Before something that direct_role looks at changes. Who makes a conversation holds both users, so this waits for him and then
-- finds it; or he waits, and finds the change. FOR UPDATE, as he takes no more than FOR KEY SHARE: when somebody was last seen
-- disturbs neither.
CREATE FUNCTION lock_settings(someone bigint) RETURNS void
LANGUAGE sql AS $$ SELECT FROM users u WHERE u.user_id = someone FOR UPDATE $$;

-- What `side` lets the others do, in those of these conversations of two where it is another by now. The caller has locked his
-- settings. Rows are locked in the order of all others: heads by conversation, as the lanes do, then members by their key, as
-- cursors do. Who has erased himself stays as he is.
CREATE FUNCTION renew_direct_roles(side bigint, among bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  stale  bigint[];
  others bigint[];
  roles  text[];
BEGIN
  SELECT array_agg(m.conversation_id), array_agg(m.user_id), array_agg(wanted.role) INTO stale, others, roles
  FROM members m CROSS JOIN LATERAL (SELECT direct_role(side, m.user_id) AS role OFFSET 0) AS wanted
  WHERE m.conversation_id = ANY (among) AND m.user_id <> side AND m.role <> 'readonly' AND m.role <> wanted.role;
  IF stale IS NULL THEN RETURN; END IF;
  PERFORM FROM conversation_heads h WHERE h.conversation_id = ANY (stale) ORDER BY h.conversation_id FOR NO KEY UPDATE;
  PERFORM FROM unnest(stale, others) AS i(conversation, other)
  JOIN members m ON m.conversation_id = i.conversation AND m.user_id = i.other
  ORDER BY m.conversation_id, m.user_id FOR NO KEY UPDATE OF m;
  UPDATE members m SET role = i.role FROM unnest(stale, others, roles) AS i(conversation, other, role)
  WHERE m.conversation_id = i.conversation AND m.user_id = i.other AND m.role <> 'readonly';
  UPDATE conversation_heads h SET members_version = members_version + 1 WHERE h.conversation_id = ANY (stale);
END $$;
CREATE OR REPLACE FUNCTION renew_direct_roles(side bigint, only_with bigint) RETURNS void
LANGUAGE sql AS $$
  SELECT renew_direct_roles(side, ARRAY(SELECT p.conversation_id FROM direct_pairs p
                                        WHERE p.user_lo = LEAST(side, only_with) AND p.user_hi = GREATEST(side, only_with)))
$$;
CREATE OR REPLACE FUNCTION renew_direct_roles(side bigint) RETURNS void
LANGUAGE sql AS $$
  SELECT renew_direct_roles(side, ARRAY(SELECT p.conversation_id FROM direct_pairs p WHERE p.user_lo = side
                                        UNION ALL
                                        SELECT p.conversation_id FROM direct_pairs p WHERE p.user_hi = side))
$$;
DROP FUNCTION renew_direct_role(bigint, bigint, bigint);

CREATE OR REPLACE FUNCTION do_me_set(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  before text;
BEGIN
  IF octet_length(request->>'display_name') > 256 OR octet_length(request->>'about') > 4096 THEN
    RETURN refused('TOO_LARGE', 'display_name has at most 256 bytes, about 4096');
  END IF;
  IF request->>'write_to_me' NOT IN ('everyone', 'contacts') OR request->>'add_to_rooms' NOT IN ('everyone', 'contacts')
     OR request->>'last_seen_to' NOT IN ('everyone', 'contacts', 'nobody') THEN
    RETURN refused('BAD_PAYLOAD', 'everyone or contacts; last_seen_to also nobody');
  END IF;
  PERFORM lock_settings(who.user_id);
  before := (SELECT write_to_me FROM users WHERE user_id = who.user_id);
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

-- As before, and what there is between the two holds still for who makes their conversation. One of them is enough, as he
-- holds both.
CREATE OR REPLACE FUNCTION must_be_other(who asker, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
BEGIN
  IF user_named(request->>'user') IS NULL THEN RETURN refused('USER_NOT_FOUND', 'there is no such user'); END IF;
  IF user_named(request->>'user') = who.user_id THEN RETURN refused('FORBIDDEN', 'that is you'); END IF;
  PERFORM lock_pair(who.user_id, user_named(request->>'user'));
  PERFORM lock_settings(who.user_id);
  RETURN NULL;
END $$;

-- As before; who is removed is locked first in the order in which cursors rise, whatever the order of the names: members by
-- their key, then marks.
CREATE OR REPLACE FUNCTION do_room_kick(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  bad    outcome := must_lead(who, conversation);
  wanted bigint[];
BEGIN
  IF bad IS NOT NULL THEN RETURN bad; END IF;
  wanted := ARRAY(SELECT user_named(u) FROM unnest(texts(request->'users')) AS u LIMIT 1000);
  PERFORM FROM members m WHERE m.conversation_id = conversation AND m.user_id = ANY (wanted) ORDER BY m.user_id FOR UPDATE;
  PERFORM FROM devices v
  JOIN device_marks d ON d.user_id = v.user_id AND d.device = v.device AND d.conversation_id = conversation
  WHERE v.user_id = ANY (wanted) ORDER BY d.user_id, d.device FOR UPDATE OF d;
  RETURN for_each_user(who, conversation, request, 'kick_one');
END $$;

-- ---- what is kept about somebody, as lines of JSON with one member each ----

CREATE FUNCTION export_account(someone bigint) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('profile', profile_json(someone) || jsonb_strip_nulls(jsonb_build_object(
           'name', u.name, 'created_time', json_time(u.created_at), 'last_seen', json_time(u.last_seen_at))))::text
  FROM users u WHERE u.user_id = someone;
$$;
CREATE FUNCTION export_people(someone bigint) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
  (SELECT jsonb_build_object('contact', jsonb_build_object('user', name_of(c.other_id), 'state', c.state))::text
   FROM contacts c WHERE c.user_id = someone ORDER BY name_of(c.other_id))
  UNION ALL
  (SELECT jsonb_build_object('block', jsonb_build_object('user', name_of(b.blocked_id)))::text
   FROM blocks b WHERE b.user_id = someone ORDER BY name_of(b.blocked_id))
  UNION ALL
  (SELECT jsonb_build_object('device', jsonb_strip_nulls(jsonb_build_object(
            'device', d.device, 'confirms', d.confirms, 'created_time', json_time(d.created_at),
            'last_seen', json_time(d.last_seen_at))))::text
   FROM devices d WHERE d.user_id = someone ORDER BY d.device)
  UNION ALL
  (SELECT jsonb_build_object('invitation', jsonb_build_object('room', c.name, 'by', name_of(i.invited_by),
                                                              'time', json_time(i.invited_at)))::text
   FROM invitations i JOIN conversations c ON c.conversation_id = i.conversation_id
   WHERE i.user_id = someone ORDER BY c.name)
$$;

-- The conversations that one is in, in the order in which their contents follow; not one in which every attempt to write was
-- refused.
CREATE FUNCTION export_conversations(someone bigint)
RETURNS TABLE (conversation_id bigint, conv text) LANGUAGE sql STABLE AS $$
  SELECT uc.conversation_id, conv_name(uc.conversation_id, someone)
  FROM user_conversations uc
  JOIN conversations c ON c.conversation_id = uc.conversation_id
  JOIN conversation_heads h ON h.conversation_id = uc.conversation_id
  WHERE uc.user_id = someone AND (c.kind = 'room' OR h.last_rev > 0)
  ORDER BY uc.conversation_id
$$;

-- Of one conversation, what is no message. No row: he is not in there any more.
CREATE FUNCTION export_conversation(conversation bigint, someone bigint) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
  (SELECT jsonb_build_object('conversation', jsonb_strip_nulls(jsonb_build_object(
            'conv', conv_name(conversation, someone), 'kind', c.kind, 'title', c.title, 'topic', c.topic,
            'role', CASE WHEN c.kind = 'room' THEN m.role END,
            'got_seq', m.got_seq, 'read_seq', m.read_seq, 'muted_until', json_time(m.muted_until), 'archived', m.archived,
            'periods', (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                                 'since_seq', p.since_seq, 'sees_from_seq', p.joined_seq + 1, 'left_seq', p.left_seq))
                               ORDER BY p.since_seq)
                        FROM membership_periods p WHERE p.conversation_id = conversation AND p.user_id = someone))))::text
   FROM conversations c JOIN members m ON m.conversation_id = c.conversation_id AND m.user_id = someone
   WHERE c.conversation_id = conversation)
  UNION ALL
  (SELECT jsonb_build_object('reaction', jsonb_build_object('conv', conv_name(conversation, someone), 'seq', r.seq,
                                                            'emoji', r.emoji))::text
   FROM reactions r WHERE r.conversation_id = conversation AND r.user_id = someone ORDER BY r.seq, r.emoji)
  UNION ALL
  (SELECT jsonb_build_object('pin', jsonb_build_object('conv', conv_name(conversation, someone), 'seq', p.seq,
                                                       'by', name_of(p.pinned_by)))::text
   FROM pins p WHERE p.conversation_id = conversation AND may_see(conversation, someone, p.seq) ORDER BY p.seq)
$$;

-- ---- erasing an account ----

CREATE INDEX contacts_other ON contacts (other_id);
CREATE INDEX membership_periods_user ON membership_periods (user_id, conversation_id);

-- What is still to be done for those who have erased themselves; the worker goes on with it after whatever happened.
CREATE TABLE erasures (
  user_id         bigint PRIMARY KEY,
  name            text COLLATE "C" NOT NULL,
  begun_at        timestamptz NOT NULL DEFAULT now(),
  -- What failed is tried again then, and the other rooms before this one.
  next_at         timestamptz NOT NULL DEFAULT now(),
  failed_room     bigint NOT NULL DEFAULT 0,
  -- Contents are gone in all conversations below this one, and in this one up to `seq`.
  conversation_id bigint NOT NULL DEFAULT 0,
  seq             bigint NOT NULL DEFAULT 0
);

-- From here on nobody is him any more. The rest follows in steps.
CREATE FUNCTION do_me_erase(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
BEGIN
  IF request->>'confirm' IS DISTINCT FROM who.name THEN
    RETURN refused('BAD_PAYLOAD', 'confirm with your own name: there is no way back');
  END IF;
  PERFORM lock_devices(who.user_id);
  PERFORM lock_settings(who.user_id);
  UPDATE names SET retired_at = now() WHERE name = who.name AND kind = 'user';
  UPDATE users SET disabled_at = now(), generation = generation + 1, display_name = '', about = '', searchable = false,
                   write_to_me = 'contacts', add_to_rooms = 'contacts', last_seen_to = 'nobody', last_seen_at = NULL,
                   told_until = NULL
  WHERE user_id = who.user_id;
  -- Who wants to write to him is told so; what he may have sent at the last moment is refused. In the order of all others: heads,
  -- then members in the order in which cursors rise.
  PERFORM FROM direct_pairs p JOIN conversation_heads h ON h.conversation_id = p.conversation_id
  WHERE p.user_lo = who.user_id OR p.user_hi = who.user_id ORDER BY h.conversation_id FOR NO KEY UPDATE OF h;
  PERFORM FROM direct_pairs p JOIN members m ON m.conversation_id = p.conversation_id
  WHERE p.user_lo = who.user_id OR p.user_hi = who.user_id
  ORDER BY m.conversation_id, m.user_id FOR NO KEY UPDATE OF m;
  UPDATE members m SET role = CASE WHEN m.user_id = who.user_id THEN 'readonly' ELSE 'blocked' END
  FROM direct_pairs p
  WHERE (p.user_lo = who.user_id OR p.user_hi = who.user_id) AND m.conversation_id = p.conversation_id;
  UPDATE conversation_heads h SET members_version = members_version + 1 FROM direct_pairs p
  WHERE (p.user_lo = who.user_id OR p.user_hi = who.user_id) AND h.conversation_id = p.conversation_id;
  DELETE FROM contacts c WHERE c.user_id = who.user_id OR c.other_id = who.user_id;
  DELETE FROM blocks b WHERE b.user_id = who.user_id OR b.blocked_id = who.user_id;
  DELETE FROM devices d WHERE d.user_id = who.user_id;
  DELETE FROM removed_devices r WHERE r.user_id = who.user_id;
  PERFORM forget_marks(who.user_id, NULL);
  DELETE FROM invitations i WHERE i.user_id = who.user_id;
  INSERT INTO erasures (user_id, name) VALUES (who.user_id, who.name) ON CONFLICT DO NOTHING;
  RETURN done();
END $$;

-- A room that somebody who erases himself is still in; asked for one after the other.
CREATE FUNCTION erasure_room() RETURNS TABLE (user_id bigint, name text, conversation_id bigint)
LANGUAGE sql STABLE AS $$
  SELECT e.user_id, e.name, c.conversation_id FROM erasures e
  JOIN user_conversations uc ON uc.user_id = e.user_id
  JOIN conversations c ON c.conversation_id = uc.conversation_id AND c.kind = 'room'
  WHERE e.next_at <= now()
  ORDER BY e.next_at, e.user_id, c.conversation_id <= e.failed_room, c.conversation_id LIMIT 1
$$;

-- The next one whose contents can go: he is in no room any more.
CREATE FUNCTION erasure_of_contents() RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT e.user_id FROM erasures e
  WHERE e.next_at <= now()
    AND NOT EXISTS (SELECT FROM user_conversations uc JOIN conversations c ON c.conversation_id = uc.conversation_id
                    WHERE uc.user_id = e.user_id AND c.kind = 'room')
  ORDER BY e.next_at, e.user_id LIMIT 1
$$;

-- It failed: the others come first. `someone` 0: whose contents were next.
CREATE FUNCTION postpone_erasure(someone bigint, room bigint) RETURNS void
LANGUAGE sql AS $$
  UPDATE erasures SET next_at = now() + interval '20 seconds', failed_room = room
  WHERE user_id = CASE WHEN someone > 0 THEN someone ELSE erasure_of_contents() END
$$;

-- He leaves the room as anybody does (not a method of clients). One whose last owner he was gets another: the admin, else the member, who is there longest.
CREATE FUNCTION do_me_erase_room(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  heir bigint;
BEGIN
  IF role_of(conversation, who.user_id) IS NULL THEN
    DELETE FROM user_conversations uc WHERE uc.user_id = who.user_id AND uc.conversation_id = conversation;
    RETURN done();
  END IF;
  IF is_last_owner(conversation, who.user_id) AND room_size(conversation) > 1 THEN
    SELECT m.user_id INTO heir FROM members m
    JOIN membership_periods p ON p.conversation_id = m.conversation_id AND p.user_id = m.user_id AND p.left_seq IS NULL
    WHERE m.conversation_id = conversation AND m.user_id <> who.user_id
    ORDER BY m.role = 'admin' DESC, m.role = 'member' DESC, p.since_seq, m.user_id LIMIT 1;
    UPDATE members SET role = 'owner' WHERE conversation_id = conversation AND user_id = heir;
    PERFORM members_changed(conversation);
    PERFORM add_system_message(who, conversation, 'role', format('%s made %s owner', who.name, name_of(heir)),
                               jsonb_build_object('room', room_json(conversation, NULL)));
  END IF;
  PERFORM remove_member(who, conversation, who.user_id, who.name || ' left');
  RETURN done();
END $$;

-- Takes the contents of one stretch of one conversation away. The rows stay: seq has no gaps. Gives whether there is more to do,
-- and the conversation if something in it is gone now.
CREATE FUNCTION erase_contents(most bigint, OUT more boolean, OUT changed bigint)
LANGUAGE plpgsql AS $$
DECLARE
  it      erasures;
  present bigint;
  up_to   bigint;
  gone    bigint[];
BEGIN
  more := false;
  SELECT e.* INTO it FROM erasures e WHERE e.user_id = erasure_of_contents() FOR UPDATE;
  IF NOT FOUND THEN RETURN; END IF;
  PERFORM lock_search();
  SELECT p.conversation_id INTO present FROM membership_periods p
  WHERE p.user_id = it.user_id AND p.conversation_id >= it.conversation_id ORDER BY p.conversation_id LIMIT 1;
  IF NOT FOUND THEN
    DELETE FROM mentions m
    WHERE m.ctid = ANY (ARRAY(SELECT k.ctid FROM mentions k WHERE k.user_id = it.user_id LIMIT 5 * most));
    more := FOUND;
    IF more THEN RETURN; END IF;
    -- What was under way for his devices when he went.
    PERFORM lock_devices(it.user_id);
    DELETE FROM devices d WHERE d.user_id = it.user_id;
    DELETE FROM removed_devices r WHERE r.user_id = it.user_id;
    DELETE FROM device_marks d WHERE d.user_id = it.user_id;
    DELETE FROM erasures e WHERE e.user_id = it.user_id;
    more := EXISTS (SELECT FROM erasures e WHERE e.next_at <= now());
    RETURN;
  END IF;
  -- In the order in which requests about a message take them: the head, the message, what hangs on it, its changes.
  PERFORM FROM conversation_heads h WHERE h.conversation_id = present FOR NO KEY UPDATE;
  IF present > it.conversation_id THEN it.seq := 0; END IF;
  up_to := it.seq + most;
  WITH emptied AS (
    UPDATE messages x SET body = '', extra = NULL, edited_mentions = NULL, deleted = true
    WHERE x.conversation_id = present AND x.seq > it.seq AND x.seq <= up_to AND x.sender_id = it.user_id AND NOT x.deleted
      AND x.kind <> 'system'
    RETURNING x.seq)
  SELECT COALESCE(array_agg(seq), '{}') INTO gone FROM emptied;
  DELETE FROM reactions r
  WHERE r.conversation_id = present AND r.seq > it.seq AND r.seq <= up_to AND r.user_id = it.user_id;
  DELETE FROM search_documents d WHERE d.conversation_id = present AND d.seq = ANY (gone);
  DELETE FROM mentions m WHERE m.conversation_id = present AND m.seq = ANY (gone);
  -- Also of what was deleted or had expired before.
  UPDATE changes c SET event = NULL
  WHERE c.conversation_id = present AND c.seq > it.seq AND c.seq <= up_to AND c.user_id = it.user_id
    AND c.kind IN ('edited', 'reaction') AND c.event IS NOT NULL;
  PERFORM forget_told(array_fill(present, ARRAY[cardinality(gone)]), gone, 5 * most);
  IF up_to >= (SELECT last_seq FROM conversation_heads h WHERE h.conversation_id = present) THEN
    UPDATE erasures e SET conversation_id = present + 1, seq = 0 WHERE e.user_id = it.user_id;
  ELSE
    UPDATE erasures e SET conversation_id = present, seq = up_to WHERE e.user_id = it.user_id;
  END IF;
  more := true;
  IF cardinality(gone) > 0 THEN changed := present; END IF;
END $$;

-- As before; only who erases himself is not there any more while he leaves his rooms.
CREATE OR REPLACE FUNCTION carry_out(in_lane int, epoch bigint, method text, who asker, conversation bigint, request jsonb)
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
  IF method <> 'me.erase_room'
     AND NOT EXISTS (SELECT FROM users WHERE user_id = who.user_id AND name = who.name AND disabled_at IS NULL) THEN
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
