"""The memory of an arena in native code; no Python door."""
