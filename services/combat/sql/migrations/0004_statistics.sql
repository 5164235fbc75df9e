-- Whether everything in the journal of a session that is over has been counted.
ALTER TABLE gameplay.combat_sessions ADD COLUMN projected BOOLEAN NOT NULL DEFAULT false;
-- What a projector has to look at: the live sessions and a few more, however many there have ever been.
-- A commit of the journal changes neither column of it, so it still touches no index.
CREATE INDEX idx_combat_sessions_unprojected ON gameplay.combat_sessions (id) WHERE NOT projected;

-- How far the journal of a session has been counted. Moved in the transaction that writes what was counted.
CREATE TABLE gameplay.combat_projections (
    session_id VARCHAR(255) PRIMARY KEY,
    -- The last record counted; every write checks it.
    sequence BIGINT NOT NULL,
    time_us BIGINT NOT NULL,
    -- Saved native.tally.Tally after that record.
    tally BYTEA NOT NULL,
    -- What else the integration events need to go on: see `services/combat/events.py`.
    story JSONB NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    -- Since when the journal after `sequence` cannot be counted, and why.
    parked_at TIMESTAMP,
    error TEXT
);
CREATE INDEX idx_combat_projections_parked ON gameplay.combat_projections (session_id)
    WHERE parked_at IS NOT NULL;

-- Counted from the journal up to `combat_projections.sequence`; a row for everybody who ever had a seat.
CREATE TABLE gameplay.combat_player_stats (
    session_id VARCHAR(255) NOT NULL,
    player_id VARCHAR(64) NOT NULL,
    slot INTEGER NOT NULL,
    -- Plus one; 0 in a mode without teams.
    team INTEGER NOT NULL,
    kills BIGINT NOT NULL,
    deaths BIGINT NOT NULL,
    assists BIGINT NOT NULL,
    -- 1/1000 health points.
    damage_dealt_milli BIGINT NOT NULL,
    damage_taken_milli BIGINT NOT NULL,
    healed_milli BIGINT NOT NULL,
    shots BIGINT NOT NULL,
    hits BIGINT NOT NULL,
    headshots BIGINT NOT NULL,
    longest_kill_mm BIGINT NOT NULL,
    best_streak BIGINT NOT NULL,
    time_alive_us BIGINT NOT NULL,
    movement_violations BIGINT NOT NULL,
    moved_mm BIGINT NOT NULL,
    clamped_rewinds BIGINT NOT NULL,
    -- By name of the weapon: {"rifle": {"index": 0, "shots": 12, "hits": 5, "kills": 1}}; used ones only.
    weapons JSONB NOT NULL,
    -- Hits by number of the region: {"1": 3}.
    regions JSONB NOT NULL,
    -- Shots by how far back they were judged: see `domain/statistics.py`.
    rewind_bins BIGINT[] NOT NULL,
    PRIMARY KEY (session_id, player_id)
);
CREATE INDEX idx_combat_player_stats_player ON gameplay.combat_player_stats (player_id);

-- Who sat where, from the record that gave the seat to the one that freed it.
CREATE TABLE gameplay.combat_seats (
    session_id VARCHAR(255) NOT NULL,
    slot INTEGER NOT NULL,
    player_id VARCHAR(64) NOT NULL,
    team INTEGER NOT NULL,
    from_sequence BIGINT NOT NULL,
    -- NULL: still there.
    to_sequence BIGINT,
    PRIMARY KEY (session_id, slot, from_sequence)
);
CREATE INDEX idx_combat_seats_player ON gameplay.combat_seats (player_id);

-- The journal in SQL ----------------------------------------------------------------------------------

-- Messages and enumerations of the contract that a journal is made of; `main migrate` fills both from the
-- contract's descriptors.
CREATE TABLE gameplay.protobuf_fields (
    message TEXT NOT NULL,
    number INTEGER NOT NULL,
    -- In proto3 JSON.
    name TEXT NOT NULL,
    -- As in a proto file: `uint32`, `double`, `message`, `enum` ...
    kind TEXT NOT NULL,
    -- Of the message or enum; '' for others.
    type TEXT NOT NULL,
    repeated BOOLEAN NOT NULL,
    -- Whether a default value that was sent is told from one that was not.
    presence BOOLEAN NOT NULL,
    -- The group of fields of which the last one sent counts; '' for none.
    oneof TEXT NOT NULL,
    PRIMARY KEY (message, number)
);
CREATE TABLE gameplay.protobuf_enums (
    type TEXT NOT NULL,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (type, number)
);

-- The fields of one message in their order: `value` has the bits of a number, `chunk` the bytes of anything
-- with a length. Groups, which proto3 does not have, are left out.
CREATE FUNCTION gameplay.protobuf_scan(data BYTEA)
RETURNS TABLE (place INTEGER, number INTEGER, wire INTEGER, value BIGINT, chunk BYTEA)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    size CONSTANT INTEGER := length(data);
    at INTEGER := 0;
    depth INTEGER := 0;
    octet INTEGER;
    bits BIGINT;
    shift INTEGER;
BEGIN
    place := 0;
    WHILE at < size LOOP
        octet := get_byte(data, at);
        at := at + 1;
        bits := octet & 127;
        shift := 7;
        WHILE octet > 127 LOOP
            octet := get_byte(data, at);
            at := at + 1;
            bits := bits | ((octet & 127)::bigint << shift);
            shift := shift + 7;
            IF shift > 35 THEN
                RAISE EXCEPTION 'not a protobuf message: tag before byte %', at;
            END IF;
        END LOOP;
        number := bits >> 3;
        wire := bits & 7;
        value := 0;
        chunk := NULL;
        IF wire = 0 OR wire = 2 THEN
            octet := get_byte(data, at);
            at := at + 1;
            value := octet & 127;
            shift := 7;
            WHILE octet > 127 LOOP
                IF shift > 63 THEN
                    RAISE EXCEPTION 'not a protobuf message: number before byte %', at;
                END IF;
                octet := get_byte(data, at);
                at := at + 1;
                value := value | ((octet & 127)::bigint << shift);
                shift := shift + 7;
            END LOOP;
            IF wire = 2 THEN
                IF value < 0 OR value > size - at THEN
                    RAISE EXCEPTION 'not a protobuf message: length before byte %', at;
                END IF;
                chunk := substring(data FROM at + 1 FOR value::integer);
                at := at + value::integer;
            END IF;
        ELSIF wire = 5 THEN
            value := gameplay.protobuf_fixed32(data, at);
            at := at + 4;
        ELSIF wire = 1 THEN
            value := gameplay.protobuf_fixed64(data, at);
            at := at + 8;
        ELSIF wire = 3 THEN
            depth := depth + 1;
            CONTINUE;
        ELSIF wire = 4 AND depth > 0 THEN
            depth := depth - 1;
            CONTINUE;
        ELSE
            RAISE EXCEPTION 'not a protobuf message: wire type before byte %', at;
        END IF;
        IF depth = 0 THEN
            place := place + 1;
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;

CREATE FUNCTION gameplay.protobuf_fixed32(data BYTEA, at INTEGER) RETURNS BIGINT
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT get_byte(data, at)::bigint | (get_byte(data, at + 1)::bigint << 8)
        | (get_byte(data, at + 2)::bigint << 16) | (get_byte(data, at + 3)::bigint << 24)
$$;

CREATE FUNCTION gameplay.protobuf_fixed64(data BYTEA, at INTEGER) RETURNS BIGINT
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT gameplay.protobuf_fixed32(data, at) | (gameplay.protobuf_fixed32(data, at + 4) << 32)
$$;

-- An IEEE number of `fraction` bits and its exponent's bias, from its bits without the sign.
CREATE FUNCTION gameplay.protobuf_ieee(bits BIGINT, negative BOOLEAN, fraction INTEGER, bias INTEGER)
RETURNS FLOAT8 LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    exponent CONSTANT INTEGER := bits >> fraction;
    mantissa CONSTANT BIGINT := bits & ((1::bigint << fraction) - 1);
    result FLOAT8;
BEGIN
    IF exponent = 2 * bias + 1 THEN
        IF mantissa <> 0 THEN
            RETURN 'NaN';
        END IF;
        RETURN CASE WHEN negative THEN '-Infinity' ELSE 'Infinity' END;
    ELSIF exponent = 0 THEN
        result := mantissa::float8 * power(2::float8, 1 - bias - fraction);
    ELSE
        result := (mantissa | (1::bigint << fraction))::float8 * power(2::float8, exponent - bias - fraction);
    END IF;
    RETURN CASE WHEN negative THEN -result ELSE result END;
END
$$;

-- A number as proto3 JSON has it.
CREATE FUNCTION gameplay.protobuf_number(kind TEXT, bits BIGINT) RETURNS JSONB
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    low CONSTANT BIGINT := bits & 4294967295;
    wide CONSTANT BIGINT := 9223372036854775807;
BEGIN
    CASE kind
        WHEN 'uint32', 'fixed32' THEN
            RETURN to_jsonb(low);
        WHEN 'uint64', 'fixed64' THEN
            RETURN to_jsonb(CASE WHEN bits < 0 THEN (bits::numeric + 18446744073709551616)::text
                            ELSE bits::text END);
        WHEN 'float' THEN
            RETURN to_jsonb(gameplay.protobuf_ieee(low & 2147483647, low > 2147483647, 23, 127)::float4);
        WHEN 'double' THEN
            RETURN to_jsonb(gameplay.protobuf_ieee(bits & wide, bits < 0, 52, 1023));
        WHEN 'bool' THEN
            RETURN to_jsonb(bits <> 0);
        WHEN 'sint32' THEN
            RETURN to_jsonb((low >> 1) # -(low & 1));
        WHEN 'sint64' THEN
            RETURN to_jsonb((((bits >> 1) & wide) # -(bits & 1))::text);
        WHEN 'int32', 'sfixed32' THEN
            RETURN to_jsonb(CASE WHEN low > 2147483647 THEN low - 4294967296 ELSE low END);
        WHEN 'int64', 'sfixed64' THEN
            RETURN to_jsonb(bits::text);
    END CASE;
END
$$;

-- An array of numbers that share one length.
CREATE FUNCTION gameplay.protobuf_packed(kind TEXT, type TEXT, chunk BYTEA) RETURNS JSONB
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    size CONSTANT INTEGER := length(chunk);
    width CONSTANT INTEGER := CASE WHEN kind IN ('double', 'fixed64', 'sfixed64') THEN 8
                                   WHEN kind IN ('float', 'fixed32', 'sfixed32') THEN 4 ELSE 0 END;
    result JSONB[] := '{}';
    at INTEGER := 0;
    octet INTEGER;
    bits BIGINT;
    shift INTEGER;
BEGIN
    WHILE at < size LOOP
        IF width = 8 THEN
            bits := gameplay.protobuf_fixed64(chunk, at);
            at := at + 8;
        ELSIF width = 4 THEN
            bits := gameplay.protobuf_fixed32(chunk, at);
            at := at + 4;
        ELSE
            bits := 0;
            shift := 0;
            LOOP
                octet := get_byte(chunk, at);
                at := at + 1;
                bits := bits | ((octet & 127)::bigint << shift);
                shift := shift + 7;
                EXIT WHEN octet < 128 OR shift > 63;
            END LOOP;
        END IF;
        result := result || gameplay.protobuf_single(kind, type, bits);
    END LOOP;
    RETURN to_jsonb(result);
END
$$;

CREATE FUNCTION gameplay.protobuf_single(kind TEXT, type TEXT, bits BIGINT) RETURNS JSONB
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    label TEXT;
BEGIN
    IF kind <> 'enum' THEN
        RETURN gameplay.protobuf_number(kind, bits);
    END IF;
    SELECT enums.name INTO label FROM gameplay.protobuf_enums AS enums
    WHERE enums.type = protobuf_single.type AND enums.number = (bits << 32) >> 32;
    RETURN coalesce(to_jsonb(label), gameplay.protobuf_number('int32', bits));
END
$$;

-- A message of the contract as proto3 JSON. Fields that the table does not know are left out.
CREATE FUNCTION gameplay.protobuf_to_jsonb(message TEXT, data BYTEA) RETURNS JSONB
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    field RECORD;
    result JSONB := '{}';
    item JSONB;
    -- Of singular messages: what is sent in parts is read as one.
    parts BYTEA[] := '{}';
    part_names TEXT[] := '{}';
    part_types TEXT[] := '{}';
    -- The field that counts, by oneof.
    chosen JSONB := '{}';
    expected INTEGER;
    loser INTEGER;
BEGIN
    FOR field IN
        SELECT scan.number, scan.wire, scan.value, scan.chunk,
            fields.name, fields.kind, fields.type, fields.repeated, fields.presence, fields.oneof
        FROM gameplay.protobuf_scan(data) AS scan
        JOIN gameplay.protobuf_fields AS fields
            ON fields.message = protobuf_to_jsonb.message AND fields.number = scan.number
        ORDER BY scan.place
    LOOP
        expected := CASE WHEN field.kind IN ('message', 'string', 'bytes') THEN 2
                         WHEN field.kind IN ('double', 'fixed64', 'sfixed64') THEN 1
                         WHEN field.kind IN ('float', 'fixed32', 'sfixed32') THEN 5 ELSE 0 END;
        IF field.wire <> expected AND NOT (field.wire = 2 AND field.repeated) THEN
            CONTINUE;
        END IF;
        IF field.oneof <> '' THEN
            loser := (chosen ->> field.oneof)::integer;
            IF loser <> field.number THEN
                parts[loser] := NULL;
                SELECT result - fields.name INTO result FROM gameplay.protobuf_fields AS fields
                WHERE fields.message = protobuf_to_jsonb.message AND fields.number = loser;
            END IF;
            chosen := chosen || jsonb_build_object(field.oneof, field.number);
        END IF;
        IF field.kind = 'message' AND NOT field.repeated THEN
            parts[field.number] := coalesce(parts[field.number], '') || field.chunk;
            part_names[field.number] := field.name;
            part_types[field.number] := field.type;
            CONTINUE;
        END IF;
        IF field.kind = 'message' THEN
            item := gameplay.protobuf_to_jsonb(field.type, field.chunk);
        ELSIF field.kind = 'string' THEN
            item := to_jsonb(convert_from(field.chunk, 'UTF8'));
        ELSIF field.kind = 'bytes' THEN
            item := to_jsonb(translate(encode(field.chunk, 'base64'), E'\n', ''));
        ELSIF field.wire = 2 THEN
            item := gameplay.protobuf_packed(field.kind, field.type, field.chunk);
        ELSE
            item := gameplay.protobuf_single(field.kind, field.type, field.value);
        END IF;
        IF field.repeated THEN
            IF field.wire <> 2 OR expected = 2 THEN
                item := jsonb_build_array(item);
            END IF;
            IF item <> '[]' THEN
                result := result
                    || jsonb_build_object(field.name, coalesce(result -> field.name, '[]'::jsonb) || item);
            END IF;
        ELSIF NOT field.presence AND (CASE WHEN field.kind IN ('string', 'bytes') THEN field.chunk = ''
                WHEN field.kind IN ('int32', 'uint32', 'sint32', 'enum') THEN field.value & 4294967295 = 0
                ELSE field.value = 0 END) THEN
            result := result - field.name;
        ELSE
            result := result || jsonb_build_object(field.name, item);
        END IF;
    END LOOP;
    FOR part IN 1 .. coalesce(array_upper(parts, 1), 0) LOOP
        IF parts[part] IS NOT NULL THEN
            result := result || jsonb_build_object(
                part_names[part], gameplay.protobuf_to_jsonb(part_types[part], parts[part]));
        END IF;
    END LOOP;
    RETURN result;
END
$$;

-- A number of a message; 0 when it is not there.
CREATE FUNCTION gameplay.protobuf_value(data BYTEA, number INTEGER) RETURNS BIGINT
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce((
        SELECT scan.value FROM gameplay.protobuf_scan(data) AS scan
        WHERE scan.number = protobuf_value.number ORDER BY scan.place DESC LIMIT 1), 0)
$$;

-- What the records of a JournalSegment say, and the events they brought about: `part` is 0 for a record and
-- counts its events from 1. `slot` is the seat that acted, NULL for none. Ticks in which nobody was hit are left
-- out.
CREATE FUNCTION gameplay.combat_journal(payload BYTEA)
RETURNS TABLE (sequence BIGINT, time_us BIGINT, part INTEGER, type TEXT, slot INTEGER, message TEXT, body BYTEA)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    record BYTEA;
    field RECORD;
    inner_field RECORD;
    kind INTEGER;
    events BYTEA[];
    event BYTEA;
BEGIN
    -- Joined to nothing, the payload is in memory once: read from where it is stored, each byte of it would
    -- fetch all of it.
    FOR record IN SELECT scan.chunk FROM gameplay.protobuf_scan(payload || ''::bytea) AS scan
        WHERE scan.number = 1 ORDER BY scan.place
    LOOP
        sequence := 0;
        time_us := 0;
        part := 0;
        type := NULL;
        slot := NULL;
        events := '{}';
        FOR field IN SELECT * FROM gameplay.protobuf_scan(record) AS scan ORDER BY scan.place LOOP
            CASE field.number
                WHEN 1 THEN sequence := field.value;
                WHEN 2 THEN time_us := field.value;
                WHEN 9 THEN events := events || field.chunk;
                WHEN 3, 4, 5, 6, 7, 8 THEN
                    kind := field.number;
                    body := field.chunk;
                ELSE NULL;
            END CASE;
        END LOOP;
        CASE kind
            WHEN 3 THEN
                type := 'join';
                message := 'arenamesh.combat.v1.JoinRecord';
                slot := gameplay.protobuf_value(body, 1);
            WHEN 4 THEN
                type := 'leave';
                message := 'arenamesh.combat.v1.LeaveRecord';
                slot := gameplay.protobuf_value(body, 1);
            WHEN 5 THEN
                type := 'start';
                message := 'arenamesh.combat.v1.StartRecord';
            WHEN 6 THEN
                IF EXISTS (SELECT FROM gameplay.protobuf_scan(body) AS scan WHERE scan.number = 3) THEN
                    type := 'tick';
                    message := 'arenamesh.combat.v1.TickRecord';
                END IF;
            WHEN 7 THEN
                message := 'arenamesh.combat.v1.CommandRecord';
                slot := 0;
                FOR inner_field IN SELECT command.* FROM gameplay.protobuf_scan(body) AS input,
                    gameplay.protobuf_scan(input.chunk) AS command
                    WHERE input.number = 1 ORDER BY input.place, command.place
                LOOP
                    CASE inner_field.number
                        WHEN 1 THEN slot := inner_field.value;
                        WHEN 5 THEN type := 'move';
                        WHEN 6 THEN type := 'shot';
                        WHEN 7 THEN type := 'action';
                        WHEN 8 THEN type := 'damage';
                        ELSE NULL;
                    END CASE;
                END LOOP;
            WHEN 8 THEN
                type := 'end';
                message := 'arenamesh.combat.v1.EndRecord';
        END CASE;
        IF type IS NOT NULL THEN
            RETURN NEXT;
        END IF;
        FOREACH event IN ARRAY events LOOP
            part := part + 1;
            type := NULL;
            slot := NULL;
            FOR field IN SELECT * FROM gameplay.protobuf_scan(event) AS scan ORDER BY scan.place LOOP
                CASE field.number
                    WHEN 4 THEN
                        type := 'spawn';
                        message := 'arenamesh.combat.v1.SpawnEvent';
                        slot := gameplay.protobuf_value(field.chunk, 1);
                    WHEN 5 THEN
                        type := 'kill';
                        message := 'arenamesh.combat.v1.KillEvent';
                        slot := gameplay.protobuf_value(field.chunk, 2);
                    WHEN 9 THEN
                        type := 'session_end';
                        message := 'arenamesh.combat.v1.SessionEndEvent';
                    ELSE CONTINUE;
                END CASE;
                body := field.chunk;
            END LOOP;
            IF type IS NOT NULL THEN
                RETURN NEXT;
            END IF;
        END LOOP;
    END LOOP;
END
$$;

-- What happened, a row each, for those who ask in SQL. `player_id` is who acted: of a kill, the killer.
CREATE VIEW gameplay.combat_events AS
SELECT
    segment.session_id || ':' || journal.sequence
        || CASE WHEN journal.part > 0 THEN ':' || journal.part ELSE '' END AS id,
    segment.session_id,
    journal.type,
    (
        SELECT seat.player_id FROM gameplay.combat_seats AS seat
        WHERE seat.session_id = segment.session_id AND seat.slot = journal.slot
            AND seat.from_sequence <= journal.sequence
        ORDER BY seat.from_sequence DESC LIMIT 1
    ) AS player_id,
    gameplay.protobuf_to_jsonb(journal.message, journal.body) AS data,
    coalesce(session.started_at, session.created_at) + journal.time_us * interval '1 microsecond' AS timestamp
FROM gameplay.combat_segments AS segment
JOIN gameplay.combat_sessions AS session ON session.id = segment.session_id
CROSS JOIN LATERAL gameplay.combat_journal(segment.payload) AS journal;
