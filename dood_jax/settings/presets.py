"""What `model.preset` decides where a config says nothing: the fast model, and the published one."""

from typing import Any

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "fast": {"model": {"native_size": 28}},  # beside the defaults of the settings
    "published": {
        "model": {
            "brush": "splat",
            "placement": "glimpse",
            "encoder": "conv",
            "latents": "correlated",
            "components": 40,
            "curve_samples": 100,
            "dropout": 0.5,
        },
        "objective": {"stopping": "nvil"},
        "optimizer": {
            "learning_rate": 1e-4,
            "schedule": "constant",
            "warmup_steps": 0,
            "likelihood_multiplier": 1.0,
            "presence_multiplier": 1.0,
            "clip_norm": 0.0,
        },
    },
}
