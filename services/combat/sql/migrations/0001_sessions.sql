-- Times are UTC without a zone, as the other tables of this schema have them.
CREATE TABLE gameplay.combat_sessions (
    id VARCHAR(255) PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    type VARCHAR(50) NOT NULL,
    status VARCHAR(50) NOT NULL CHECK (status IN ('WAITING', 'ACTIVE', 'ENDED', 'ABORTED')),
    max_players INTEGER NOT NULL CHECK (max_players BETWEEN 1 AND 1000),
    created_at TIMESTAMP NOT NULL,
    started_at TIMESTAMP,
    ended_at TIMESTAMP,
    map_id VARCHAR(255) NOT NULL,
    game_mode VARCHAR(255) NOT NULL,
    min_players INTEGER NOT NULL,
    player_count INTEGER NOT NULL,
    ruleset_name VARCHAR(64) NOT NULL,
    ruleset_version INTEGER NOT NULL,
    tick_rate INTEGER NOT NULL,
    spectator_delay_s INTEGER NOT NULL,
    -- The worker that plays the session, and how often that changed: the fence for its writes.
    owner VARCHAR(64) NOT NULL,
    epoch BIGINT NOT NULL
);

-- Lists, newest first: all, by status, by type.
CREATE INDEX idx_combat_sessions_created ON gameplay.combat_sessions (created_at DESC, id DESC);
CREATE INDEX idx_combat_sessions_status ON gameplay.combat_sessions (status, created_at DESC, id DESC);
CREATE INDEX idx_combat_sessions_type ON gameplay.combat_sessions (type, created_at DESC, id DESC);
-- A worker's live sessions, at its start.
CREATE INDEX idx_combat_sessions_owner ON gameplay.combat_sessions (owner)
    WHERE status IN ('WAITING', 'ACTIVE');

CREATE TABLE gameplay.idempotency_keys (
    scope VARCHAR(255) NOT NULL,
    key VARCHAR(128) NOT NULL,
    payload_hash BYTEA NOT NULL,
    answer BYTEA,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idx_idempotency_keys_created ON gameplay.idempotency_keys (created_at);
