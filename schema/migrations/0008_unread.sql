-- What counts as unread (docs/protocol.md, "Unread"): one definition for sync, the state topics and push.

-- Of a member: what came after his read_seq, but for his own, the system's, deleted and expired messages, and for those that
-- are too old and whose rows go with their month; among the newest 10,000 of the conversation, as who never reads is not to
-- cost more with each message, whoever sent them.
CREATE FUNCTION unread_in(conversation bigint, someone bigint, read_up_to bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT count(*) FROM messages x
  WHERE x.conversation_id = conversation
    AND x.seq > (SELECT GREATEST(read_up_to, h.first_seq - 1, h.last_seq - 10000) FROM conversation_heads h
                 WHERE h.conversation_id = conversation)
    AND x.sender_id <> someone AND x.kind <> 'system'
    AND NOT x.deleted AND (x.expires_at IS NULL OR x.expires_at > clock_timestamp())
$$;

-- One row for each conversation of a user in which something is unread.
CREATE FUNCTION unread_of(someone bigint) RETURNS TABLE (conversation_id bigint, unread bigint)
LANGUAGE sql STABLE AS $$
  SELECT c.conversation_id, c.unread FROM (
    SELECT m.conversation_id, unread_in(m.conversation_id, someone, m.read_seq) AS unread
    FROM user_conversations uc
    JOIN members m ON m.conversation_id = uc.conversation_id AND m.user_id = someone
    JOIN conversation_heads h ON h.conversation_id = m.conversation_id AND h.last_seq > m.read_seq
    WHERE uc.user_id = someone) AS c
  WHERE c.unread > 0
$$;
