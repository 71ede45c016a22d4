"""Random ONNX graphs, valid and typed, of what engines take and of what they refuse."""
