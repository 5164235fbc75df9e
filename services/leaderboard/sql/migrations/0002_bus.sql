-- Events that await the bus, written in the transaction of the change they tell of.
CREATE TABLE leaderboard.outbox (
    -- (xid, id) is the order of telling. `xid` is the writing transaction, or a later one that spoke of the
    -- same subject and was over before this row was written: so the order is right for each subject, and a
    -- row below the oldest running transaction can never get a new neighbour before it.
    xid XID8 NOT NULL,
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    event_id VARCHAR(255) NOT NULL,
    topic VARCHAR(64) NOT NULL,
    subject VARCHAR(255) NOT NULL,
    -- An Envelope of arenamesh.events.v1.
    envelope BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (xid, id)
);
CREATE UNIQUE INDEX idx_outbox_event ON leaderboard.outbox (event_id);
CREATE INDEX idx_outbox_subject ON leaderboard.outbox (subject, xid DESC);
CREATE INDEX idx_outbox_created ON leaderboard.outbox (created_at);

-- How far the bus has taken them: one row.
CREATE TABLE leaderboard.outbox_checkpoint (
    one_row BOOLEAN PRIMARY KEY DEFAULT true CHECK (one_row),
    xid XID8 NOT NULL,
    id BIGINT NOT NULL,
    -- Of the database cluster whose transactions `xid` counts; a restored dump wakes up in another one.
    system_identifier BIGINT NOT NULL,
    moved_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
INSERT INTO leaderboard.outbox_checkpoint (xid, id, system_identifier)
    SELECT '0', 0, system_identifier FROM pg_control_system();

-- Events whose effect is in, by the group that had it; written in the transaction of the effect.
CREATE TABLE leaderboard.inbox (
    consumer_group VARCHAR(64) NOT NULL,
    event_id VARCHAR(255) NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, event_id)
);
CREATE INDEX idx_inbox_seen ON leaderboard.inbox (seen_at);

-- Events that a group could not handle, as they came from the bus, for an operator to look at and replay.
CREATE TABLE leaderboard.dead_letters (
    consumer_group VARCHAR(64) NOT NULL,
    event_id VARCHAR(255) NOT NULL,
    topic VARCHAR(64) NOT NULL,
    subject VARCHAR(255) NOT NULL,
    payload BYTEA NOT NULL,
    error TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    first_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- When it was last sent again.
    replayed_at TIMESTAMPTZ,
    PRIMARY KEY (consumer_group, event_id)
);
CREATE INDEX idx_dead_letters_last ON leaderboard.dead_letters (last_at DESC);
