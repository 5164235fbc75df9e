-- name: closings
-- The next page of what is due, behind the last one.
SELECT closes_at, user_id, subject, window_key, starts_at
FROM gamification.closings
WHERE closes_at <= $1
  AND (closes_at, user_id, subject, window_key, starts_at)
      > ($3::timestamptz, $4::varchar, $5::varchar, $6::varchar, $7::timestamptz)
ORDER BY closes_at, user_id, subject, window_key, starts_at
LIMIT $2

-- name: quests
SELECT expires_at, user_id, quest_id
FROM gamification.quest_progress
WHERE status = 'in_progress' AND expires_at <= $1
  AND (expires_at, user_id, quest_id) > ($3::timestamptz, $4::varchar, $5::varchar)
ORDER BY expires_at, user_id, quest_id
LIMIT $2

-- name: grants
SELECT expires_at, id, user_id
FROM gamification.grants
WHERE status = 'pending' AND expires_at <= $1 AND (expires_at, id) > ($3::timestamptz, $4::varchar)
ORDER BY expires_at, id
LIMIT $2

-- name: accumulators
-- What a closing will look at stays until it has. Those that somebody is about to change are left for later.
DELETE FROM gamification.accumulators
WHERE over_at <= $1 AND (user_id, scope, metric, window_key, starts_at) IN (
    SELECT user_id, scope, metric, window_key, starts_at
    FROM gamification.accumulators a
    WHERE over_at <= $1 AND NOT EXISTS (
        SELECT FROM gamification.closings c
        WHERE c.user_id = a.user_id AND c.window_key = a.window_key AND c.starts_at = a.starts_at
    )
    ORDER BY over_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
RETURNING true

-- name: notifications
DELETE FROM gamification.notifications
WHERE (user_id, sequence) IN (
    SELECT user_id, sequence FROM gamification.notifications WHERE created_at <= $1 ORDER BY created_at LIMIT $2
)
RETURNING true
