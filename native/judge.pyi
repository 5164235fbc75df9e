"""Judging in native code; no Python door."""
