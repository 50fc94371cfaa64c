"""Everything that a run can be told: groups of checked settings, presets, and how flags are resolved."""
