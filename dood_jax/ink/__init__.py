"""Bitmap to ink: any picture of lines to ordered pen strokes, in pixels of the picture."""
