-- name: flags
-- The newest first, of everybody.
SELECT id, player_id, detector_id, detector_version, rule_version, mode, state, opened_at, last_at, occurrences,
       reason, appeal_until, decisions, appeal
FROM fairness.flags
WHERE (opened_at, id) < ($1, $2)
  AND ($3 = '' OR detector_id = $3) AND ($4 = '' OR state = $4) AND ($5 OR mode <> 'shadow')
ORDER BY opened_at DESC, id DESC
LIMIT $6

-- name: flags_of
-- The same, of a player.
SELECT id, player_id, detector_id, detector_version, rule_version, mode, state, opened_at, last_at, occurrences,
       reason, appeal_until, decisions, appeal
FROM fairness.flags
WHERE player_id = $7 AND (opened_at, id) < ($1, $2)
  AND ($3 = '' OR detector_id = $3) AND ($4 = '' OR state = $4) AND ($5 OR mode <> 'shadow')
ORDER BY opened_at DESC, id DESC
LIMIT $6

-- name: flag
SELECT f.*, e.evidence
FROM fairness.flags f LEFT JOIN fairness.evidence e ON e.flag_id = f.id
WHERE f.id = $1

-- name: standing
-- What has not ended, and the flags that it came from: as they are together.
SELECT ARRAY(SELECT s FROM fairness.sanctions s WHERE player_id = $1 AND ended_at IS NULL) AS sanctions,
       ARRAY(SELECT f FROM fairness.flags f WHERE id IN (
           SELECT flag_id FROM fairness.sanctions WHERE player_id = $1 AND ended_at IS NULL
       )) AS flags

-- name: audit
-- The newest first.
SELECT sequence, at, actor, action, player_id, flag_id, details, previous, hash
FROM fairness.audit
WHERE sequence < $1
ORDER BY sequence DESC
LIMIT $2

-- name: audit_of_player
SELECT sequence, at, actor, action, player_id, flag_id, details, previous, hash
FROM fairness.audit
WHERE player_id = $3 AND player_id <> '' AND sequence < $1
ORDER BY sequence DESC
LIMIT $2

-- name: audit_of_flag
SELECT sequence, at, actor, action, player_id, flag_id, details, previous, hash
FROM fairness.audit
WHERE flag_id = $3 AND flag_id <> '' AND ($4 = '' OR player_id = $4) AND sequence < $1
ORDER BY sequence DESC
LIMIT $2

-- name: opened
-- What the log says of a flag when it was raised.
SELECT details FROM fairness.audit WHERE flag_id = $1 AND flag_id <> '' AND action = 'flag.opened'

-- name: observations
-- Of events.
SELECT event_id, at, readings FROM fairness.observations WHERE player_id = $1 AND event_id = ANY($2::varchar[])
