"""Saved matches in native code; the Python door is `arena`."""
