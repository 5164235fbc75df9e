"""A simulation of the durable core of combat: see README.md."""
