-- The truth: every event of every character, in order and without gaps. Nothing here is ever changed.
CREATE TABLE progression.event_store (
    -- The character.
    stream_id VARCHAR(64) NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    type VARCHAR(64) NOT NULL,
    payload JSONB NOT NULL,
    -- `schema`: of the payload. `actor`: `<role>:<subject>` or `event:<id>`. `request`: its idempotency key.
    metadata JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (stream_id, version)
);
-- A character's resets are shown often, and are few among its events.
CREATE INDEX idx_event_store_resets ON progression.event_store (stream_id, version DESC)
    WHERE type = 'prestige_reset';

-- From here to `rewards`: projections, which can be made anew from the events.
CREATE TABLE progression.characters (
    character_id VARCHAR(64) PRIMARY KEY,
    player_id VARCHAR(64) NOT NULL,
    -- Name and version of the definition that its levels follow.
    definition VARCHAR(64) NOT NULL,
    -- Of its last event. Whoever changes a character holds this row's lock.
    version BIGINT NOT NULL,
    base_experience NUMERIC NOT NULL CHECK (base_experience >= 0),
    base_level INTEGER NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX idx_characters_player ON progression.characters (player_id);

CREATE TABLE progression.paragon_levels (
    character_id VARCHAR(64) PRIMARY KEY,
    experience NUMERIC NOT NULL CHECK (experience >= 0),
    level BIGINT NOT NULL,
    points_earned BIGINT NOT NULL,
    strength BIGINT NOT NULL CHECK (strength >= 0),
    agility BIGINT NOT NULL CHECK (agility >= 0),
    intelligence BIGINT NOT NULL CHECK (intelligence >= 0),
    vitality BIGINT NOT NULL CHECK (vitality >= 0),
    luck BIGINT NOT NULL CHECK (luck >= 0),
    respecs BIGINT NOT NULL,
    CHECK (strength + agility + intelligence + vitality + luck <= points_earned)
) WITH (fillfactor = 70);
-- The best: by level here, and within a level by sorting, so that an award that changes no level changes no
-- index.
CREATE INDEX idx_paragon_level ON progression.paragon_levels (level DESC);

CREATE TABLE progression.prestige_data (
    character_id VARCHAR(64) PRIMARY KEY,
    resets BIGINT NOT NULL,
    xp_micro BIGINT NOT NULL,
    currency_micro BIGINT NOT NULL,
    drop_rate_micro BIGINT NOT NULL
);

CREATE TABLE progression.mastery_data (
    character_id VARCHAR(64) NOT NULL,
    type VARCHAR(32) NOT NULL,
    experience NUMERIC NOT NULL CHECK (experience >= 0),
    level INTEGER NOT NULL,
    PRIMARY KEY (character_id, type)
) WITH (fillfactor = 70);

CREATE TABLE progression.rewards (
    character_id VARCHAR(64) NOT NULL,
    reward_id VARCHAR(64) NOT NULL,
    unlocked_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (character_id, reward_id)
);

-- Sums over all characters, kept up with every change. A character counts in the shard that its id hashes to,
-- so that changes of different characters seldom wait for each other.
CREATE TABLE progression.level_statistics (
    shard SMALLINT NOT NULL,
    -- The lowest level of the bucket.
    bucket BIGINT NOT NULL,
    characters BIGINT NOT NULL,
    experience NUMERIC NOT NULL,
    levels NUMERIC NOT NULL,
    strength NUMERIC NOT NULL,
    agility NUMERIC NOT NULL,
    intelligence NUMERIC NOT NULL,
    vitality NUMERIC NOT NULL,
    luck NUMERIC NOT NULL,
    PRIMARY KEY (shard, bucket)
) WITH (fillfactor = 50);

-- Answers of requests that came with a key, for whoever sends one again.
CREATE TABLE progression.idempotency_keys (
    scope VARCHAR(255) NOT NULL,
    key VARCHAR(128) NOT NULL,
    payload_hash BYTEA NOT NULL,
    answer BYTEA,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idx_idempotency_created ON progression.idempotency_keys (created_at);
