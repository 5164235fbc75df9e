-- name: commit
-- $11 is every payload and then every save in one piece; starts count from 1.
WITH held AS (
    UPDATE gameplay.combat_sessions AS session
    SET journal_sequence = segment.last_sequence,
        journal_time_us = segment.time_us,
        journal_tick = segment.tick
    FROM unnest(
        $2::varchar[], $3::bigint[], $4::bigint[], $5::bigint[], $6::integer[], $7::bigint[], $8::bigint[],
        $9::integer[], $10::integer[]
    ) AS segment (
        session_id, epoch, first_sequence, last_sequence, tick, time_us, checksum, start, size
    )
    WHERE session.id = segment.session_id
      AND session.owner = $1
      AND session.epoch = segment.epoch
      AND session.journal_sequence = segment.first_sequence - 1
    RETURNING segment.*
), segments AS (
    INSERT INTO gameplay.combat_segments (
        session_id, first_sequence, last_sequence, epoch, tick, time_us, checksum, payload
    )
    SELECT session_id, first_sequence, last_sequence, epoch, tick, time_us, checksum,
           substring($11::bytea FROM start FOR size)
    FROM held
), saves AS (
    INSERT INTO gameplay.combat_saves (session_id, sequence, tick, data)
    SELECT save.session_id, save.sequence, save.tick, substring($11::bytea FROM save.start FOR save.size)
    FROM unnest($12::varchar[], $13::bigint[], $14::integer[], $15::integer[], $16::integer[]) AS save (
        session_id, sequence, tick, start, size
    )
    JOIN held USING (session_id)
)
SELECT session_id FROM held

-- name: committed_before
-- Of sessions that `commit` did not find as it should: those where it had been there already.
SELECT session.id
FROM gameplay.combat_sessions AS session
JOIN unnest($2::varchar[], $3::bigint[], $4::bigint[]) AS segment (session_id, epoch, last_sequence)
  ON segment.session_id = session.id
WHERE session.owner = $1
  AND session.epoch = segment.epoch
  AND session.journal_sequence = segment.last_sequence

-- name: read
SELECT session_id, epoch, first_sequence, last_sequence, tick, time_us, checksum, payload
FROM gameplay.combat_segments
WHERE session_id = $1 AND last_sequence > $2
ORDER BY last_sequence
LIMIT $3

-- name: save_before
SELECT sequence, tick, data
FROM gameplay.combat_saves
WHERE session_id = $1 AND ($2::integer IS NULL OR tick <= $2)
ORDER BY sequence DESC
LIMIT 1
