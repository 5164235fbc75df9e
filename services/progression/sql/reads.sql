-- name: history
SELECT stream_id, version, type, payload, metadata, created_at FROM progression.event_store
    WHERE stream_id = $1 AND version < $2 ORDER BY version DESC LIMIT $3

-- name: after
SELECT stream_id, version, type, payload, metadata, created_at FROM progression.event_store
    WHERE stream_id = $1 AND version > $2 ORDER BY version LIMIT $3

-- name: resets
SELECT stream_id, version, type, payload, metadata, created_at FROM progression.event_store
    WHERE stream_id = $1 AND version <= $2 AND type = 'prestige_reset' ORDER BY version DESC LIMIT $3

-- name: versions
SELECT character_id, version FROM progression.characters WHERE character_id = ANY($1::text[])

-- name: statistics
SELECT bucket, sum(characters)::bigint AS characters, sum(experience) AS experience, sum(levels) AS levels,
        sum(strength) AS strength, sum(agility) AS agility, sum(intelligence) AS intelligence,
        sum(vitality) AS vitality, sum(luck) AS luck
    FROM progression.level_statistics GROUP BY bucket HAVING sum(characters) > 0 ORDER BY bucket

-- name: top
SELECT character_id, level, experience, rank() OVER (ORDER BY level DESC, experience DESC) AS rank
    FROM (SELECT character_id, level, experience FROM progression.paragon_levels
        ORDER BY level DESC, experience DESC, character_id LIMIT $1) best
    ORDER BY rank, character_id
