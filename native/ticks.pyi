"""Ticks in native code; no Python door."""
