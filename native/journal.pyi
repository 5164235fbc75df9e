"""Journal records in native code; no Python door."""
