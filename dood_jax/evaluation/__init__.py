"""Everything that is measured of a trained model: one registry of tasks."""
