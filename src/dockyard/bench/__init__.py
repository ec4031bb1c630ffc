"""``invoke bench``: scenarios × Dockerfiles × environments, measured in one run."""
