"""One-shot classification: by registration of strokes, and by fitted tokens as published."""
