"""The bus between services: one port, one driver a file."""
