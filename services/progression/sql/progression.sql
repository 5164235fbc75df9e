-- name: lock
-- In the order of ids, so that two processes never wait for each other. Only a later statement sees all that
-- the last holder wrote.
SELECT character_id
FROM progression.characters
WHERE character_id = ANY($1::varchar[])
ORDER BY character_id
FOR UPDATE

-- name: load
SELECT c.character_id, c.player_id, c.definition, c.version, c.base_experience, c.base_level,
       c.created_at, c.updated_at,
       p.experience AS paragon_experience, p.level AS paragon_level, p.points_earned,
       p.strength, p.agility, p.intelligence, p.vitality, p.luck, p.respecs,
       s.resets, s.xp_micro, s.currency_micro, s.drop_rate_micro,
       (SELECT json_object_agg(m.type, json_build_array(m.experience, m.level))
        FROM progression.mastery_data m WHERE m.character_id = c.character_id) AS mastery,
       (SELECT json_object_agg(r.reward_id, r.unlocked_at)
        FROM progression.rewards r WHERE r.character_id = c.character_id) AS rewards
FROM progression.characters c
JOIN progression.paragon_levels p USING (character_id)
JOIN progression.prestige_data s USING (character_id)
WHERE c.character_id = ANY($1::varchar[])

-- name: behind
SELECT character_id
FROM progression.characters
WHERE definition <> $1 AND character_id > $2
ORDER BY character_id
LIMIT $3

-- name: count_behind
SELECT count(*) FROM progression.characters WHERE definition <> $1

-- name: append
-- Fails with a unique violation when somebody else enrolled a character of the same id.
INSERT INTO progression.event_store (stream_id, version, type, payload, metadata, created_at)
SELECT *, $6::timestamptz
FROM unnest($1::varchar[], $2::bigint[], $3::varchar[], $4::jsonb[], $5::jsonb[])

-- name: put_characters
INSERT INTO progression.characters AS old (
    character_id, player_id, definition, version, base_experience, base_level, created_at, updated_at
)
SELECT character_id, player_id, definition, version, base_experience::numeric, base_level, created_at,
       updated_at
FROM unnest(
    $1::varchar[], $2::varchar[], $3::varchar[], $4::bigint[], $5::text[], $6::integer[], $7::timestamptz[],
    $8::timestamptz[]
) AS new (
    character_id, player_id, definition, version, base_experience, base_level, created_at, updated_at
)
ON CONFLICT (character_id) DO UPDATE
SET player_id = excluded.player_id,
    definition = excluded.definition,
    version = excluded.version,
    base_experience = excluded.base_experience,
    base_level = excluded.base_level,
    updated_at = excluded.updated_at

-- name: put_paragon
INSERT INTO progression.paragon_levels (
    character_id, experience, level, points_earned, strength, agility, intelligence, vitality, luck, respecs
)
SELECT character_id, experience::numeric, level, points_earned, strength, agility, intelligence, vitality,
       luck, respecs
FROM unnest(
    $1::varchar[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::bigint[], $10::bigint[]
) AS new (
    character_id, experience, level, points_earned, strength, agility, intelligence, vitality, luck, respecs
)
ON CONFLICT (character_id) DO UPDATE
SET experience = excluded.experience,
    level = excluded.level,
    points_earned = excluded.points_earned,
    strength = excluded.strength,
    agility = excluded.agility,
    intelligence = excluded.intelligence,
    vitality = excluded.vitality,
    luck = excluded.luck,
    respecs = excluded.respecs

-- name: put_prestige
INSERT INTO progression.prestige_data (character_id, resets, xp_micro, currency_micro, drop_rate_micro)
SELECT * FROM unnest($1::varchar[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
ON CONFLICT (character_id) DO UPDATE
SET resets = excluded.resets,
    xp_micro = excluded.xp_micro,
    currency_micro = excluded.currency_micro,
    drop_rate_micro = excluded.drop_rate_micro

-- name: put_mastery
INSERT INTO progression.mastery_data (character_id, type, experience, level)
SELECT character_id, type, experience::numeric, level
FROM unnest($1::varchar[], $2::varchar[], $3::text[], $4::integer[])
     AS new (character_id, type, experience, level)
ON CONFLICT (character_id, type) DO UPDATE
SET experience = excluded.experience,
    level = excluded.level

-- name: put_rewards
-- Unlocked once for ever.
INSERT INTO progression.rewards (character_id, reward_id, unlocked_at)
SELECT * FROM unnest($1::varchar[], $2::varchar[], $3::timestamptz[])

-- name: add_statistics
-- Comes in the order of shards and buckets, so that two processes never wait for each other.
INSERT INTO progression.level_statistics AS old (
    shard, bucket, characters, experience, levels, strength, agility, intelligence, vitality, luck
)
SELECT shard, bucket, characters, experience::numeric, levels::numeric, strength::numeric, agility::numeric,
       intelligence::numeric, vitality::numeric, luck::numeric
FROM unnest(
    $1::smallint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[]
) AS new (
    shard, bucket, characters, experience, levels, strength, agility, intelligence, vitality, luck
)
ON CONFLICT (shard, bucket) DO UPDATE
SET characters = old.characters + excluded.characters,
    experience = old.experience + excluded.experience,
    levels = old.levels + excluded.levels,
    strength = old.strength + excluded.strength,
    agility = old.agility + excluded.agility,
    intelligence = old.intelligence + excluded.intelligence,
    vitality = old.vitality + excluded.vitality,
    luck = old.luck + excluded.luck
