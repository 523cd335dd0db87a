"""Captured programs on their way through torch's ONNX exporter."""
