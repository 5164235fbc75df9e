"""How far back a shot may look: the client says, the server bounds."""

from libc.stdint cimport int64_t, uint32_t
from native.types cimport rewind_rules_t

# What is known of one seat's connection; all from arrival times and acknowledgements.
ctypedef struct link_t:
    int64_t rtt_min_us          # least of the current window; -1: none measured yet
    int64_t rtt_previous_us     # least of the window before; -1: none
    int64_t window_start_us
    int64_t jitter_us           # mean deviation, EWMA 1/16
    int64_t rtt_last_us
    int64_t last_view_us        # monotone

ctypedef struct view_t:
    int64_t used_us
    uint32_t clamp

cdef void link_reset(link_t *link) noexcept nogil
# A frame that arrived at `now_us` acknowledged a snapshot sent at `sent_us`.
cdef void link_measure(link_t *link, int64_t now_us, int64_t sent_us) noexcept nogil
# `newest_us`: newest snapshot sent to the client; `acked_us`: newest it acknowledged, -1: none. A
# trusted stream (game server) is bounded by max_rewind and the present only, and has no link.
cdef view_t rewind_view(const rewind_rules_t *rules, link_t *link, int64_t now_us, int64_t claimed_us,
                        int64_t acked_us, int64_t newest_us, bint trusted) noexcept nogil

cdef class Link:            # the Python door
    cdef link_t c
    cdef rewind_rules_t rules
