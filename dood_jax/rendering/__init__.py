"""Curves to ink, ink to a canvas, windows on a canvas: pure functions of one example."""
