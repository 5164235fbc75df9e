-- name: state
SELECT final, entries, checksum FROM leaderboard.periods
WHERE board = $1 AND window_name = $2 AND season = $3 AND period = $4

-- name: list
SELECT board, window_name, season, period, starts_at, ends_at, final, entries, checksum
FROM leaderboard.periods
WHERE board = $1 AND window_name = $2 AND ($3::timestamptz IS NULL OR starts_at < $3)
ORDER BY starts_at DESC
LIMIT $4
