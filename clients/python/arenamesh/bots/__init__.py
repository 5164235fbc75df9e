"""Bots: players that move, aim, shoot and use abilities through the same client as everybody else."""
