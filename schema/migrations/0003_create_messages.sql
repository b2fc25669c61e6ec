-- Messages, by month of storing: the working set is this month's indexes, and retention is a DROP.

CREATE TABLE messages (
  conversation_id bigint NOT NULL,
  seq             bigint NOT NULL,
  rev             bigint NOT NULL,
  sender_id       bigint NOT NULL,
  received_at     timestamptz NOT NULL,  -- shown to people: when the broker received it
  created_at      timestamptz NOT NULL,  -- orders storage: never before the conversation's last one
  origin_spool    bigint NOT NULL,       -- spool_id, as a signed number
  ingest_no       bigint NOT NULL,
  request_key     bytea NOT NULL,        -- 16 bytes: of the request id, or of the origin if it had none
  request_hash    bytea NOT NULL,        -- 16 bytes: of everything that makes two requests differ
  request_id      text NOT NULL DEFAULT '',
  kind            text NOT NULL,
  body            text NOT NULL,         -- the words, or the caption
  extra           bytea,                 -- the rest of the content (core/wire.hpp), if there is any
  expires_at      timestamptz,
  edited_at       timestamptz,
  deleted         boolean NOT NULL DEFAULT false
) PARTITION BY RANGE (created_at);

-- Edits, deletions, reactions, pins, membership: what sync sends beside messages.
CREATE TABLE changes (
  conversation_id bigint NOT NULL,
  rev             bigint NOT NULL,
  seq             bigint,
  kind            text NOT NULL,
  user_id         bigint NOT NULL,
  detail          text NOT NULL DEFAULT '',
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (conversation_id, rev)
);

-- Records that the database kept refusing for reasons of its own: answered UNAVAILABLE, kept for the operator.
CREATE TABLE parked (
  origin_spool bigint NOT NULL,
  ingest_no    bigint NOT NULL,
  parked_at    timestamptz NOT NULL DEFAULT now(),
  error        text NOT NULL,
  record       bytea NOT NULL,  -- InboundRecord
  PRIMARY KEY (origin_spool, ingest_no)
);

-- Uniqueness holds per partition only; across a month boundary the head's row lock and the repeat
-- probe guard it.
-- A partition is made apart and then attached, which does not wait for readers (a dump, say); and nothing
-- waits long behind us: there are months of time to try again.
CREATE FUNCTION make_message_partitions(first_day date, months int) RETURNS void
LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
DECLARE
  start date;
  part  text;
BEGIN
  FOR i IN 0 .. months - 1 LOOP
    start := (date_trunc('month', first_day) + make_interval(months => i))::date;
    part := 'messages_' || to_char(start, 'YYYY_MM');
    IF to_regclass(part) IS NULL THEN
      EXECUTE format('CREATE TABLE %I (LIKE messages INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part);
      EXECUTE format('CREATE UNIQUE INDEX %I ON %I (conversation_id, seq)', part || '_seq', part);
      EXECUTE format('CREATE UNIQUE INDEX %I ON %I (conversation_id, sender_id, request_key)',
                     part || '_request', part);
      EXECUTE format('CREATE INDEX %I ON %I (expires_at) WHERE NOT deleted AND expires_at IS NOT NULL',
                     part || '_expires', part);
      EXECUTE format('ALTER TABLE messages ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part,
                     start::text || ' 00:00:00+00',
                     (start + interval '1 month')::date::text || ' 00:00:00+00');
    END IF;
  END LOOP;
END $$;

SELECT make_message_partitions((now() AT TIME ZONE 'UTC')::date, 3);
