-- What is ranked and when: never changed, only added to.
CREATE TABLE leaderboard.boards (
    id VARCHAR(32) PRIMARY KEY,
    document JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE leaderboard.seasons (
    id VARCHAR(32) PRIMARY KEY,
    title VARCHAR(128) NOT NULL,
    starts_at TIMESTAMPTZ NOT NULL,
    ends_at TIMESTAMPTZ NOT NULL CHECK (ends_at > starts_at)
);

-- Grows with each board and season: who remembers them looks here whether there are more. Who adds one holds its
-- lock, so no two seasons that meet are added at once.
CREATE TABLE leaderboard.catalogue_revision (
    one_row BOOLEAN PRIMARY KEY DEFAULT true CHECK (one_row),
    revision BIGINT NOT NULL
);
INSERT INTO leaderboard.catalogue_revision (revision) VALUES (0);

-- Of every place that has entries. Who changes entries of one shares its lock; who makes it final has it alone.
CREATE TABLE leaderboard.periods (
    board VARCHAR(32) NOT NULL,
    window_name VARCHAR(16) NOT NULL,
    -- Empty but in a seasonal window.
    season VARCHAR(32) NOT NULL,
    -- The day, or the Monday of the week; empty otherwise.
    period VARCHAR(10) NOT NULL,
    starts_at TIMESTAMPTZ NOT NULL,
    -- NULL: it has no end, and is never final.
    ends_at TIMESTAMPTZ,
    -- The end and the board's grace.
    final_at TIMESTAMPTZ,
    final BOOLEAN NOT NULL DEFAULT false,
    -- Of a final one: how many entries, quarantined ones too, and the SHA-256 of them in order.
    entries BIGINT,
    checksum BYTEA,
    finalised_at TIMESTAMPTZ,
    PRIMARY KEY (board, window_name, season, period),
    CHECK (final = (checksum IS NOT NULL AND entries IS NOT NULL AND finalised_at IS NOT NULL))
);
CREATE INDEX idx_periods_listed ON leaderboard.periods (board, window_name, starts_at DESC);
CREATE INDEX idx_periods_due ON leaderboard.periods (final_at) WHERE NOT final AND final_at IS NOT NULL;

-- The truth of every board.
CREATE TABLE leaderboard.entries (
    board VARCHAR(32) NOT NULL,
    window_name VARCHAR(16) NOT NULL,
    season VARCHAR(32) NOT NULL,
    period VARCHAR(10) NOT NULL,
    player_id VARCHAR(64) NOT NULL,
    score BIGINT NOT NULL,
    -- NULL: the board has no such column.
    c1 BIGINT,
    c2 BIGINT,
    -- When the result was reached.
    achieved_at TIMESTAMPTZ NOT NULL,
    submissions BIGINT NOT NULL,
    -- The latest score that it was made of.
    last_at TIMESTAMPTZ NOT NULL,
    last_event VARCHAR(255) NOT NULL,
    -- Under suspicion: not ranked.
    quarantined BOOLEAN NOT NULL,
    -- Grows with each change.
    revision BIGINT NOT NULL,
    -- The order, as `domain/order.py` says. Results, time and player are all in it.
    sort_key BYTEA NOT NULL,
    PRIMARY KEY (board, window_name, season, period, player_id)
) WITH (fillfactor = 70);
CREATE INDEX idx_entries_order ON leaderboard.entries (board, window_name, season, period, sort_key)
    WHERE NOT quarantined;
CREATE INDEX idx_entries_player ON leaderboard.entries (player_id, board, achieved_at);

-- Ids of scores that counted, by who gave them: for ever.
CREATE TABLE leaderboard.seen (
    caller VARCHAR(255) NOT NULL,
    event_id VARCHAR(128) NOT NULL,
    PRIMARY KEY (caller, event_id)
);

-- Of each process, what its last transaction changed and Redis may not have: written in that transaction, read by
-- whoever starts after one has died.
CREATE TABLE leaderboard.unprojected (
    worker VARCHAR(64) PRIMARY KEY,
    -- [board, window, season, period, player]; a place as a whole without the player.
    changes JSONB NOT NULL
);

-- Answers of requests that came with a key, for whoever sends one again.
CREATE TABLE leaderboard.idempotency_keys (
    scope VARCHAR(255) NOT NULL,
    key VARCHAR(128) NOT NULL,
    payload_hash BYTEA NOT NULL,
    answer BYTEA,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idx_idempotency_created ON leaderboard.idempotency_keys (created_at);
