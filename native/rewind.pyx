"""How far back a shot may look: the client says what it saw, the server bounds it. Integers only.

    newest + extrapolation >= view        it cannot have seen past the newest snapshot sent to it
    now >= view                           nor the future
    now - max_rewind <= view              the shooter is favoured so far and no further
    acked - interpolation_max <= view     what it acknowledged it has, and renders at most so far behind
    now - rtt - interpolation +- band     where an honest client's screen is
    last view <= view                     its screen does not run backwards

`rtt` is the least round trip of the last one to two windows of 10 s: a client that delays its answers moves
the mean, not the least. A snapshot is on its way for one half of it and the shot for the other, so the whole
of it counts. The band is `jitter_factor` x measured jitter, at least `jitter_min`, at most `jitter_max`, so
its width does not depend on the round trip at all. The bounds are applied in the order above, so a later one
wins over an earlier, and the last one that moved the view time is reported; none of them takes a view past
now or further back than max_rewind.
"""

from libc.stdint cimport int64_t, uint32_t
from native.types cimport (
    CLAMP_ACKED_SNAPSHOT, CLAMP_FUTURE, CLAMP_MAX_REWIND, CLAMP_MONOTONE, CLAMP_NEWEST_SNAPSHOT, CLAMP_NONE,
    CLAMP_ROUND_TRIP, rewind_rules_t,
)

cdef extern from *:
    """
    #define WINDOW_US 10000000
    #define UNKNOWN (-1)
    """
    const int64_t WINDOW_US
    const int64_t UNKNOWN


cdef void link_reset(link_t *link) noexcept nogil:
    link.rtt_min_us = UNKNOWN
    link.rtt_previous_us = UNKNOWN
    link.rtt_last_us = UNKNOWN
    link.window_start_us = 0
    link.jitter_us = 0
    link.last_view_us = UNKNOWN


cdef void link_measure(link_t *link, int64_t now_us, int64_t sent_us) noexcept nogil:
    """To be called for the first frame that acknowledges a snapshot; repeats would only add waiting time."""
    cdef int64_t rtt = now_us - sent_us
    cdef int64_t change
    if rtt < 0:
        return
    if link.rtt_last_us == UNKNOWN:
        link.rtt_min_us = rtt
        link.window_start_us = now_us
    else:
        change = rtt - link.rtt_last_us
        if change < 0:
            change = -change
        link.jitter_us += (change - link.jitter_us) // 16
        if now_us - link.window_start_us >= WINDOW_US:
            link.rtt_previous_us = link.rtt_min_us
            link.rtt_min_us = rtt
            link.window_start_us = now_us
        elif rtt < link.rtt_min_us:
            link.rtt_min_us = rtt
    link.rtt_last_us = rtt


cdef inline int64_t least_rtt(const link_t *link) noexcept nogil:
    if link.rtt_previous_us != UNKNOWN and link.rtt_previous_us < link.rtt_min_us:
        return link.rtt_previous_us
    return link.rtt_min_us


cdef inline int64_t within(int64_t value, int64_t low, int64_t high) noexcept nogil:
    if value < low:
        return low
    return high if value > high else value


cdef inline void at_most(view_t *view, int64_t bound_us, uint32_t clamp) noexcept nogil:
    if view.used_us > bound_us:
        view.used_us = bound_us
        view.clamp = clamp


cdef inline void at_least(view_t *view, int64_t bound_us, uint32_t clamp) noexcept nogil:
    if view.used_us < bound_us:
        view.used_us = bound_us
        view.clamp = clamp


cdef inline void within_band(const rewind_rules_t *rules, const link_t *link, int64_t now_us,
                             view_t *view) noexcept nogil:
    """Where an honest client's screen is, as far as the other bounds let it."""
    cdef int64_t centre = now_us - least_rtt(link) - rules.interpolation_us
    cdef int64_t band = within((link.jitter_us * rules.jitter_factor_q16) >> 16, rules.jitter_min_us,
                               rules.jitter_max_us)
    cdef int64_t low = now_us - rules.max_rewind_us
    at_most(view, within(centre + band, low, now_us), CLAMP_ROUND_TRIP)
    at_least(view, within(centre - band, low, now_us), CLAMP_ROUND_TRIP)


cdef view_t rewind_view(const rewind_rules_t *rules, link_t *link, int64_t now_us, int64_t claimed_us,
                        int64_t acked_us, int64_t newest_us, bint trusted) noexcept nogil:
    cdef view_t view
    view.used_us = claimed_us
    view.clamp = CLAMP_NONE
    if not trusted and newest_us >= 0:
        at_most(&view, newest_us + rules.extrapolation_max_us, CLAMP_NEWEST_SNAPSHOT)
    at_most(&view, now_us, CLAMP_FUTURE)
    at_least(&view, now_us - rules.max_rewind_us, CLAMP_MAX_REWIND)
    if trusted:
        return view
    if acked_us >= 0:
        at_least(&view, within(acked_us - rules.interpolation_max_us, 0, now_us), CLAMP_ACKED_SNAPSHOT)
    if link.rtt_last_us != UNKNOWN:
        within_band(rules, link, now_us, &view)
    at_least(&view, link.last_view_us, CLAMP_MONOTONE)
    link.last_view_us = view.used_us
    return view


# ---- the Python door ----------------------------------------------------------------------------

cdef class Link:
    def __cinit__(self, *, int64_t max_rewind_us=250_000, int64_t interpolation_us=100_000,
                  int64_t interpolation_max_us=200_000, int64_t extrapolation_max_us=50_000,
                  int64_t jitter_min_us=10_000, int64_t jitter_max_us=60_000,
                  int jitter_factor_q16=4 * 65536):
        self.rules.max_rewind_us = max_rewind_us
        self.rules.interpolation_us = interpolation_us
        self.rules.interpolation_max_us = interpolation_max_us
        self.rules.extrapolation_max_us = extrapolation_max_us
        self.rules.jitter_min_us = jitter_min_us
        self.rules.jitter_max_us = jitter_max_us
        self.rules.jitter_factor_q16 = jitter_factor_q16
        self.rules.on_break = 0
        link_reset(&self.c)

    def measure(self, int64_t now_us, int64_t sent_us):
        link_measure(&self.c, now_us, sent_us)

    @property
    def rtt_us(self):
        return least_rtt(&self.c)

    @property
    def jitter_us(self):
        return self.c.jitter_us

    def view(self, int64_t now_us, int64_t claimed_us, int64_t acked_us=-1, int64_t newest_us=-1,
             bint trusted=False):
        cdef view_t view = rewind_view(&self.rules, NULL if trusted else &self.c, now_us, claimed_us, acked_us,
                                       newest_us, trusted)
        return view.used_us, view.clamp
