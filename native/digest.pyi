"""The state hash in native code; no Python door."""
