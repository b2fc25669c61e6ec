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
