"""What the Python interface, evaluation and the training loop share: infer, generate, bounds, in batches."""
