-- name: lock
-- Nobody else adds lines until the transaction ends. It returns what the last one wrote.
SELECT sequence, hash FROM fairness.audit_head FOR UPDATE

-- name: append
INSERT INTO fairness.audit (sequence, at, actor, action, player_id, flag_id, details, previous, hash)
SELECT * FROM unnest(
    $1::bigint[], $2::timestamptz[], $3::text[], $4::varchar[], $5::varchar[], $6::varchar[], $7::text[],
    $8::bytea[], $9::bytea[]
)

-- name: advance
UPDATE fairness.audit_head SET sequence = $1, hash = $2

-- name: head
SELECT sequence, hash FROM fairness.audit_head

-- name: lines
SELECT sequence, at, actor, action, player_id, flag_id, details, previous, hash
FROM fairness.audit
ORDER BY sequence

-- name: flags
SELECT f.id, f.state, e.evidence
FROM fairness.flags f
LEFT JOIN fairness.evidence e ON e.flag_id = f.id
ORDER BY f.id

-- name: sanctions
SELECT id, ended_at IS NOT NULL AS ended FROM fairness.sanctions ORDER BY id
