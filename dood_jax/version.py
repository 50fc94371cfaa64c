"""The version of the package; records of results and checkpoints name it."""

VERSION = "0.3.0"
