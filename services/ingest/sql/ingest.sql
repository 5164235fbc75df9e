-- name: load
-- One row, so that it is one round trip.
SELECT ARRAY(SELECT c FROM ingest.claims c
             WHERE (scope, key) IN (SELECT * FROM unnest($1::text[], $2::varchar[]))) AS claims,
       ARRAY(SELECT s FROM ingest.standings s WHERE player_id = ANY($3::varchar[])) AS standings

-- name: put_standing
INSERT INTO ingest.standings AS known (player_id, state, reason, until, revision)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (player_id) DO UPDATE
SET state = excluded.state, reason = excluded.reason, until = excluded.until, revision = excluded.revision
WHERE known.revision < excluded.revision

-- name: put_events
INSERT INTO ingest.events (id, producer, kid, type, player_id, happened_at, received_at, body)
SELECT * FROM unnest(
    $1::varchar[], $2::text[], $3::varchar[], $4::varchar[], $5::varchar[], $6::timestamptz[], $7::timestamptz[],
    $8::bytea[]
)

-- name: put_claims
-- Waits for another transaction that writes one of them, and fails with a unique violation when it commits.
INSERT INTO ingest.claims (scope, key, digest, event_id, happened_at, lasting, created_at)
SELECT *, happened_at IS NOT NULL, $6::timestamptz
FROM unnest($1::text[], $2::varchar[], $3::bytea[], $4::varchar[], $5::timestamptz[])
     AS new (scope, key, digest, event_id, happened_at)

-- name: put_rejected
INSERT INTO ingest.rejected (id, producer, received_at, reason, problems, body)
SELECT * FROM unnest($1::varchar[], $2::text[], $3::timestamptz[], $4::varchar[], $5::jsonb[], $6::bytea[])

-- name: rejected
-- $1: a producer, or empty: of all.
SELECT id, producer, received_at, reason, problems, body
FROM ingest.rejected
WHERE ($1 = '' OR producer = $1) AND (received_at, id) < ($2, $3)
ORDER BY received_at DESC, id DESC
LIMIT $4

-- name: forget_claims
DELETE FROM ingest.claims
WHERE (scope, key) IN (
    SELECT scope, key FROM ingest.claims WHERE NOT lasting AND created_at < $1 ORDER BY created_at LIMIT $2
)
RETURNING true

-- name: forget_digests
DELETE FROM ingest.claims
WHERE (scope, key) IN (
    SELECT scope, key FROM ingest.claims WHERE lasting AND happened_at < $1 ORDER BY happened_at LIMIT $2
)
RETURNING true

-- name: forget_events
DELETE FROM ingest.events
WHERE id IN (SELECT id FROM ingest.events WHERE received_at < $1 ORDER BY received_at LIMIT $2)
RETURNING true

-- name: forget_rejected
DELETE FROM ingest.rejected
WHERE id IN (SELECT id FROM ingest.rejected WHERE received_at < $1 ORDER BY received_at LIMIT $2)
RETURNING true
