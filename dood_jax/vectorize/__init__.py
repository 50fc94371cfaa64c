"""Bitmaps to ink: strokes in reading order, as vectors."""
