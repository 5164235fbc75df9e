"""The hot path: judging commands. No asyncio, no I/O, no Python object per command. See README.md."""
