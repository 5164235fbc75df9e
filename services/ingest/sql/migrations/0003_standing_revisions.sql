-- Of the event that said it: one of a lower revision says nothing new.
ALTER TABLE ingest.standings ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
