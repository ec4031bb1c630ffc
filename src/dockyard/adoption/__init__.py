"""Bringing Dockyard into somebody else's project: look, propose, ask, write."""
