"""The evaluation classifier: its features give distances between images."""
