"""The contents of a match in native code; no Python door."""
