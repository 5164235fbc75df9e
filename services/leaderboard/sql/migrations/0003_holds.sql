-- Of whom fairness has ever hidden something: the last that it said. Entries of the player are quarantined by it, those
-- that come later too. Who changes entries shares the table's lock; who changes a hold has it alone.
CREATE TABLE leaderboard.holds (
    player_id VARCHAR(64) PRIMARY KEY,
    revision BIGINT NOT NULL,
    -- [[board or empty, microseconds since 1970]]; empty: nothing is hidden any more.
    hidden JSONB NOT NULL
);
