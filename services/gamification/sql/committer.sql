-- name: lock
-- In the order of ids, so that two processes never wait for each other. What it returns is what the last holder
-- wrote.
SELECT user_id, version, notified, achievements_completed, achievement_points
FROM gamification.players
WHERE user_id = ANY($1::varchar[])
ORDER BY user_id
FOR UPDATE

-- name: accumulators
SELECT user_id, scope, metric, window_key, starts_at, count, sum, min, max, last, last_at, last_event, members,
       over_at
FROM gamification.accumulators
WHERE user_id = ANY($1::varchar[])

-- name: load
-- One row, so that it is one round trip. $1: players that are not in memory.
SELECT (SELECT revision FROM gamification.definitions_revision) AS revision,
       ARRAY(SELECT a FROM gamification.achievement_progress a WHERE user_id = ANY($1::varchar[])) AS achievements,
       ARRAY(SELECT q FROM gamification.quest_progress q WHERE user_id = ANY($1::varchar[])) AS quests,
       ARRAY(SELECT c FROM gamification.closings c WHERE user_id = ANY($1::varchar[])) AS closings,
       ARRAY(SELECT g FROM gamification.grants g WHERE id = ANY($2::varchar[])) AS grants,
       ARRAY(SELECT b FROM gamification.balances b WHERE account = ANY($3::varchar[])) AS balances,
       ARRAY(SELECT q FROM gamification.quarantine q WHERE id = ANY($4::varchar[])) AS gains,
       ARRAY(SELECT k FROM gamification.idempotency_keys k
             WHERE (scope, key) IN (SELECT * FROM unnest($5::varchar[], $6::varchar[]))) AS answers,
       ARRAY(SELECT event_id FROM gamification.inbox
             WHERE consumer_group = $7 AND event_id = ANY($8::varchar[])) AS seen,
       ARRAY(SELECT event_id FROM gamification.inbox
             WHERE consumer_group = $9 AND event_id = ANY($10::varchar[])) AS records

-- name: create_players
-- Fails with a unique violation when somebody else created one.
INSERT INTO gamification.players (
    user_id, version, notified, achievements_completed, achievement_points, created_at, updated_at
)
SELECT *, $6::timestamptz, $6::timestamptz
FROM unnest($1::varchar[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])

-- name: put_players
UPDATE gamification.players old
SET version = new.version,
    notified = new.notified,
    achievements_completed = new.achievements_completed,
    achievement_points = new.achievement_points,
    updated_at = $6::timestamptz
FROM unnest($1::varchar[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
     AS new (user_id, version, notified, achievements_completed, achievement_points)
WHERE old.user_id = new.user_id

-- name: put_accumulators
INSERT INTO gamification.accumulators (
    user_id, scope, metric, window_key, starts_at, count, sum, min, max, last, last_at, last_event, members,
    over_at
)
SELECT user_id, scope, metric, window_key, starts_at, count, sum::numeric, min, max, last, last_at, last_event,
       CASE WHEN members IS NULL THEN '{}'::text[]
            ELSE ARRAY(SELECT jsonb_array_elements_text(members)) END,
       over_at
FROM unnest(
    $1::varchar[], $2::varchar[], $3::varchar[], $4::varchar[], $5::timestamptz[], $6::bigint[], $7::text[],
    $8::bigint[], $9::bigint[], $10::bigint[], $11::timestamptz[], $12::varchar[], $13::jsonb[],
    $14::timestamptz[]
) AS new (
    user_id, scope, metric, window_key, starts_at, count, sum, min, max, last, last_at, last_event, members,
    over_at
)
ON CONFLICT (user_id, scope, metric, window_key, starts_at) DO UPDATE
SET count = excluded.count,
    sum = excluded.sum,
    min = excluded.min,
    max = excluded.max,
    last = excluded.last,
    last_at = excluded.last_at,
    last_event = excluded.last_event,
    members = excluded.members,
    over_at = excluded.over_at

-- name: forget_accumulators
DELETE FROM gamification.accumulators
WHERE (user_id, scope, metric, window_key, starts_at) IN (
    SELECT * FROM unnest($1::varchar[], $2::varchar[], $3::varchar[], $4::varchar[], $5::timestamptz[])
)

-- name: put_closings
INSERT INTO gamification.closings (user_id, subject, window_key, starts_at, closes_at)
SELECT * FROM unnest($1::varchar[], $2::varchar[], $3::varchar[], $4::timestamptz[], $5::timestamptz[])
ON CONFLICT (user_id, subject, window_key, starts_at) DO UPDATE
SET closes_at = excluded.closes_at

-- name: take_closings
DELETE FROM gamification.closings
WHERE (user_id, subject, window_key, starts_at) IN (
    SELECT * FROM unnest($1::varchar[], $2::varchar[], $3::varchar[], $4::timestamptz[])
)

-- name: put_achievements
INSERT INTO gamification.achievement_progress (
    user_id, achievement_id, cycle, version, progress, met, started_at, completed_at, completions, history
)
SELECT * FROM unnest(
    $1::varchar[], $2::varchar[], $3::bigint[], $4::bigint[], $5::integer[], $6::jsonb[], $7::timestamptz[],
    $8::timestamptz[], $9::bigint[], $10::jsonb[]
)
ON CONFLICT (user_id, achievement_id) DO UPDATE
SET cycle = excluded.cycle,
    version = excluded.version,
    progress = excluded.progress,
    met = excluded.met,
    started_at = excluded.started_at,
    completed_at = excluded.completed_at,
    completions = excluded.completions,
    history = excluded.history

-- name: put_quests
INSERT INTO gamification.quest_progress (
    user_id, quest_id, cycle, version, status, steps, started_at, ended_at, expires_at, completions, history
)
SELECT * FROM unnest(
    $1::varchar[], $2::varchar[], $3::bigint[], $4::bigint[], $5::varchar[], $6::jsonb[], $7::timestamptz[],
    $8::timestamptz[], $9::timestamptz[], $10::bigint[], $11::jsonb[]
)
ON CONFLICT (user_id, quest_id) DO UPDATE
SET cycle = excluded.cycle,
    version = excluded.version,
    status = excluded.status,
    steps = excluded.steps,
    started_at = excluded.started_at,
    ended_at = excluded.ended_at,
    expires_at = excluded.expires_at,
    completions = excluded.completions,
    history = excluded.history

-- name: grant
INSERT INTO gamification.grants (
    id, user_id, reward_id, reward_version, source, source_id, cycle, title, status, contents, seed, cause,
    granted_at, expires_at, claimed_at, revoked_at
)
SELECT * FROM unnest(
    $1::varchar[], $2::varchar[], $3::varchar[], $4::bigint[], $5::varchar[], $6::varchar[], $7::bigint[],
    $8::varchar[], $9::varchar[], $10::jsonb[], $11::bytea[], $12::varchar[], $13::timestamptz[],
    $14::timestamptz[], $15::timestamptz[], $16::timestamptz[]
)

-- name: settle
-- Compares and sets: a grant that is no longer what it was decided on fails the transaction, for want of a status.
UPDATE gamification.grants old
SET status = CASE WHEN old.status = new.before THEN new.status END,
    contents = new.contents,
    claimed_at = new.claimed_at,
    revoked_at = new.revoked_at
FROM unnest($1::varchar[], $2::varchar[], $3::varchar[], $4::jsonb[], $5::timestamptz[], $6::timestamptz[])
     AS new (id, before, status, contents, claimed_at, revoked_at)
WHERE old.id = new.id

-- name: transfer
INSERT INTO gamification.transfers (id, kind, from_account, to_account, asset, amount, grant_id, user_id, at)
SELECT * FROM unnest(
    $1::varchar[], $2::varchar[], $3::varchar[], $4::varchar[], $5::varchar[], $6::bigint[], $7::varchar[],
    $8::varchar[], $9::timestamptz[]
)

-- name: move_balances
-- What is there can be read, since only who holds the player's lock changes it. Fails with a check violation
-- when less than nothing would be left.
INSERT INTO gamification.balances (account, asset, user_id, item_type, amount)
SELECT new.account, new.asset, new.user_id, new.item_type, coalesce(old.amount, 0) + new.amount
FROM unnest($1::varchar[], $2::varchar[], $3::varchar[], $4::varchar[], $5::bigint[])
     AS new (account, asset, user_id, item_type, amount)
LEFT JOIN gamification.balances old ON old.account = new.account AND old.asset = new.asset
ON CONFLICT (account, asset) DO UPDATE
SET amount = excluded.amount

-- name: notify
INSERT INTO gamification.notifications (user_id, sequence, type, title, data, cause, created_at)
SELECT *, $7::timestamptz
FROM unnest($1::varchar[], $2::bigint[], $3::varchar[], $4::varchar[], $5::jsonb[], $6::varchar[])

-- name: quarantine
INSERT INTO gamification.quarantine (
    id, user_id, metric, value, member, occurred_at, event, cause, per_us, most, reached, created_at
)
SELECT id, user_id, metric, value, member, occurred_at, event, cause, per_us, most, reached::numeric, created_at
FROM unnest(
    $1::varchar[], $2::varchar[], $3::varchar[], $4::bigint[], $5::varchar[], $6::timestamptz[], $7::varchar[],
    $8::varchar[], $9::bigint[], $10::bigint[], $11::text[], $12::timestamptz[]
) AS new (
    id, user_id, metric, value, member, occurred_at, event, cause, per_us, most, reached, created_at
)

-- name: resolve
UPDATE gamification.quarantine old
SET resolved_at = $3::timestamptz,
    released = new.released
FROM unnest($1::varchar[], $2::boolean[]) AS new (id, released)
WHERE old.id = new.id

-- name: count
-- Comes in the order of the key, so that two processes never wait for each other.
INSERT INTO gamification.analytics AS old (shard, subject, measure, count)
SELECT shard, subject, measure, count::numeric
FROM unnest($1::smallint[], $2::varchar[], $3::varchar[], $4::text[]) AS new (shard, subject, measure, count)
ON CONFLICT (shard, subject, measure) DO UPDATE
SET count = old.count + excluded.count
