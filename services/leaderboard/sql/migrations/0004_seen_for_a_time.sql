-- Ids of scores are kept for a time: when each was noted.
ALTER TABLE leaderboard.seen ADD COLUMN noted_at TIMESTAMPTZ NOT NULL DEFAULT now();
CREATE INDEX idx_seen_noted ON leaderboard.seen (noted_at);
