"""Archives in native code; no Python door."""
