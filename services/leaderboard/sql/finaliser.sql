-- name: due
SELECT board, window_name, season, period
FROM leaderboard.periods
WHERE NOT final AND final_at <= $1
ORDER BY final_at
LIMIT $2

-- name: lock
-- Waits for whoever changes entries of it, and lets nobody else. Nothing when it is final.
SELECT true
FROM leaderboard.periods
WHERE board = $1 AND window_name = $2 AND season = $3 AND period = $4 AND NOT final
FOR UPDATE

-- name: ranked
SELECT sort_key, player_id, score, c1, c2, achieved_at
FROM leaderboard.entries
WHERE board = $1 AND window_name = $2 AND season = $3 AND period = $4 AND NOT quarantined
ORDER BY sort_key

-- name: quarantined
-- They are part of the checksum: so it stays true, whatever is quarantined or cleared later.
SELECT sort_key, player_id, score, c1, c2, achieved_at
FROM leaderboard.entries
WHERE board = $1 AND window_name = $2 AND season = $3 AND period = $4 AND quarantined
ORDER BY sort_key

-- name: finalise
UPDATE leaderboard.periods
SET final = true,
    entries = $5,
    checksum = $6,
    finalised_at = $7
WHERE board = $1 AND window_name = $2 AND season = $3 AND period = $4
