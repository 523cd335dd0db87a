"""From torch to ONNX, and the rewrites of graphs, one a file."""
