-- name: lock
-- Versions are counted by one transaction at a time; readers do not wait.
LOCK TABLE ingest.event_types IN SHARE ROW EXCLUSIVE MODE

-- name: count
-- None is ever deleted, so another number is another state.
SELECT count(*) FROM ingest.event_types

-- name: newest
SELECT DISTINCT ON (name) name, version, description, schema, created_at
FROM ingest.event_types
ORDER BY name, version DESC

-- name: names
SELECT count(DISTINCT name) AS names, coalesce(max(version) FILTER (WHERE name = $1), 0) AS version
FROM ingest.event_types

-- name: add
INSERT INTO ingest.event_types (name, version, description, schema, created_at) VALUES ($1, $2, $3, $4, $5)
