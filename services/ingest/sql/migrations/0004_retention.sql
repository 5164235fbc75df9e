-- A signature of the body alone says nothing of when it was made, but the body does, of when the event happened: its
-- digest counts as long as what happened then is taken. NULL of claims that do not last.
ALTER TABLE ingest.claims ADD COLUMN happened_at TIMESTAMPTZ;
UPDATE ingest.claims claim
SET happened_at = event.happened_at
FROM ingest.events event
WHERE claim.lasting AND event.id = claim.event_id;
CREATE INDEX idx_claims_happened ON ingest.claims (happened_at) WHERE lasting;

CREATE INDEX idx_events_received ON ingest.events (received_at);
