"""Events in native code; no Python door."""
