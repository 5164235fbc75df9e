-- name: players
-- How many are ranked.
SELECT count(*) FROM leaderboard.entries
WHERE board = $1 AND window_name = $2 AND season = $3 AND period = $4 AND NOT quarantined

-- name: before
-- How many come before a key, or before a result.
SELECT count(*) FROM leaderboard.entries
WHERE board = $1 AND window_name = $2 AND season = $3 AND period = $4 AND NOT quarantined AND sort_key < $5

-- name: results_before
-- How many results are better than one; $6: bytes of a result.
SELECT count(DISTINCT substring(sort_key FROM 1 FOR $6)) FROM leaderboard.entries
WHERE board = $1 AND window_name = $2 AND season = $3 AND period = $4 AND NOT quarantined AND sort_key < $5

-- name: result_there
-- Whether somebody who is ranked has the result; $6: the first key that is worse.
SELECT EXISTS (
    SELECT FROM leaderboard.entries
    WHERE board = $1 AND window_name = $2 AND season = $3 AND period = $4 AND NOT quarantined
        AND sort_key >= $5 AND sort_key < $6
)

-- name: after
SELECT sort_key, achieved_at, submissions, quarantined FROM leaderboard.entries
WHERE board = $1 AND window_name = $2 AND season = $3 AND period = $4 AND NOT quarantined AND sort_key > $5
ORDER BY sort_key
LIMIT $6

-- name: ahead
-- The nearest first.
SELECT sort_key, achieved_at, submissions, quarantined FROM leaderboard.entries
WHERE board = $1 AND window_name = $2 AND season = $3 AND period = $4 AND NOT quarantined AND sort_key < $5
ORDER BY sort_key DESC
LIMIT $6

-- name: of_players
SELECT sort_key, achieved_at, submissions, quarantined FROM leaderboard.entries
WHERE board = $1 AND window_name = $2 AND season = $3 AND period = $4 AND player_id = ANY($5::varchar[])
ORDER BY sort_key

-- name: all
-- Page by page; quarantined ones too.
SELECT board, window_name, season, period, player_id, score, c1, c2, achieved_at, submissions, last_at, last_event,
       quarantined, revision
FROM leaderboard.entries
WHERE board = $1 AND window_name = $2 AND season = $3 AND period = $4 AND player_id > $5
ORDER BY player_id
LIMIT $6

-- name: open_places
SELECT board, window_name, season, period FROM leaderboard.periods WHERE NOT final

-- name: unprojected
SELECT changes FROM leaderboard.unprojected

-- name: some
SELECT e.board, e.window_name, e.season, e.period, e.player_id, e.score, e.c1, e.c2, e.achieved_at, e.submissions,
       e.last_at, e.last_event, e.quarantined, e.revision
FROM unnest($1::varchar[], $2::varchar[], $3::varchar[], $4::varchar[], $5::varchar[])
     AS asked (board, window_name, season, period, player_id)
JOIN leaderboard.entries e USING (board, window_name, season, period, player_id)
