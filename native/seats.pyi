"""Seats in native code; no Python door."""
