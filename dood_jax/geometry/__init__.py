"""Coordinate frames, layouts and curves: pure functions of one example."""
