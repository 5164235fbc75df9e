"""Matches of the past on the command line: listed, shown, verified, exported."""
