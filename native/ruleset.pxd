"""A ruleset compiled to C tables."""

from native.types cimport armour_rules_t, falloff_t, ruleset_t

cdef class Ruleset:
    cdef ruleset_t c
    cdef readonly str name
    cdef readonly int version
    cdef readonly tuple weapon_names
    cdef readonly tuple action_names
    cdef readonly tuple mode_names
    cdef str _hash

# Compile one part of a document (`native.document.Document`); ValueError names the field.
cdef int falloff_from(object document, falloff_t *out) except -1
cdef int armour_from(object document, armour_rules_t *out) except -1
