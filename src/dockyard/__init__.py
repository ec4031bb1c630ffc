"""Rebuild a uv-managed project's Docker image at the cost of what changed."""

__all__ = ["__version__"]

__version__ = "0.1.0"
