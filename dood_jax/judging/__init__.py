"""Judges of pictures, whoever drew them: a small classifier, and distances between sets of pictures."""
