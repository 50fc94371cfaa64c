"""Checkpoints: pytrees of arrays and their metadata, written whole or not at all, found and read again."""
