"""Devices, processes, signals and the lock of a run."""
