"""How far one drawing must be bent to become another: fields of displacement over strokes."""
