-- name: share_holds
-- The first lock of a transaction. Nobody changes any hold until it ends.
SELECT player_id, revision, hidden
FROM leaderboard.holds
WHERE player_id = ANY($1::varchar[])
FOR KEY SHARE

-- name: lock_holds
-- Waits until nobody changes entries, and lets nobody: one that is created meanwhile would not be hidden.
LOCK TABLE leaderboard.holds IN EXCLUSIVE MODE

-- name: share_periods
-- Nobody makes these final until the transaction ends. What it returns is what the last holder wrote.
SELECT p.board, p.window_name, p.season, p.period, p.final
FROM unnest($1::varchar[], $2::varchar[], $3::varchar[], $4::varchar[])
     AS asked (board, window_name, season, period)
JOIN leaderboard.periods p USING (board, window_name, season, period)
ORDER BY p.board, p.window_name, p.season, p.period
FOR KEY SHARE OF p

-- name: keys_of_player
SELECT board, window_name, season, period
FROM leaderboard.entries
WHERE player_id = $1

-- name: lock_entries
-- In the order of keys, so that two processes never wait for each other.
SELECT e.board, e.window_name, e.season, e.period, e.player_id, e.score, e.c1, e.c2, e.achieved_at, e.submissions,
       e.last_at, e.last_event, e.quarantined, e.revision
FROM unnest($1::varchar[], $2::varchar[], $3::varchar[], $4::varchar[], $5::varchar[])
     AS asked (board, window_name, season, period, player_id)
JOIN leaderboard.entries e USING (board, window_name, season, period, player_id)
ORDER BY e.board, e.window_name, e.season, e.period, e.player_id
FOR UPDATE OF e

-- name: load
-- One row, so that it is one round trip.
SELECT (SELECT revision FROM leaderboard.catalogue_revision) AS revision,
       ARRAY(SELECT k FROM leaderboard.idempotency_keys k
             WHERE (scope, key) IN (SELECT * FROM unnest($1::varchar[], $2::varchar[]))) AS answers,
       ARRAY(SELECT event_id FROM leaderboard.inbox
             WHERE consumer_group = $3 AND event_id = ANY($4::varchar[])) AS events,
       ARRAY(SELECT s FROM leaderboard.seen s
             WHERE (caller, event_id) IN (SELECT * FROM unnest($5::varchar[], $6::varchar[]))) AS seen

-- name: create_periods
-- Fails with a unique violation when somebody else created one.
INSERT INTO leaderboard.periods (board, window_name, season, period, starts_at, ends_at, final_at)
SELECT * FROM unnest(
    $1::varchar[], $2::varchar[], $3::varchar[], $4::varchar[], $5::timestamptz[], $6::timestamptz[],
    $7::timestamptz[]
)

-- name: create_entries
-- Fails with a unique violation when somebody else created one.
INSERT INTO leaderboard.entries (
    board, window_name, season, period, player_id, score, c1, c2, achieved_at, submissions, last_at, last_event,
    quarantined, revision, sort_key
)
SELECT * FROM unnest(
    $1::varchar[], $2::varchar[], $3::varchar[], $4::varchar[], $5::varchar[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::timestamptz[], $10::bigint[], $11::timestamptz[], $12::varchar[], $13::boolean[],
    $14::bigint[], $15::bytea[]
)

-- name: put_entries
UPDATE leaderboard.entries old
SET score = new.score,
    c1 = new.c1,
    c2 = new.c2,
    achieved_at = new.achieved_at,
    submissions = new.submissions,
    last_at = new.last_at,
    last_event = new.last_event,
    quarantined = new.quarantined,
    revision = new.revision,
    sort_key = new.sort_key
FROM unnest(
    $1::varchar[], $2::varchar[], $3::varchar[], $4::varchar[], $5::varchar[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::timestamptz[], $10::bigint[], $11::timestamptz[], $12::varchar[], $13::boolean[],
    $14::bigint[], $15::bytea[]
) AS new (
    board, window_name, season, period, player_id, score, c1, c2, achieved_at, submissions, last_at, last_event,
    quarantined, revision, sort_key
)
WHERE (old.board, old.window_name, old.season, old.period, old.player_id)
    = (new.board, new.window_name, new.season, new.period, new.player_id)

-- name: note_seen
-- Fails with a unique violation when somebody else noted one.
INSERT INTO leaderboard.seen (caller, event_id)
SELECT * FROM unnest($1::varchar[], $2::varchar[])

-- name: forget_seen
DELETE FROM leaderboard.seen
WHERE (caller, event_id) IN (
    SELECT caller, event_id FROM leaderboard.seen WHERE noted_at < now() - $1::interval ORDER BY noted_at LIMIT $2
)
RETURNING true

-- name: put_holds
INSERT INTO leaderboard.holds (player_id, revision, hidden)
SELECT player_id, revision, hidden::jsonb
FROM unnest($1::varchar[], $2::bigint[], $3::text[]) AS new (player_id, revision, hidden)
ON CONFLICT (player_id) DO UPDATE SET revision = excluded.revision, hidden = excluded.hidden

-- name: put_unprojected
INSERT INTO leaderboard.unprojected (worker, changes) VALUES ($1, $2::jsonb)
ON CONFLICT (worker) DO UPDATE SET changes = excluded.changes
