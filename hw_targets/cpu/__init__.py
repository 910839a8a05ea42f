"""The processor of this machine: ONNX Runtime, driven by MLPerf LoadGen."""
