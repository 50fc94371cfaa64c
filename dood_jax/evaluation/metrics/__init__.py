"""The evaluation classifier, whose features and classes other tasks use."""
