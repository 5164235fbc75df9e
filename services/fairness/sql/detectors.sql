-- name: revision
SELECT revision FROM fairness.catalogue_revision

-- name: detectors
-- As they are now.
SELECT DISTINCT ON (id) id, version, rule_version, document, created_at
FROM fairness.detectors
ORDER BY id, version DESC

-- name: records
-- By rule, which may be that of several versions.
SELECT detector_id, rule_version, observations, flags, confirmed, dismissed FROM fairness.records

-- name: advance
-- Whoever changes a detector comes here first, and waits for the others.
UPDATE fairness.catalogue_revision SET revision = revision + 1

-- name: add
INSERT INTO fairness.detectors (id, version, rule_version, document, created_at)
VALUES ($1, $2, $3, $4::jsonb, $5)
