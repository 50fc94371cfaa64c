"""The learned parts: pictures to features, features to parameters."""
