"""Abilities in native code; no Python door."""
