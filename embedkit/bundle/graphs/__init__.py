"""ONNX files, read from their protobuf bytes without the onnx package."""
