"""Plain-Python twins of the kernels: the readable specification, and the oracle in tests."""
