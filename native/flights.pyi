"""Projectiles in native code; no Python door."""
