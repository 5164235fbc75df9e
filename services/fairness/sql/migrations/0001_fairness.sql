-- What is looked for: every version of each detector, as its JSON in the contract. Never changed, only added to.
CREATE TABLE fairness.detectors (
    id VARCHAR(32) NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    document JSONB NOT NULL,
    -- The first version with the same signals and rule.
    rule_version BIGINT NOT NULL CHECK (rule_version BETWEEN 1 AND version),
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (id, version)
);

-- Grows with each version: who remembers detectors looks here whether there are others. Who adds one holds its lock.
CREATE TABLE fairness.catalogue_revision (
    one_row BOOLEAN PRIMARY KEY DEFAULT true CHECK (one_row),
    revision BIGINT NOT NULL
);
INSERT INTO fairness.catalogue_revision (revision) VALUES (0);

-- How detectors did, by rule.
CREATE TABLE fairness.records (
    detector_id VARCHAR(32) NOT NULL,
    rule_version BIGINT NOT NULL,
    observations BIGINT NOT NULL,
    flags BIGINT NOT NULL,
    -- Of each flag the last decision counts.
    confirmed BIGINT NOT NULL,
    dismissed BIGINT NOT NULL,
    PRIMARY KEY (detector_id, rule_version)
) WITH (fillfactor = 50);

-- Whoever changes anything of a player holds this row's lock, and raises its version.
CREATE TABLE fairness.players (
    player_id VARCHAR(64) PRIMARY KEY,
    version BIGINT NOT NULL,
    -- How much others were told.
    revision BIGINT NOT NULL,
    -- Number of the newest observation.
    observed BIGINT NOT NULL,
    -- What each detector remembers; see domain/track.py.
    tracks JSONB NOT NULL,
    -- How many values count among those of peers, by detector, on that day.
    counted_on DATE NOT NULL,
    counted JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 70);

-- What each event said of a player: evidence is made of it. Kept for a time only.
CREATE TABLE fairness.observations (
    player_id VARCHAR(64) NOT NULL,
    number BIGINT NOT NULL,
    event_id VARCHAR(255) NOT NULL,
    -- When it happened.
    at TIMESTAMPTZ NOT NULL,
    -- Value, of how many, and group, by detector.
    readings JSONB NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (player_id, number)
);
CREATE INDEX idx_observations_recorded ON fairness.observations (recorded_at);

-- Values of many players, as counts in buckets; see domain/peers.py.
CREATE TABLE fairness.peers (
    detector_id VARCHAR(32) NOT NULL,
    -- The rule's version and the group.
    group_name TEXT NOT NULL,
    day DATE NOT NULL,
    bucket BIGINT NOT NULL,
    n BIGINT NOT NULL,
    PRIMARY KEY (detector_id, group_name, day, bucket)
) WITH (fillfactor = 50);
CREATE INDEX idx_peers_day ON fairness.peers (day);

CREATE TABLE fairness.flags (
    id VARCHAR(34) PRIMARY KEY,
    player_id VARCHAR(64) NOT NULL,
    detector_id VARCHAR(32) NOT NULL,
    detector_version BIGINT NOT NULL,
    rule_version BIGINT NOT NULL,
    mode VARCHAR(8) NOT NULL CHECK (mode IN ('shadow', 'flag', 'throttle', 'block')),
    state VARCHAR(9) NOT NULL CHECK (state IN ('open', 'confirmed', 'dismissed', 'appealed')),
    opened_at TIMESTAMPTZ NOT NULL,
    last_at TIMESTAMPTZ NOT NULL,
    occurrences BIGINT NOT NULL CHECK (occurrences > 0),
    -- What the player is told of it.
    reason VARCHAR(256) NOT NULL,
    -- NULL: nothing followed from it.
    appeal_until TIMESTAMPTZ,
    decisions JSONB NOT NULL,
    -- The latest.
    appeal JSONB
) WITH (fillfactor = 70);
-- What a detector finds again is the same flag until somebody dismisses it.
CREATE UNIQUE INDEX idx_flags_one ON fairness.flags (player_id, detector_id, (mode = 'shadow'))
    WHERE state <> 'dismissed';
CREATE INDEX idx_flags_player ON fairness.flags (player_id, opened_at DESC, id DESC);
CREATE INDEX idx_flags_newest ON fairness.flags (opened_at DESC, id DESC);
CREATE INDEX idx_flags_state ON fairness.flags (state, opened_at DESC, id DESC);

-- Why each was raised: an Evidence of the contract, serialized. Never changed: its digest is in the log.
CREATE TABLE fairness.evidence (
    flag_id VARCHAR(34) PRIMARY KEY REFERENCES fairness.flags (id),
    evidence BYTEA NOT NULL
);

CREATE TABLE fairness.sanctions (
    id VARCHAR(34) PRIMARY KEY,
    player_id VARCHAR(64) NOT NULL,
    -- `good`: only scores are hidden.
    state VARCHAR(9) NOT NULL CHECK (state IN ('good', 'throttled', 'blocked')),
    -- Scores of that time or later are hidden; NULL: none are.
    hidden_since TIMESTAMPTZ,
    -- A list; empty: of every board.
    boards JSONB NOT NULL,
    -- What the player is told.
    reason VARCHAR(256) NOT NULL,
    -- No person decided it.
    automated BOOLEAN NOT NULL,
    since TIMESTAMPTZ NOT NULL,
    -- NULL: until somebody decides.
    until TIMESTAMPTZ,
    -- Empty: none led to it.
    flag_id VARCHAR(34) NOT NULL,
    ended_at TIMESTAMPTZ,
    CHECK (state <> 'good' OR hidden_since IS NOT NULL)
) WITH (fillfactor = 70);
CREATE INDEX idx_sanctions_player ON fairness.sanctions (player_id) WHERE ended_at IS NULL;
CREATE INDEX idx_sanctions_due ON fairness.sanctions (until, id) WHERE ended_at IS NULL;

-- Everything that was done to players, and to detectors; each line holds the hash of the one before it. How it is
-- made: domain/audit.py.
CREATE TABLE fairness.audit (
    sequence BIGINT PRIMARY KEY CHECK (sequence > 0),
    at TIMESTAMPTZ NOT NULL,
    actor TEXT NOT NULL,
    action VARCHAR(64) NOT NULL,
    player_id VARCHAR(64) NOT NULL,
    flag_id VARCHAR(34) NOT NULL,
    -- JSON, exactly as it was hashed.
    details TEXT NOT NULL,
    previous BYTEA NOT NULL CHECK (length(previous) = 32),
    hash BYTEA NOT NULL CHECK (length(hash) = 32)
);
CREATE INDEX idx_audit_player ON fairness.audit (player_id, sequence DESC) WHERE player_id <> '';
CREATE INDEX idx_audit_flag ON fairness.audit (flag_id, sequence DESC) WHERE flag_id <> '';

-- Its last line. Who adds lines holds its lock, so they are one chain.
CREATE TABLE fairness.audit_head (
    one_row BOOLEAN PRIMARY KEY DEFAULT true CHECK (one_row),
    sequence BIGINT NOT NULL,
    hash BYTEA NOT NULL CHECK (length(hash) = 32)
);
INSERT INTO fairness.audit_head (sequence, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

CREATE FUNCTION fairness.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was written to fairness.% stays as it is', TG_TABLE_NAME;
END $$;
CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON fairness.audit
    FOR EACH STATEMENT EXECUTE FUNCTION fairness.refuse_change();
CREATE TRIGGER evidence_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON fairness.evidence
    FOR EACH STATEMENT EXECUTE FUNCTION fairness.refuse_change();
CREATE TRIGGER detectors_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON fairness.detectors
    FOR EACH STATEMENT EXECUTE FUNCTION fairness.refuse_change();

-- Answers of requests that came with a key, for whoever sends one again.
CREATE TABLE fairness.idempotency_keys (
    scope VARCHAR(255) NOT NULL,
    key VARCHAR(128) NOT NULL,
    payload_hash BYTEA NOT NULL,
    answer BYTEA,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idx_idempotency_created ON fairness.idempotency_keys (created_at);
