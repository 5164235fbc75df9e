-- name: players
-- One statement, so that all of a player is of the same version.
SELECT p.user_id, p.version, p.achievements_completed, p.achievement_points,
       ARRAY(SELECT a FROM gamification.accumulators a
             WHERE a.user_id = p.user_id AND a.scope <> 'limit' AND (a.over_at IS NULL OR a.over_at > now())
       ) AS accumulators,
       ARRAY(SELECT a FROM gamification.achievement_progress a WHERE a.user_id = p.user_id) AS achievements,
       ARRAY(SELECT q FROM gamification.quest_progress q WHERE q.user_id = p.user_id) AS quests
FROM gamification.players p
WHERE p.user_id = ANY($1::varchar[])

-- name: owner
SELECT user_id FROM gamification.grants WHERE id = $1

-- name: grant
SELECT * FROM gamification.grants WHERE id = $1

-- name: pending
SELECT * FROM gamification.grants
WHERE user_id = $1 AND status = 'pending' AND (expires_at IS NULL OR expires_at > $2)
      AND (granted_at, id) > ($3, $4)
ORDER BY granted_at, id
LIMIT $5

-- name: pending_with
SELECT id FROM gamification.grants
WHERE user_id = $1 AND status = 'pending' AND (expires_at IS NULL OR expires_at > $2)
      AND EXISTS (SELECT FROM jsonb_array_elements(contents) each WHERE each ->> 0 = $3)
ORDER BY granted_at, id
LIMIT $4

-- name: balances
SELECT asset, item_type, amount FROM gamification.balances
WHERE account = $1 AND starts_with(asset, $2) AND amount > 0
ORDER BY asset

-- name: ledger
SELECT t.id, t.kind, t.from_account, t.to_account, t.asset, t.amount, t.grant_id, t.user_id, t.at,
       coalesce(b.item_type, '') AS item_type
FROM gamification.transfers t
LEFT JOIN gamification.balances b ON b.account = 'escrow:' || t.user_id AND b.asset = t.asset
WHERE t.user_id = $1 AND (t.at, t.id) < ($2, $3)
ORDER BY t.at DESC, t.id DESC
LIMIT $4

-- name: gains
SELECT * FROM gamification.quarantine
WHERE resolved_at IS NULL AND (created_at, id) < ($1, $2)
ORDER BY created_at DESC, id DESC
LIMIT $3

-- name: gains_of
SELECT * FROM gamification.quarantine
WHERE user_id = $4 AND resolved_at IS NULL AND (created_at, id) < ($1, $2)
ORDER BY created_at DESC, id DESC
LIMIT $3

-- name: gain_user
SELECT user_id FROM gamification.quarantine WHERE id = $1

-- name: analytics
SELECT subject, measure, sum(count)::bigint AS count FROM gamification.analytics
WHERE $1::varchar[] IS NULL OR subject = ANY($1::varchar[])
GROUP BY subject, measure
ORDER BY subject, measure
