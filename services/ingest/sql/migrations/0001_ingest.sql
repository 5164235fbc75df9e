-- What was accepted, as it came: the truth. Kept.
CREATE TABLE ingest.events (
    id VARCHAR(64) PRIMARY KEY,
    -- Whose key signed it, or `<role>:<subject>` of the token.
    producer TEXT NOT NULL,
    -- Of the key that signed it. Empty: it came with a token.
    kid VARCHAR(64) NOT NULL,
    type VARCHAR(64) NOT NULL,
    player_id VARCHAR(64) NOT NULL,
    happened_at TIMESTAMPTZ NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    -- JSON of this one event, or an Event of arenamesh.liveops.v1 when it came with a token.
    body BYTEA NOT NULL
);
CREATE INDEX idx_events_player ON ingest.events (player_id, received_at DESC);

-- What makes an event the same as another, by scope: a key, a digest. Written with the event.
CREATE TABLE ingest.claims (
    scope TEXT NOT NULL,
    key VARCHAR(128) NOT NULL,
    -- Of what came with it: with another, the key is refused.
    digest BYTEA NOT NULL,
    -- Empty: of a whole batch.
    event_id VARCHAR(64) NOT NULL,
    -- Never forgotten: a signature of the body alone can be sent again at any time, by whoever saw it.
    lasting BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idx_claims_created ON ingest.claims (created_at) WHERE NOT lasting;

-- What known producers sent and was not taken, for an operator to look at.
CREATE TABLE ingest.rejected (
    id VARCHAR(64) PRIMARY KEY,
    producer TEXT NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    reason VARCHAR(64) NOT NULL,
    -- [[field, description]]
    problems JSONB NOT NULL,
    -- The beginning of it.
    body BYTEA NOT NULL
);
CREATE INDEX idx_rejected_received ON ingest.rejected (received_at DESC, id DESC);
CREATE INDEX idx_rejected_producer ON ingest.rejected (producer, received_at DESC, id DESC);

-- Types of events that studios registered: every version is kept, the newest counts.
CREATE TABLE ingest.event_types (
    name VARCHAR(64) NOT NULL,
    version BIGINT NOT NULL,
    description VARCHAR(1024) NOT NULL,
    -- JSON schema of the payload.
    schema JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (name, version)
);

-- How players stand with fairness. Who is not in it stands well.
CREATE TABLE ingest.standings (
    player_id VARCHAR(64) PRIMARY KEY,
    state VARCHAR(16) NOT NULL CHECK (state IN ('good', 'throttled', 'blocked')),
    -- What the player may be told.
    reason VARCHAR(256) NOT NULL,
    -- NULL: until somebody says otherwise.
    until TIMESTAMPTZ
);

-- Answers of requests that came with a key, for whoever sends one again.
CREATE TABLE ingest.idempotency_keys (
    scope VARCHAR(255) NOT NULL,
    key VARCHAR(128) NOT NULL,
    payload_hash BYTEA NOT NULL,
    answer BYTEA,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idx_idempotency_created ON ingest.idempotency_keys (created_at);
