"""A run: state, step, devices, checkpoints and the loop."""
