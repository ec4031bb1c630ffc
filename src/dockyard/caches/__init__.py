"""The build cache beside the builder: what it is called, where it is kept, how buildx is told."""
