-- name: insert
INSERT INTO gameplay.combat_sessions (
    id, name, type, status, max_players, min_players, map_id, game_mode, ruleset_name, ruleset_version,
    tick_rate, spectator_delay_s, created_at, started_at, ended_at, player_count, owner, epoch,
    arena_key, ruleset_hash, map_hash
) VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21
)
ON CONFLICT (id) DO NOTHING
RETURNING id

-- name: update
UPDATE gameplay.combat_sessions
SET name = $4, status = $5, max_players = $6, min_players = $7, spectator_delay_s = $8,
    started_at = $9, ended_at = $10, player_count = $11
WHERE id = $1 AND owner = $2 AND epoch = $3 AND status IN ('WAITING', 'ACTIVE')
RETURNING id

-- name: get
SELECT * FROM gameplay.combat_sessions WHERE id = $1

-- name: list
SELECT * FROM gameplay.combat_sessions
WHERE ($1::varchar IS NULL OR status = $1)
  AND ($2::varchar IS NULL OR type = $2)
  AND ($3::timestamp IS NULL OR (created_at, id) < ($3, $4::varchar))
ORDER BY created_at DESC, id DESC
LIMIT $5

-- name: set_counts
UPDATE gameplay.combat_sessions AS session
SET player_count = counted.players
FROM unnest($2::varchar[], $3::integer[]) AS counted (id, players)
WHERE session.id = counted.id AND session.owner = $1
