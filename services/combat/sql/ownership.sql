-- name: forget
DELETE FROM gameplay.combat_workers WHERE heartbeat_at < clock_timestamp() - interval '1 day'

-- name: join
INSERT INTO gameplay.combat_workers (id, name, backend_pid, backend_start, heartbeat_at)
SELECT $1, $2, pid, backend_start, clock_timestamp() FROM pg_stat_activity WHERE pid = pg_backend_pid()
ON CONFLICT (id) DO UPDATE
SET backend_pid = excluded.backend_pid, backend_start = excluded.backend_start,
    heartbeat_at = excluded.heartbeat_at

-- name: beat
UPDATE gameplay.combat_workers SET heartbeat_at = clock_timestamp()
WHERE id = $1 AND backend_pid = pg_backend_pid()
RETURNING TRUE

-- name: leave
DELETE FROM gameplay.combat_workers WHERE id = $1

-- name: claim
UPDATE gameplay.combat_sessions
SET owner = $2, epoch = epoch + 1, claimed_at = clock_timestamp() AT TIME ZONE 'utc'
WHERE id = $1 AND status IN ('WAITING', 'ACTIVE')
  AND (owner = $2 OR owner NOT IN (SELECT gameplay.combat_living($3)))
RETURNING *

-- name: release
UPDATE gameplay.combat_sessions
SET owner = '', claimed_at = clock_timestamp() AT TIME ZONE 'utc'
WHERE id = $1 AND owner = $2 AND epoch = $3
RETURNING TRUE

-- name: held
SELECT id, epoch FROM gameplay.combat_sessions WHERE owner = $1 AND status IN ('WAITING', 'ACTIVE')

-- name: orphans
SELECT session.id FROM gameplay.combat_sessions AS session
LEFT JOIN gameplay.combat_workers AS worker ON worker.id = session.owner
WHERE session.status IN ('WAITING', 'ACTIVE') AND session.owner NOT IN (SELECT gameplay.combat_living($2))
  AND (
      split_part(session.owner, '.', 1) = $1
      OR coalesce(
          CASE WHEN session.owner = '' THEN session.claimed_at AT TIME ZONE 'utc' ELSE worker.heartbeat_at END,
          '-infinity'
      ) < clock_timestamp() - make_interval(secs => $3)
  )
-- So that workers who look at the same time begin with different ones.
ORDER BY random()
LIMIT $4
