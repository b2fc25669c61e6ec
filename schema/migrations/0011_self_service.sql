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

-- A new one of that name goes on from there. What its predecessor said at the last moment is not its own.
CREATE FUNCTION begin_device() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
  before bigint;
BEGIN
  DELETE FROM removed_devices r WHERE r.user_id = NEW.user_id AND r.device = NEW.device RETURNING r.generation INTO before;
  IF FOUND THEN
    NEW.generation := GREATEST(NEW.generation, before);
    DELETE FROM device_marks m WHERE m.user_id = NEW.user_id AND m.device = NEW.device;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER begin_device BEFORE INSERT ON devices FOR EACH ROW EXECUTE FUNCTION begin_device();

CREATE FUNCTION do_device_remove(who asker, conversation bigint, request jsonb) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
  wanted text := request->>'device';
BEGIN
  UPDATE removed_devices r SET generation = r.generation + 1 WHERE r.user_id = who.user_id AND r.device = wanted;
  IF FOUND THEN RETURN done(); END IF;
  WITH gone AS (DELETE FROM devices d WHERE d.user_id = who.user_id AND d.device = wanted RETURNING d.generation)
  INSERT INTO removed_devices SELECT who.user_id, wanted, gone.generation + 1 FROM gone;
  IF NOT FOUND THEN RETURN refused('NOT_FOUND', 'you have no such device'); END IF;
  DELETE FROM device_marks m WHERE m.user_id = who.user_id AND m.device = wanted;
  RETURN done();
END $$;

-- ---- tokens ----

-- The least generation of a user's tokens, or of those bound to one of his devices.
CREATE FUNCTION generation_of(someone bigint, of_device text) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN of_device = '' THEN (SELECT u.generation FROM users u WHERE u.user_id = someone)
              ELSE COALESCE((SELECT d.generation FROM devices d WHERE d.user_id = someone AND d.device = of_device),
                            (SELECT r.generation FROM removed_devices r WHERE r.user_id = someone AND r.device = of_device),
                            0) END
$$;

-- All tokens of a user, also those bound to a device.
CREATE FUNCTION revoke_tokens(someone bigint) RETURNS void
LANGUAGE sql AS $$
  UPDATE users SET generation = generation + 1 WHERE user_id = someone;
  UPDATE devices SET generation = generation + 1 WHERE user_id = someone;
  UPDATE removed_devices SET generation = generation + 1 WHERE user_id = someone;
$$;

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
  IF NOT EXISTS (SELECT FROM users WHERE user_id = someone AND name = its_name AND disabled_at IS NULL) THEN
    RETURN NULL;
  END IF;
  IF of_device <> '' AND NOT EXISTS (SELECT FROM devices d WHERE d.user_id = someone AND d.device = of_device) THEN
    IF (SELECT count(*) FROM removed_devices r WHERE r.user_id = someone) >= 1000 THEN RETURN -1; END IF;
    INSERT INTO removed_devices VALUES (someone, of_device, 0) ON CONFLICT DO NOTHING;
  END IF;
  RETURN generation_of(someone, of_device);
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

-- The conversations that one is in, in the order in which their contents follow.
CREATE FUNCTION export_conversations(someone bigint)
RETURNS TABLE (conversation_id bigint, conv text) LANGUAGE sql STABLE AS $$
  SELECT uc.conversation_id, conv_name(uc.conversation_id, someone) FROM user_conversations uc
  WHERE uc.user_id = someone ORDER BY uc.conversation_id
$$;

-- Of one conversation, what is no message. No row: he is not in there any more.
CREATE FUNCTION export_conversation(conversation bigint, someone bigint) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
  (SELECT jsonb_build_object('conversation', jsonb_strip_nulls(jsonb_build_object(
            'conv', conv_name(conversation, someone), 'kind', c.kind, 'title', c.title, 'topic', c.topic, 'role', m.role,
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
