"""Shots in native code; no Python door."""
