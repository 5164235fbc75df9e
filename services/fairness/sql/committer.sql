-- name: lock
-- In the order of ids, so that two processes never wait for each other. What it returns is what the last holder
-- wrote.
SELECT player_id, version, revision, observed, tracks, counted_on, counted
FROM fairness.players
WHERE player_id = ANY($1::varchar[])
ORDER BY player_id
FOR UPDATE

-- name: load
-- One row, so that it is one round trip.
SELECT (SELECT revision FROM fairness.catalogue_revision) AS revision,
       ARRAY(SELECT f FROM fairness.flags f WHERE player_id = ANY($1::varchar[])) AS flags,
       ARRAY(SELECT s FROM fairness.sanctions s
             WHERE player_id = ANY($1::varchar[]) AND ended_at IS NULL) AS sanctions,
       ARRAY(SELECT k FROM fairness.idempotency_keys k
             WHERE (scope, key) IN (SELECT * FROM unnest($2::varchar[], $3::varchar[]))) AS answers,
       ARRAY(SELECT event_id FROM fairness.inbox
             WHERE consumer_group = $4 AND event_id = ANY($5::varchar[])) AS seen

-- name: observations
-- Of runs: from the first number, to before the last one's, what says something to the detector.
SELECT asked.run, o.number, o.event_id, o.at, o.readings
FROM unnest($1::varchar[], $2::varchar[], $3::bigint[], $4::bigint[])
     WITH ORDINALITY AS asked (player_id, detector_id, first, last, run)
JOIN fairness.observations o
     ON o.player_id = asked.player_id AND o.number BETWEEN asked.first AND asked.last
WHERE o.readings ? asked.detector_id
ORDER BY asked.run, o.number

-- name: create_players
-- Fails with a unique violation when somebody else created one.
INSERT INTO fairness.players (
    player_id, version, revision, observed, tracks, counted_on, counted, created_at, updated_at
)
SELECT *, $8::timestamptz, $8::timestamptz
FROM unnest(
    $1::varchar[], $2::bigint[], $3::bigint[], $4::bigint[], $5::jsonb[], $6::date[], $7::jsonb[]
)

-- name: put_players
UPDATE fairness.players old
SET version = new.version,
    revision = new.revision,
    observed = new.observed,
    tracks = new.tracks,
    counted_on = new.counted_on,
    counted = new.counted,
    updated_at = $8::timestamptz
FROM unnest(
    $1::varchar[], $2::bigint[], $3::bigint[], $4::bigint[], $5::jsonb[], $6::date[], $7::jsonb[]
) AS new (player_id, version, revision, observed, tracks, counted_on, counted)
WHERE old.player_id = new.player_id

-- name: observe
INSERT INTO fairness.observations (player_id, number, event_id, at, readings, recorded_at)
SELECT *, $6::timestamptz
FROM unnest($1::varchar[], $2::bigint[], $3::varchar[], $4::timestamptz[], $5::jsonb[])

-- name: put_flags
INSERT INTO fairness.flags (
    id, player_id, detector_id, detector_version, rule_version, mode, state, opened_at, last_at, occurrences,
    reason, appeal_until, decisions, appeal
)
SELECT * FROM unnest(
    $1::varchar[], $2::varchar[], $3::varchar[], $4::bigint[], $5::bigint[], $6::varchar[], $7::varchar[],
    $8::timestamptz[], $9::timestamptz[], $10::bigint[], $11::varchar[], $12::timestamptz[], $13::jsonb[],
    $14::jsonb[]
)
ON CONFLICT (id) DO UPDATE
SET state = excluded.state,
    last_at = excluded.last_at,
    occurrences = excluded.occurrences,
    appeal_until = excluded.appeal_until,
    decisions = excluded.decisions,
    appeal = excluded.appeal

-- name: prove
INSERT INTO fairness.evidence (flag_id, evidence)
SELECT * FROM unnest($1::varchar[], $2::bytea[])

-- name: put_sanctions
INSERT INTO fairness.sanctions (
    id, player_id, state, hidden_since, boards, reason, automated, since, until, flag_id, ended_at
)
SELECT * FROM unnest(
    $1::varchar[], $2::varchar[], $3::varchar[], $4::timestamptz[], $5::jsonb[], $6::varchar[], $7::boolean[],
    $8::timestamptz[], $9::timestamptz[], $10::varchar[], $11::timestamptz[]
)
ON CONFLICT (id) DO UPDATE
SET automated = excluded.automated,
    ended_at = excluded.ended_at

-- name: count_values
-- Comes in the order of the key, so that two processes never wait for each other.
INSERT INTO fairness.peers AS old (detector_id, group_name, day, bucket, n)
SELECT detector_id, group_name, $5::date, bucket, n
FROM unnest($1::varchar[], $2::text[], $3::bigint[], $4::bigint[]) AS new (detector_id, group_name, bucket, n)
ON CONFLICT (detector_id, group_name, day, bucket) DO UPDATE
SET n = old.n + excluded.n

-- name: record
-- In the order of the key, too.
INSERT INTO fairness.records AS old (detector_id, rule_version, observations, flags, confirmed, dismissed)
SELECT * FROM unnest(
    $1::varchar[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]
)
ON CONFLICT (detector_id, rule_version) DO UPDATE
SET observations = old.observations + excluded.observations,
    flags = old.flags + excluded.flags,
    confirmed = old.confirmed + excluded.confirmed,
    dismissed = old.dismissed + excluded.dismissed
