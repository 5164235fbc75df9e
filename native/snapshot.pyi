"""No Python face: other native modules `cimport` it. Tests reach it through `native.probe`."""
