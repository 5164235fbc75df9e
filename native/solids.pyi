"""Map documents compiled to solids and a hierarchy, for `native.world`: nothing for Python."""
