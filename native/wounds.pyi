"""Harm in native code; no Python door."""
