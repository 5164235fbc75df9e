"""Arenamesh for Python.

`arenamesh.combat`, `arenamesh.common` and `arenamesh.events` are generated from the contract;
`arenamesh.client` is the client to write a game with; `arenamesh.bots` plays matches with it.
"""
