"""A match as bytes, and back."""

from native.ruleset cimport Ruleset
from native.state cimport arena_t
from native.world cimport World

cdef bytes save_match(arena_t *arena, Ruleset ruleset, World world)
# Puts the saved match in the place of the arena's, and returns the names of its roster. Raises ValueError
# saying what differs or is broken; the arena is then as it was.
cdef list restore_match(arena_t *arena, Ruleset ruleset, World world, bytes data)
