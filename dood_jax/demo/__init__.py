"""A page to draw on, served locally: `dood demo`. Needs the extra `demo`; nothing else depends on it."""
