"""What is maximised, and the bound by which models are compared."""
