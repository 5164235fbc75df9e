-- name: revision
SELECT revision FROM leaderboard.catalogue_revision

-- name: boards
SELECT id, document, created_at FROM leaderboard.boards ORDER BY id

-- name: seasons
SELECT id, title, starts_at, ends_at FROM leaderboard.seasons ORDER BY starts_at, id

-- name: advance
-- Whoever adds something comes here first, and waits for the others.
UPDATE leaderboard.catalogue_revision SET revision = revision + 1

-- name: add_board
INSERT INTO leaderboard.boards (id, document, created_at) VALUES ($1, $2::jsonb, $3)
ON CONFLICT (id) DO NOTHING RETURNING true

-- name: season_between
-- One that meets the time from $1 to $2.
SELECT id FROM leaderboard.seasons WHERE starts_at < $2 AND ends_at > $1 ORDER BY starts_at LIMIT 1

-- name: add_season
INSERT INTO leaderboard.seasons (id, title, starts_at, ends_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO NOTHING RETURNING true
