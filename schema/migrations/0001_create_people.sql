-- Names, people, their devices, and who runs the lanes.

-- One row. `epoch` changes when the server was restored from a backup: positions of another epoch are void.
CREATE TABLE server (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  epoch    uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO server DEFAULT VALUES;

CREATE SEQUENCE user_ids AS bigint;
CREATE SEQUENCE conversation_ids AS bigint;
CREATE SEQUENCE worker_epochs AS bigint;

-- One namespace for users and rooms; a name is never given again, so rows are retired, not deleted.
CREATE TABLE names (
  name       text COLLATE "C" PRIMARY KEY,
  kind       text NOT NULL CHECK (kind IN ('user', 'room')),
  id         bigint NOT NULL,  -- users.user_id or conversations.conversation_id
  retired_at timestamptz
);

CREATE TABLE users (
  user_id      bigint PRIMARY KEY,
  name         text COLLATE "C" NOT NULL,
  generation   bigint NOT NULL DEFAULT 0 CHECK (generation BETWEEN 0 AND 4294967295),
  disabled_at  timestamptz,
  created_at   timestamptz NOT NULL DEFAULT now()
);
-- The worker pushes these to the plugin: only users with something to refuse.
CREATE INDEX users_revoked ON users (user_id) WHERE generation > 0 OR disabled_at IS NOT NULL;

CREATE TABLE devices (
  user_id    bigint NOT NULL,
  device     text COLLATE "C" NOT NULL,
  generation bigint NOT NULL DEFAULT 0 CHECK (generation BETWEEN 0 AND 4294967295),
  confirms   boolean NOT NULL DEFAULT false,  -- has published `got` or `sync` once
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (user_id, device)
);
CREATE INDEX devices_revoked ON devices (user_id) WHERE generation > 0;

-- Who may write through a lane: the worker with the highest epoch.
CREATE TABLE lanes (
  lane        int PRIMARY KEY,
  owner_epoch bigint NOT NULL
);
