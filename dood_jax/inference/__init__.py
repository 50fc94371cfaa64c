"""What the training loop, the Python interface and the evaluation tasks share, in batches over devices."""
