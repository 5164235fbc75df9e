"""Hitboxes of a body, compiled from a ruleset."""

from native.types cimport rig_t

# Compiles the `rig` of a ruleset; ValueError with the path of the first thing wrong.
cdef int rig_from(dict document, rig_t *out) except -1

cdef class Rig:             # the Python door
    cdef rig_t c
