"""Checkpoints: the manager of a run's, finding and reading, metadata."""
