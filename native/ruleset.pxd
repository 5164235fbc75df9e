"""A ruleset compiled to C tables."""

from native.types cimport ruleset_t

cdef class Ruleset:
    cdef ruleset_t c
    cdef readonly str name
    cdef readonly int version
    cdef readonly tuple weapon_names
    cdef readonly tuple action_names
    cdef readonly tuple mode_names
