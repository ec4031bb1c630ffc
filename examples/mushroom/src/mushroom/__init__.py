"""Classify mushrooms as edible or poisonous over HTTP."""

# Spelled out rather than read from package metadata, which is absent when only the sources are on
# the path. A test keeps it equal to the version in pyproject.toml.
__version__ = "1.4.0"
