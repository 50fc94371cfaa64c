"""Training a model: the loop, its step and losses, the state that it carries, and what it reports."""
