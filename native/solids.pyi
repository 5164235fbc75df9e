"""Map documents compiled to solids and a hierarchy. Only for `native.world`: nothing is callable from Python."""
