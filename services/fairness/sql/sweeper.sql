-- name: sanctions
-- The next page of what is over, behind the last one.
SELECT until, id, player_id
FROM fairness.sanctions
WHERE ended_at IS NULL AND until <= $1 AND (until, id) > ($3::timestamptz, $4::varchar)
ORDER BY until, id
LIMIT $2

-- name: observations
DELETE FROM fairness.observations
WHERE (player_id, number) IN (
    SELECT player_id, number FROM fairness.observations WHERE recorded_at <= $1 ORDER BY recorded_at LIMIT $2
)
RETURNING true

-- name: peers
DELETE FROM fairness.peers
WHERE (detector_id, group_name, day, bucket) IN (
    SELECT detector_id, group_name, day, bucket FROM fairness.peers WHERE day <= $1 ORDER BY day LIMIT $2
)
RETURNING true
