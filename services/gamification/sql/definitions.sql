-- name: revision
SELECT revision FROM gamification.definitions_revision

-- name: lock
SELECT revision FROM gamification.definitions_revision FOR UPDATE

-- name: raise
UPDATE gamification.definitions_revision SET revision = revision + 1 RETURNING revision

-- name: load
SELECT kind, id, version, document, brings_over, created_at, updated_at FROM gamification.definitions
    ORDER BY kind, id, version

-- name: put
INSERT INTO gamification.definitions AS d
        (kind, id, version, document, brings_over, created_at, updated_at)
    SELECT kind, id, version, document::jsonb, brings_over, created_at, updated_at
        FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::timestamptz[],
            $7::timestamptz[]) AS new (kind, id, version, document, brings_over, created_at, updated_at)
    ON CONFLICT (kind, id, version) DO UPDATE
        SET document = excluded.document, brings_over = excluded.brings_over, updated_at = excluded.updated_at
