"""DooD: one posterior step, one prior step, and the scan over strokes."""
