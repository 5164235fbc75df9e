-- name: pending
-- Sessions with records that are not counted yet, those first that have waited longest.
SELECT session.id
FROM gameplay.combat_sessions AS session
LEFT JOIN gameplay.combat_projections AS projection ON projection.session_id = session.id
WHERE NOT session.projected
  AND session.journal_sequence > coalesce(projection.sequence, 0)
  AND (projection.parked_at IS NULL OR projection.parked_at < $1)
ORDER BY projection.updated_at NULLS FIRST
LIMIT $2

-- name: finish
-- Sessions that are over and counted to their end need not be looked at again.
UPDATE gameplay.combat_sessions AS session
SET projected = true
WHERE NOT session.projected
  AND session.status IN ('ENDED', 'ABORTED')
  AND session.journal_sequence = coalesce(
      (SELECT sequence FROM gameplay.combat_projections WHERE session_id = session.id), 0)

-- name: lag
SELECT
    coalesce(sum(session.journal_sequence - coalesce(projection.sequence, 0)), 0)::bigint AS records,
    coalesce(max(session.journal_time_us - coalesce(projection.time_us, 0)), 0)::bigint AS time_us,
    count(projection.parked_at) AS parked
FROM gameplay.combat_sessions AS session
LEFT JOIN gameplay.combat_projections AS projection ON projection.session_id = session.id
WHERE NOT session.projected

-- name: load
SELECT sequence, time_us, tally, story FROM gameplay.combat_projections WHERE session_id = $1

-- name: fitting
-- How many of the next segments have together no more than $4 bytes.
SELECT count(*) FROM (
    SELECT sum(octet_length(payload)) OVER (ORDER BY last_sequence) AS together
    FROM (
        SELECT last_sequence, payload FROM gameplay.combat_segments
        WHERE session_id = $1 AND last_sequence > $2 ORDER BY last_sequence LIMIT $3
    ) AS next
) AS sizes
WHERE together <= $4

-- name: move
INSERT INTO gameplay.combat_projections AS projection (
    session_id, sequence, time_us, tally, story, updated_at
) VALUES ($1, $3, $4, $5, $6::jsonb, $7)
ON CONFLICT (session_id) DO UPDATE
SET sequence = $3, time_us = $4, tally = $5, story = $6::jsonb, updated_at = $7, parked_at = NULL, error = NULL
WHERE projection.sequence = $2
RETURNING true

-- name: park
INSERT INTO gameplay.combat_projections AS projection (
    session_id, sequence, time_us, tally, story, updated_at, parked_at, error
) VALUES ($1, $2, 0, ''::bytea, '{}'::jsonb, $3, $3, $4)
ON CONFLICT (session_id) DO UPDATE
SET updated_at = $3, parked_at = $3, error = $4
WHERE projection.sequence = $2

-- name: put_player
INSERT INTO gameplay.combat_player_stats (
    session_id, player_id, slot, team, kills, deaths, assists, damage_dealt_milli, damage_taken_milli,
    healed_milli, shots, hits, headshots, longest_kill_mm, best_streak, time_alive_us, movement_violations,
    moved_mm, clamped_rewinds, weapons, regions, rewind_bins
) VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20::jsonb,
    $21::jsonb, $22
)
ON CONFLICT (session_id, player_id) DO UPDATE
SET slot = $3, team = $4, kills = $5, deaths = $6, assists = $7, damage_dealt_milli = $8,
    damage_taken_milli = $9, healed_milli = $10, shots = $11, hits = $12, headshots = $13,
    longest_kill_mm = $14, best_streak = $15, time_alive_us = $16, movement_violations = $17,
    moved_mm = $18, clamped_rewinds = $19, weapons = $20::jsonb, regions = $21::jsonb, rewind_bins = $22

-- name: put_seat
INSERT INTO gameplay.combat_seats (session_id, slot, player_id, team, from_sequence, to_sequence)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (session_id, slot, from_sequence) DO UPDATE
SET player_id = $3, team = $4, to_sequence = $6

-- name: clear_players
DELETE FROM gameplay.combat_player_stats WHERE session_id = $1

-- name: clear_seats
DELETE FROM gameplay.combat_seats WHERE session_id = $1

-- name: counted
-- Every session that has been counted, for a recount.
SELECT session_id FROM gameplay.combat_projections WHERE session_id > $1 ORDER BY session_id LIMIT $2

-- name: session_players
-- One row at least when there is such a session, so that what is counted and the counts are of one moment.
SELECT coalesce(projection.sequence, 0) AS sequence, stats.*
FROM gameplay.combat_sessions AS session
LEFT JOIN gameplay.combat_projections AS projection ON projection.session_id = session.id
LEFT JOIN gameplay.combat_player_stats AS stats ON stats.session_id = session.id
WHERE session.id = $1
ORDER BY stats.player_id

-- name: player
SELECT
    count(*) AS sessions,
    coalesce(sum(kills), 0)::bigint AS kills,
    coalesce(sum(deaths), 0)::bigint AS deaths,
    coalesce(sum(assists), 0)::bigint AS assists,
    coalesce(sum(damage_dealt_milli), 0)::bigint AS damage_dealt_milli,
    coalesce(sum(damage_taken_milli), 0)::bigint AS damage_taken_milli,
    coalesce(sum(healed_milli), 0)::bigint AS healed_milli,
    coalesce(sum(shots), 0)::bigint AS shots,
    coalesce(sum(hits), 0)::bigint AS hits,
    coalesce(sum(headshots), 0)::bigint AS headshots,
    coalesce(max(longest_kill_mm), 0) AS longest_kill_mm,
    coalesce(max(best_streak), 0) AS best_streak,
    coalesce(sum(time_alive_us), 0)::bigint AS time_alive_us,
    coalesce(sum(movement_violations), 0)::bigint AS movement_violations,
    coalesce(sum(moved_mm), 0)::bigint AS moved_mm,
    coalesce(sum(clamped_rewinds), 0)::bigint AS clamped_rewinds,
    (
        SELECT coalesce(jsonb_object_agg(name, counts), '{}') FROM (
            SELECT weapon.key AS name, jsonb_build_object(
                'index', 0,
                'shots', sum((weapon.value -> 'shots')::bigint),
                'hits', sum((weapon.value -> 'hits')::bigint),
                'kills', sum((weapon.value -> 'kills')::bigint)) AS counts
            FROM gameplay.combat_player_stats, jsonb_each(weapons) AS weapon
            WHERE player_id = $1 GROUP BY weapon.key
        ) AS by_name
    ) AS weapons,
    (
        SELECT coalesce(jsonb_object_agg(region, hits), '{}') FROM (
            SELECT region.key AS region, sum(region.value::bigint) AS hits
            FROM gameplay.combat_player_stats, jsonb_each(regions) AS region
            WHERE player_id = $1 GROUP BY region.key
        ) AS by_region
    ) AS regions,
    (
        SELECT coalesce(array_agg(shots ORDER BY number), '{}') FROM (
            SELECT bin.number, sum(bin.shots)::bigint AS shots
            FROM gameplay.combat_player_stats, unnest(rewind_bins) WITH ORDINALITY AS bin (shots, number)
            WHERE player_id = $1 GROUP BY bin.number
        ) AS by_bin
    ) AS rewind_bins
FROM gameplay.combat_player_stats
WHERE player_id = $1
