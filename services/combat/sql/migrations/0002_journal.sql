-- What a session's arena is made of beside its settings, so that any worker can make it again.
ALTER TABLE gameplay.combat_sessions
    -- Key of its random draws, as the 64 bits of a signed number.
    ADD COLUMN arena_key BIGINT NOT NULL DEFAULT 0,
    -- Of the content it was created with; a replay with other content is refused.
    ADD COLUMN ruleset_hash VARCHAR(16) NOT NULL DEFAULT '',
    ADD COLUMN map_hash VARCHAR(16) NOT NULL DEFAULT '',
    -- The last record that is committed. Each commit checks owner, epoch and this, and moves it.
    ADD COLUMN journal_sequence BIGINT NOT NULL DEFAULT 0,
    -- Session clock and tick of that record.
    ADD COLUMN journal_time_us BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN journal_tick INTEGER NOT NULL DEFAULT 0,
    -- When the present owner took it.
    ADD COLUMN claimed_at TIMESTAMP;

-- Room in each page for the row's next version: a commit touches no index.
ALTER TABLE gameplay.combat_sessions SET (fillfactor = 60);

-- The journal: runs of records, as the arenas wrote them. Gapless by the check that each commit makes.
CREATE TABLE gameplay.combat_segments (
    session_id VARCHAR(255) NOT NULL,
    first_sequence BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    tick INTEGER NOT NULL,
    time_us BIGINT NOT NULL,
    -- CRC-32 of the payload.
    checksum BIGINT NOT NULL,
    -- A JournalSegment of arenamesh.combat.v1.
    payload BYTEA NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
    PRIMARY KEY (session_id, last_sequence, created_at)
) PARTITION BY RANGE (created_at);
-- Compressing would cost the committing connection more than the disk.
ALTER TABLE gameplay.combat_segments ALTER COLUMN payload SET STORAGE EXTERNAL;

-- Whole arenas now and then, so that a restore and a seek need only the records behind one.
CREATE TABLE gameplay.combat_saves (
    session_id VARCHAR(255) NOT NULL,
    sequence BIGINT NOT NULL,
    tick INTEGER NOT NULL,
    data BYTEA NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
    PRIMARY KEY (session_id, sequence, created_at)
) PARTITION BY RANGE (created_at);

-- Writes never wait for the maker of partitions, and never fail without it.
CREATE TABLE gameplay.combat_segments_default PARTITION OF gameplay.combat_segments DEFAULT;
CREATE TABLE gameplay.combat_saves_default PARTITION OF gameplay.combat_saves DEFAULT;

-- Workers that are, or lately were, alive. `backend` names the connection that the worker holds for life:
-- when PostgreSQL no longer has it, the worker is dead; when its heartbeat stays away, it hangs.
CREATE TABLE gameplay.combat_workers (
    id VARCHAR(64) PRIMARY KEY,
    name VARCHAR(32) NOT NULL,
    backend_pid INTEGER NOT NULL,
    backend_start TIMESTAMPTZ NOT NULL,
    heartbeat_at TIMESTAMPTZ NOT NULL
);
