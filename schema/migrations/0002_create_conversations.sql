-- Conversations and who is in them. Hot and static columns live apart: a head row is updated by every
-- message and must stay small and free of secondary indexes, so that all its updates are HOT.

CREATE TABLE conversations (
  conversation_id bigint PRIMARY KEY,
  kind            text NOT NULL CHECK (kind IN ('direct', 'room')),
  name            text COLLATE "C",  -- of a room
  title           text NOT NULL DEFAULT '',
  topic           text NOT NULL DEFAULT '',
  history         text NOT NULL DEFAULT 'all' CHECK (history IN ('all', 'joined')),
  join_rule       text NOT NULL DEFAULT 'invite' CHECK (join_rule IN ('invite', 'open')),
  created_by      bigint,
  created_at      timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE conversation_heads (
  conversation_id bigint PRIMARY KEY,
  last_seq        bigint NOT NULL DEFAULT 0,
  last_rev        bigint NOT NULL DEFAULT 0,
  last_at         timestamptz NOT NULL DEFAULT '-infinity',  -- created_at of the last message
  first_seq       bigint NOT NULL DEFAULT 1,
  members_version bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 50);

-- 1:1 conversations; user_lo = user_hi is a user's notes to himself.
CREATE TABLE direct_pairs (
  user_lo         bigint NOT NULL,
  user_hi         bigint NOT NULL,
  conversation_id bigint NOT NULL,
  PRIMARY KEY (user_lo, user_hi),
  CHECK (user_lo <= user_hi)
);
-- Who the peer is, from the conversation.
CREATE UNIQUE INDEX direct_pairs_conversation ON direct_pairs (conversation_id);

-- Present members and their cursors.
CREATE TABLE members (
  conversation_id bigint NOT NULL,
  user_id         bigint NOT NULL,
  got_seq         bigint NOT NULL DEFAULT 0,
  read_seq        bigint NOT NULL DEFAULT 0,
  role            text NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'admin', 'member', 'readonly')),
  PRIMARY KEY (conversation_id, user_id)
) WITH (fillfactor = 70);

-- Who may see what, also after leaving and joining again: joined_seq < seq <= left_seq.
CREATE TABLE membership_periods (
  conversation_id bigint NOT NULL,
  user_id         bigint NOT NULL,
  joined_seq      bigint NOT NULL,
  left_seq        bigint,  -- null: still a member
  PRIMARY KEY (conversation_id, user_id, joined_seq)
);

CREATE TABLE user_conversations (
  user_id         bigint NOT NULL,
  conversation_id bigint NOT NULL,
  PRIMARY KEY (user_id, conversation_id)
);

-- What each named device holds. No row: nothing yet (a new device gets rows for all that the user has).
CREATE TABLE device_marks (
  user_id         bigint NOT NULL,
  device          text COLLATE "C" NOT NULL,
  conversation_id bigint NOT NULL,
  got_seq         bigint NOT NULL,
  PRIMARY KEY (user_id, device, conversation_id)
) WITH (fillfactor = 70);
