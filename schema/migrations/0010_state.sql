-- The same answers as before, for those who are asked a thousand times at once: state topics.

-- Each conversation counted once: without the fence the planner counts again for the condition.
CREATE OR REPLACE FUNCTION unread_of(someone bigint) RETURNS TABLE (conversation_id bigint, unread bigint)
LANGUAGE sql STABLE AS $$
  SELECT c.conversation_id, c.unread FROM (
    SELECT m.conversation_id, unread_in(m.conversation_id, someone, m.read_seq) AS unread
    FROM user_conversations uc
    JOIN members m ON m.conversation_id = uc.conversation_id AND m.user_id = someone
    JOIN conversation_heads h ON h.conversation_id = m.conversation_id AND h.last_seq > m.read_seq
    WHERE uc.user_id = someone
    OFFSET 0) AS c
  WHERE c.unread > 0
$$;

-- Whether `viewer` may know when `someone` is or was there: a contact of his; or who shares with him a room, or a
-- conversation of two in which something was said and the viewer may write. In one piece: a function that is called
-- in here would be planned again at each call. By the conversations of `someone`, as one viewer asks about many.
CREATE OR REPLACE FUNCTION may_see_presence(viewer bigint, someone bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT viewer = someone
      OR (u.last_seen_to <> 'nobody'
          AND NOT EXISTS (SELECT FROM blocks b WHERE b.user_id = someone AND b.blocked_id = viewer)
          AND (EXISTS (SELECT FROM contacts k
                       WHERE k.user_id = someone AND k.other_id = viewer AND k.state = 'friend')
               OR (u.last_seen_to = 'everyone'
                   AND (EXISTS (SELECT FROM direct_pairs p
                                JOIN conversation_heads h ON h.conversation_id = p.conversation_id AND h.last_seq > 0
                                JOIN members m ON m.conversation_id = p.conversation_id AND m.user_id = viewer
                                              AND m.role = 'member'
                                WHERE p.user_lo = LEAST(viewer, someone) AND p.user_hi = GREATEST(viewer, someone))
                        OR EXISTS (SELECT FROM user_conversations a
                                   JOIN members m ON m.conversation_id = a.conversation_id AND m.user_id = viewer
                                   JOIN conversations c ON c.conversation_id = a.conversation_id AND c.kind = 'room'
                                   WHERE a.user_id = someone)))))
  FROM users u WHERE u.user_id = someone
$$;
DROP FUNCTION share_a_conversation(bigint, bigint);
