"""What can be set: groups of checked values, presets, and how they are read."""
