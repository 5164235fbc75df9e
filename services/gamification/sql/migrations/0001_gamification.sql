-- What can be earned: every version of it, as its JSON in the contract. Of a version only that changes on which
-- nobody's progress depends, such as its title and whether it is enabled.
CREATE TABLE gamification.definitions (
    -- `metric`, `achievement`, `quest` or `reward`.
    kind VARCHAR(16) NOT NULL CHECK (kind IN ('metric', 'achievement', 'quest', 'reward')),
    id VARCHAR(64) NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    document JSONB NOT NULL,
    -- Those who began a version before this one are brought over to the newest; 0: nobody.
    brings_over BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (kind, id, version)
);
-- Grows with every change of the definitions, so that every process sees that there was one.
CREATE TABLE gamification.definitions_revision (
    one_row BOOLEAN PRIMARY KEY DEFAULT true CHECK (one_row),
    revision BIGINT NOT NULL
);
INSERT INTO gamification.definitions_revision (revision) VALUES (0);

-- Whoever changes anything of a player holds this row's lock, and raises its version.
CREATE TABLE gamification.players (
    user_id VARCHAR(64) PRIMARY KEY,
    version BIGINT NOT NULL,
    -- Sequence of the newest notification.
    notified BIGINT NOT NULL,
    achievements_completed BIGINT NOT NULL,
    achievement_points BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 70);

-- What a metric came to, of a player, in a window.
CREATE TABLE gamification.accumulators (
    user_id VARCHAR(64) NOT NULL,
    -- Empty: what happened ever. Else what counts only from when it began, such as `quest:daily.kills:2:1`.
    scope VARCHAR(160) NOT NULL,
    metric VARCHAR(64) NOT NULL,
    -- `ever`, `day:Europe/Berlin`, `3600s/60`; see domain/window.py.
    window_key VARCHAR(80) NOT NULL,
    -- Begin of the period, or of the part of a sliding window.
    starts_at TIMESTAMPTZ NOT NULL,
    count BIGINT NOT NULL,
    sum NUMERIC NOT NULL,
    min BIGINT NOT NULL,
    max BIGINT NOT NULL,
    last BIGINT NOT NULL,
    last_at TIMESTAMPTZ NOT NULL,
    last_event VARCHAR(255) NOT NULL,
    -- Of a metric that counts different ones: these.
    members TEXT[] NOT NULL DEFAULT '{}',
    -- When nothing more can count in it, and nobody looks at it any more; null: never.
    over_at TIMESTAMPTZ,
    PRIMARY KEY (user_id, scope, metric, window_key, starts_at)
) WITH (fillfactor = 70);
CREATE INDEX idx_accumulators_over ON gamification.accumulators (over_at) WHERE over_at IS NOT NULL;

-- Periods at whose end something is looked at (LT, LTE, EQ).
CREATE TABLE gamification.closings (
    user_id VARCHAR(64) NOT NULL,
    -- `achievement:<id>:<cycle>` or `quest:<id>:<cycle>`
    subject VARCHAR(160) NOT NULL,
    window_key VARCHAR(80) NOT NULL,
    starts_at TIMESTAMPTZ NOT NULL,
    closes_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, subject, window_key, starts_at)
);
CREATE INDEX idx_closings_due ON gamification.closings (closes_at, user_id, subject, window_key, starts_at);

CREATE TABLE gamification.achievement_progress (
    user_id VARCHAR(64) NOT NULL,
    achievement_id VARCHAR(64) NOT NULL,
    -- The present one; earlier ones are over.
    cycle BIGINT NOT NULL CHECK (cycle > 0),
    version BIGINT NOT NULL,
    progress INTEGER NOT NULL CHECK (progress BETWEEN 0 AND 100),
    -- Clauses that are met: when, by number.
    met JSONB NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    completed_at TIMESTAMPTZ,
    completions BIGINT NOT NULL,
    history JSONB NOT NULL,
    PRIMARY KEY (user_id, achievement_id)
) WITH (fillfactor = 70);

CREATE TABLE gamification.quest_progress (
    user_id VARCHAR(64) NOT NULL,
    quest_id VARCHAR(64) NOT NULL,
    cycle BIGINT NOT NULL CHECK (cycle > 0),
    version BIGINT NOT NULL,
    status VARCHAR(16) NOT NULL CHECK (status IN ('in_progress', 'completed', 'failed', 'expired')),
    -- By step: when it opened, when it was completed, which of its clauses are met.
    steps JSONB NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    expires_at TIMESTAMPTZ,
    completions BIGINT NOT NULL,
    history JSONB NOT NULL,
    PRIMARY KEY (user_id, quest_id)
) WITH (fillfactor = 70);
CREATE INDEX idx_quest_progress_due ON gamification.quest_progress (expires_at, user_id, quest_id)
    WHERE status = 'in_progress';

-- What is owed to players, or was.
CREATE TABLE gamification.grants (
    -- Made of what it is for: the same can be owed only once.
    id VARCHAR(64) PRIMARY KEY,
    user_id VARCHAR(64) NOT NULL,
    reward_id VARCHAR(64) NOT NULL,
    reward_version BIGINT NOT NULL,
    source VARCHAR(16) NOT NULL,
    source_id VARCHAR(160) NOT NULL,
    cycle BIGINT NOT NULL,
    title VARCHAR(128) NOT NULL,
    status VARCHAR(8) NOT NULL CHECK (status IN ('pending', 'claimed', 'expired', 'revoked')),
    contents JSONB NOT NULL,
    -- Of the draw; empty: nothing was drawn.
    seed BYTEA NOT NULL,
    cause VARCHAR(255) NOT NULL,
    granted_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    claimed_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ,
    UNIQUE (user_id, source, source_id, reward_id, cycle)
);
CREATE INDEX idx_grants_pending ON gamification.grants (user_id, granted_at, id) WHERE status = 'pending';
CREATE INDEX idx_grants_due ON gamification.grants (expires_at, id)
    WHERE status = 'pending' AND expires_at IS NOT NULL;

-- The ledger. A transfer takes from one account what it gives to another, so all entries sum to zero however
-- many there are. Nothing here is ever changed.
CREATE TABLE gamification.transfers (
    id VARCHAR(96) PRIMARY KEY,
    kind VARCHAR(8) NOT NULL CHECK (kind IN ('grant', 'claim', 'expire', 'revoke', 'burn')),
    from_account VARCHAR(80) NOT NULL,
    to_account VARCHAR(80) NOT NULL,
    -- `item:<id>` or `currency:<id>`.
    asset VARCHAR(80) NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    grant_id VARCHAR(64) NOT NULL,
    user_id VARCHAR(64) NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    CHECK (from_account <> to_account)
);
CREATE INDEX idx_transfers_user ON gamification.transfers (user_id, at DESC, id DESC);
CREATE INDEX idx_transfers_grant ON gamification.transfers (grant_id);

CREATE FUNCTION gamification.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is never changed: correct it with another transfer';
END $$;
CREATE TRIGGER transfers_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON gamification.transfers
    FOR EACH STATEMENT EXECUTE FUNCTION gamification.refuse_change();

-- The transfers as the two entries that each of them is.
CREATE VIEW gamification.ledger_entries AS
    SELECT id AS transfer_id, from_account AS account, asset, -amount AS amount, at FROM gamification.transfers
    UNION ALL
    SELECT id, to_account, asset, amount, at FROM gamification.transfers;

-- What players and their escrows have: the sums of their entries. The issuer and the fire have none, since
-- every transaction would wait for theirs.
CREATE TABLE gamification.balances (
    account VARCHAR(80) NOT NULL,
    asset VARCHAR(80) NOT NULL,
    user_id VARCHAR(64) NOT NULL,
    item_type VARCHAR(32) NOT NULL DEFAULT '',
    amount BIGINT NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (account, asset)
) WITH (fillfactor = 70);

CREATE TABLE gamification.notifications (
    user_id VARCHAR(64) NOT NULL,
    sequence BIGINT NOT NULL CHECK (sequence > 0),
    type VARCHAR(32) NOT NULL,
    title VARCHAR(256) NOT NULL,
    data JSONB NOT NULL,
    cause VARCHAR(255) NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, sequence)
);
CREATE INDEX idx_notifications_created ON gamification.notifications (created_at);

-- Gains that were impossible.
CREATE TABLE gamification.quarantine (
    id VARCHAR(64) PRIMARY KEY,
    user_id VARCHAR(64) NOT NULL,
    metric VARCHAR(64) NOT NULL,
    value BIGINT NOT NULL,
    member VARCHAR(64) NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    event VARCHAR(255) NOT NULL,
    cause VARCHAR(255) NOT NULL,
    per_us BIGINT NOT NULL,
    most BIGINT NOT NULL,
    reached NUMERIC NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    resolved_at TIMESTAMPTZ,
    released BOOLEAN
);
CREATE INDEX idx_quarantine_open ON gamification.quarantine (created_at DESC, id DESC) WHERE resolved_at IS NULL;
CREATE INDEX idx_quarantine_user ON gamification.quarantine (user_id, created_at DESC) WHERE resolved_at IS NULL;

-- How definitions fare, kept up with every change. A player counts in the shard that its id hashes to.
CREATE TABLE gamification.analytics (
    shard SMALLINT NOT NULL,
    -- `achievement:<id>`, `quest:<id>`, `reward:<id>`, `players` (`count`)
    subject VARCHAR(96) NOT NULL,
    -- `started`, `completed`, `failed`, `expired`, `granted`, `claimed`, `revoked`, `step:<id>`, `seconds` (a sum),
    -- `took:<seconds>` (took at most so long, and longer than half of it; the shortest is 60).
    measure VARCHAR(96) NOT NULL,
    count NUMERIC NOT NULL,
    PRIMARY KEY (shard, subject, measure)
) WITH (fillfactor = 50);

-- Answers of requests that came with a key, for whoever sends one again.
CREATE TABLE gamification.idempotency_keys (
    scope VARCHAR(255) NOT NULL,
    key VARCHAR(128) NOT NULL,
    payload_hash BYTEA NOT NULL,
    answer BYTEA,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idx_idempotency_created ON gamification.idempotency_keys (created_at);
