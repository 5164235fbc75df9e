"""The order of questions a command has to answer.

At the door: is it short enough, whose is it, was it judged before, does the match run? A command refused
there has changed nothing, keeps its sequence unused and leaves no record. Behind the door every command
uses up its sequence, gets one verdict that is kept for repeats, and one record.
"""

from libc.string cimport memcpy, memset
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from native.actions cimport effects_any, effects_q16
from native.casts cimport judge_action
from native.damage cimport strike_t
from native.history cimport tick_time
from native.records cimport record_command
from native.movement cimport move_judge
from native.rewind cimport link_measure
from native.shots cimport judge_shot
from native.state cimport (
    COMMAND_BYTES, KEPT_BYTES, KEPT_VERDICTS, STEP_TIMES, arena_t, kept_t, seat_t,
)
from native.types cimport (
    COMMAND_ACTION, COMMAND_DAMAGE, COMMAND_MOVE, COMMAND_SHOT, EFFECT_SPEED, EFFECT_STUN, OUTCOME_ACCEPTED,
    OUTCOME_CORRECTED, OUTCOME_REJECTED, REASON_BAD_SEQUENCE, REASON_BAD_TARGET, REASON_DEAD,
    REASON_FOREIGN_SLOT, REASON_NONE, REASON_NOT_ACTIVE, REASON_NOT_TRUSTED, REASON_NO_KIND,
    REASON_OUT_OF_RANGE, REASON_REPEAT_TOO_OLD, REASON_STUNNED, REASON_UNKNOWN_SLOT, command_t, hit_t,
    verdict_t,
)
from native.wire cimport (
    begin_message, cursor_t, end_message, frame_t, next_command, write_raw, write_varint, write_verdict,
    writer_t,
)
from native.wounds cimport blame_t, harm, hit_of, plain_strike, why_unharmed

cdef enum:
    FIELD_VERDICTS = 5
    FUTURE_TICKS = 1024         # a view further ahead is read as this far


# ---- verdicts held for repeats ------------------------------------------------------------------

cdef void _keep(arena_t *arena, uint32_t slot, uint32_t sequence, const uint8_t *data,
                uint32_t size) noexcept nogil:
    """Into the seat's ring of bytes; verdicts that would be overwritten are forgotten first."""
    cdef seat_t *seat = &arena.seat[slot]
    cdef kept_t *ring = arena.kept + slot * KEPT_VERDICTS
    cdef kept_t *kept
    cdef uint32_t at = seat.kept_at
    if at + size > KEPT_BYTES:
        at = 0
    while seat.kept_count:
        kept = &ring[seat.kept_first]
        if seat.kept_count < KEPT_VERDICTS and not _in_the_way(kept, seat.kept_at, at, size):
            break
        seat.kept_first = (seat.kept_first + 1) % KEPT_VERDICTS
        seat.kept_count -= 1
    kept = &ring[(seat.kept_first + seat.kept_count) % KEPT_VERDICTS]
    kept.sequence = sequence
    kept.offset = <uint16_t>at
    kept.size = <uint16_t>size
    memcpy(arena.kept_bytes + slot * KEPT_BYTES + at, data, size)
    seat.kept_count += 1
    seat.kept_at = at + size


cdef bint _in_the_way(const kept_t *kept, uint32_t before, uint32_t at, uint32_t size) noexcept nogil:
    """Does an old verdict lie in the bytes to be written, or in the end of the ring that is skipped?"""
    if at < before and kept.offset >= before:
        return True
    return kept.offset < at + size and at < <uint32_t>(kept.offset + kept.size)


cdef const kept_t *_find_kept(const arena_t *arena, uint32_t slot, uint32_t sequence) noexcept nogil:
    cdef const seat_t *seat = &arena.seat[slot]
    cdef const kept_t *kept
    cdef uint32_t i
    for i in range(seat.kept_count):
        kept = &arena.kept[slot * KEPT_VERDICTS + (seat.kept_first + i) % KEPT_VERDICTS]
        if kept.sequence == sequence:
            return kept
    return NULL


# ---- the door ---------------------------------------------------------------------------------

cdef void _refuse(arena_t *arena, const command_t *command, uint32_t reason) noexcept nogil:
    cdef verdict_t *verdict = &arena.verdict
    _clear(verdict, command)
    verdict.outcome = OUTCOME_REJECTED
    verdict.reason = reason
    arena.counters.rejected += 1
    write_verdict(&arena.out, FIELD_VERDICTS, verdict)


cdef void _repeat(arena_t *arena, const command_t *command) noexcept nogil:
    cdef const seat_t *seat = &arena.seat[command.slot]
    cdef const kept_t *kept = _find_kept(arena, command.slot, command.sequence)
    cdef const kept_t *oldest
    cdef writer_t *out = &arena.out
    cdef uint8_t *mark
    if kept == NULL:
        oldest = &arena.kept[command.slot * KEPT_VERDICTS + seat.kept_first]
        if seat.kept_count and command.sequence > oldest.sequence:
            _refuse(arena, command, REASON_BAD_SEQUENCE)    # a gap that was left
        else:
            _refuse(arena, command, REASON_REPEAT_TOO_OLD)
        return
    # The first verdict may be on its way to the journal still; which record it is, the ring does not say.
    arena.awaits = arena.barrier
    mark = begin_message(out, FIELD_VERDICTS)
    write_raw(out, arena.kept_bytes + command.slot * KEPT_BYTES + kept.offset, kept.size)
    write_varint(out, 5, 1)     # repeated
    end_message(out, mark)
    arena.counters.repeated += 1


cdef uint32_t _door(const arena_t *arena, const command_t *command, int binding) noexcept nogil:
    if command.raw_size > COMMAND_BYTES:
        return REASON_OUT_OF_RANGE
    if binding != ALL_SEATS and command.slot != <uint32_t>binding:
        return REASON_FOREIGN_SLOT
    if command.slot >= arena.slots or not arena.seat[command.slot].taken:
        return REASON_UNKNOWN_SLOT
    if command.sequence == 0:
        return REASON_BAD_SEQUENCE
    return REASON_NONE


# ---- behind the door ----------------------------------------------------------------------------

cdef void _clear(verdict_t *verdict, const command_t *command) noexcept nogil:
    memset(verdict, 0, sizeof(verdict_t) - sizeof(verdict.hit))
    verdict.slot = command.slot
    verdict.sequence = command.sequence


cdef bint _acknowledge(arena_t *arena, seat_t *seat, uint32_t tick, int64_t now_us) noexcept nogil:
    """Whether it tells something new. Only judged commands measure the link, so that a replay of the journal
    measures the same."""
    if tick <= seat.acked_tick or tick > arena.tick:
        return False
    seat.acked_tick = tick
    if arena.tick - tick < STEP_TIMES:
        link_measure(&seat.link, now_us, arena.stepped_us[tick % STEP_TIMES])
    return True


cdef int64_t _view_us(const arena_t *arena, uint32_t tick, uint32_t fraction, int64_t now_us) noexcept nogil:
    cdef int64_t start, end
    if tick == 0 and fraction == 0:
        return now_us
    if tick > arena.tick + FUTURE_TICKS:
        tick = arena.tick + FUTURE_TICKS
    start = tick_time(tick, arena.tick_rate)
    end = tick_time(tick + 1, arena.tick_rate)
    return start + (end - start) * fraction // 65536


cdef void _judge_move(arena_t *arena, const command_t *command, int64_t now_us,
                      verdict_t *verdict) noexcept nogil:
    cdef seat_t *seat = &arena.seat[command.slot]
    cdef uint8_t stance = seat.mover.stance
    arena.counters.moves += 1
    seat.mover.speed_q16 = effects_q16(&seat.loadout, EFFECT_SPEED, now_us) if seat.loadout.effects else 65536
    verdict.outcome = move_judge(&arena.rules.move, arena.world, &seat.mover, &command.move, now_us,
                                 &verdict.reason)
    if seat.mover.stance != stance:
        seat.epoch += 1
    if verdict.outcome == OUTCOME_CORRECTED:
        verdict.corrected = 1
        verdict.position = seat.mover.position
        verdict.velocity = seat.mover.velocity


cdef void _judge_direct(arena_t *arena, const command_t *command, bint trusted, int64_t now_us,
                        verdict_t *verdict) noexcept nogil:
    """Damage that the game's own server dealt. Its script decides about sides; life, protection and
    immunity are still the arena's."""
    cdef uint32_t target = command.direct.target
    cdef strike_t strike
    cdef blame_t blame
    cdef hit_t *hit
    verdict.outcome = OUTCOME_REJECTED
    if not trusted:
        verdict.reason = REASON_NOT_TRUSTED
        return
    if target >= arena.slots or not arena.seat[target].taken:
        verdict.reason = REASON_BAD_TARGET
        return
    if not arena.seat[target].alive:
        verdict.reason = REASON_DEAD
        return
    verdict.outcome = OUTCOME_ACCEPTED
    hit = hit_of(verdict, target, 0.0)
    hit.health_milli = arena.seat[target].body.health_milli
    hit.reason = why_unharmed(arena, target, target, now_us, now_us)
    if hit.reason:
        return
    strike = plain_strike(command.direct.amount_milli)
    strike.bypass = command.direct.bypass
    blame.source = command.slot
    blame.weapon = 0
    blame.region = 0
    blame.distance_m = 0.0
    harm(arena, target, &strike, &blame, now_us, hit)


cdef void _judge(arena_t *arena, const command_t *command, const frame_t *frame, bint trusted,
                 bint own_view, int64_t now_us) noexcept nogil:
    cdef seat_t *seat = &arena.seat[command.slot]
    cdef verdict_t *verdict = &arena.verdict
    cdef int64_t claimed_us
    verdict.outcome = OUTCOME_REJECTED
    if command.reason:
        verdict.reason = command.reason
    elif not own_view and frame.view_fraction > 65535:
        # The decoder asks this of a command's own view; the record holds the frame's as if it were that.
        verdict.reason = REASON_OUT_OF_RANGE
    elif command.kind == COMMAND_DAMAGE:
        _judge_direct(arena, command, trusted, now_us, verdict)
    elif not seat.alive:
        verdict.reason = REASON_DEAD
    elif seat.loadout.effects and effects_any(&seat.loadout, EFFECT_STUN, now_us):
        verdict.reason = REASON_STUNNED
    elif command.kind == COMMAND_MOVE:
        _judge_move(arena, command, now_us, verdict)
    elif command.kind == COMMAND_SHOT:
        if own_view:
            claimed_us = _view_us(arena, command.view_tick, command.view_fraction, now_us)
        else:
            claimed_us = _view_us(arena, frame.view_tick, frame.view_fraction, now_us)
        judge_shot(arena, command, claimed_us, trusted, now_us, verdict)
    elif command.kind == COMMAND_ACTION:
        judge_action(arena, command, now_us, verdict)
    else:
        verdict.reason = REASON_NO_KIND


cdef void _count(arena_t *arena, uint32_t outcome) noexcept nogil:
    arena.counters.accepted += outcome == OUTCOME_ACCEPTED
    arena.counters.corrected += outcome == OUTCOME_CORRECTED
    arena.counters.rejected += outcome == OUTCOME_REJECTED


cdef bint _volatile(const arena_t *arena, const command_t *command) noexcept nogil:
    """Of a kind that may be lost, and nobody but its player was touched by it."""
    return ((arena.volatile_kinds >> command.kind) & 1 and arena.hits.at == arena.hits.start
            and arena.caused.at == arena.caused.start)


cdef void _admit(arena_t *arena, const command_t *command, const frame_t *frame, bint trusted,
                 int64_t now_us) noexcept nogil:
    cdef seat_t *seat = &arena.seat[command.slot]
    cdef verdict_t *verdict = &arena.verdict
    cdef bint own_view = command.view_tick != 0 or command.view_fraction != 0
    # What is shot at depends on the view; of others only whether it can be.
    cdef bint viewed = not own_view and (command.kind == COMMAND_SHOT or frame.view_fraction > 65535)
    cdef const uint8_t *start
    cdef uint32_t size, acked_tick = 0
    if now_us > arena.now_us:
        arena.now_us = now_us
    now_us = arena.now_us
    seat.sequence = command.sequence
    if not trusted and _acknowledge(arena, seat, frame.acked_snapshot, now_us):
        acked_tick = frame.acked_snapshot
    _clear(verdict, command)
    arena.evidence.given = 0
    arena.evidence.draws = 0
    arena.evidence.occluded_m = 0.0
    _judge(arena, command, frame, trusted, own_view, now_us)
    arena.sequence += 1
    verdict.journal_sequence = arena.sequence
    if not _volatile(arena, command):
        arena.barrier = arena.awaits = arena.sequence
    _count(arena, verdict.outcome)
    start = arena.out.at
    write_verdict(&arena.out, FIELD_VERDICTS, verdict)
    start += 1                  # tag
    while start[0] & 0x80:      # length
        start += 1
    start += 1
    size = <uint32_t>(arena.out.at - start)
    _keep(arena, command.slot, command.sequence, start, size)
    if arena.journalling:
        record_command(arena, command, frame.view_tick if viewed else 0,
                       frame.view_fraction if viewed else 0, acked_tick, trusted, start, size)


cdef void judge_frame(arena_t *arena, int64_t now_us, const uint8_t *data, uint32_t size,
                      const frame_t *frame, int binding) noexcept nogil:
    cdef command_t *command = &arena.command
    cdef cursor_t cursor
    cdef uint32_t reason
    cursor.at = data
    cursor.end = data + size
    arena.counters.frames += 1
    arena.awaits = 0
    while next_command(&cursor, command):
        arena.counters.commands += 1
        reason = _door(arena, command, binding)
        if reason != REASON_NONE:
            _refuse(arena, command, reason)
        elif command.sequence <= arena.seat[command.slot].sequence:
            _repeat(arena, command)
        elif not arena.active:
            _refuse(arena, command, REASON_NOT_ACTIVE)
        else:
            _admit(arena, command, frame, binding == ALL_SEATS, now_us)
