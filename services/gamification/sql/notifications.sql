-- name: state
SELECT
    coalesce((SELECT notified FROM gamification.players WHERE user_id = $1), 0) AS newest,
    (SELECT min(sequence) FROM gamification.notifications WHERE user_id = $1) AS oldest

-- name: after
SELECT asked.user_id, asked.after, told.*, player.notified AS newest
FROM unnest($1::varchar[], $2::bigint[]) AS asked (user_id, after)
JOIN gamification.players player USING (user_id)
CROSS JOIN LATERAL (
    SELECT sequence, type, title, data::text AS data, cause, created_at
    FROM gamification.notifications
    WHERE user_id = asked.user_id AND sequence > asked.after
    ORDER BY sequence
    LIMIT $3
) told
ORDER BY asked.user_id, asked.after, told.sequence

-- name: newest
SELECT user_id, notified FROM gamification.players WHERE user_id = ANY($1::varchar[])
