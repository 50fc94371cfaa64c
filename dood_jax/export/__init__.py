"""A model in files that other programs open: ONNX, safetensors, StableHLO, and a card that describes them."""
