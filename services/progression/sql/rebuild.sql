-- name: next_ids
-- Of everybody who has events, or a row that should not be there.
SELECT id FROM (
    (SELECT stream_id AS id FROM progression.event_store
     WHERE version = 1 AND stream_id > $1 ORDER BY stream_id LIMIT $2)
    UNION
    (SELECT character_id FROM progression.characters
     WHERE character_id > $1 ORDER BY character_id LIMIT $2)
    UNION
    (SELECT character_id FROM progression.paragon_levels
     WHERE character_id > $1 ORDER BY character_id LIMIT $2)
    UNION
    (SELECT character_id FROM progression.prestige_data
     WHERE character_id > $1 ORDER BY character_id LIMIT $2)
    UNION
    (SELECT DISTINCT character_id FROM progression.mastery_data
     WHERE character_id > $1 ORDER BY character_id LIMIT $2)
    UNION
    (SELECT DISTINCT character_id FROM progression.rewards
     WHERE character_id > $1 ORDER BY character_id LIMIT $2)
) AS ids
ORDER BY id
LIMIT $2

-- name: count
SELECT count(*) FROM progression.event_store WHERE version = 1

-- name: events
SELECT stream_id, version, type, payload, metadata, created_at
FROM progression.event_store
WHERE stream_id = ANY($1::varchar[])
ORDER BY stream_id, version

-- name: characters
SELECT character_id, player_id, definition, version, base_experience::text, base_level, created_at, updated_at
FROM progression.characters
WHERE character_id = ANY($1::varchar[])

-- name: paragon
SELECT character_id, experience::text, level, points_earned, strength, agility, intelligence, vitality, luck,
       respecs
FROM progression.paragon_levels
WHERE character_id = ANY($1::varchar[])

-- name: prestige
SELECT character_id, resets, xp_micro, currency_micro, drop_rate_micro
FROM progression.prestige_data
WHERE character_id = ANY($1::varchar[])

-- name: mastery
SELECT character_id, type, experience::text, level
FROM progression.mastery_data
WHERE character_id = ANY($1::varchar[])

-- name: rewards
SELECT character_id, reward_id, unlocked_at
FROM progression.rewards
WHERE character_id = ANY($1::varchar[])

-- name: delete_characters
DELETE FROM progression.characters WHERE character_id = ANY($1::varchar[])

-- name: delete_paragon
DELETE FROM progression.paragon_levels WHERE character_id = ANY($1::varchar[])

-- name: delete_prestige
DELETE FROM progression.prestige_data WHERE character_id = ANY($1::varchar[])

-- name: delete_mastery
DELETE FROM progression.mastery_data WHERE character_id = ANY($1::varchar[])

-- name: delete_rewards
DELETE FROM progression.rewards WHERE character_id = ANY($1::varchar[])

-- name: paragon_of_all
SELECT character_id, level, experience, strength, agility, intelligence, vitality, luck
FROM progression.paragon_levels

-- name: statistics
SELECT shard, bucket, characters, experience, levels, strength, agility, intelligence, vitality, luck
FROM progression.level_statistics

-- name: delete_empty_statistics
-- Whoever adds to one of them at this moment finds it gone and makes it anew, or keeps it from going.
DELETE FROM progression.level_statistics
WHERE characters = 0 AND experience = 0 AND levels = 0
  AND strength = 0 AND agility = 0 AND intelligence = 0 AND vitality = 0 AND luck = 0
