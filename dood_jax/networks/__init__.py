"""The learned parts: images to features, features to parameters."""
