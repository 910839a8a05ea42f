"""A network as ONNX: its graph, its weights, what each layer reads and gives, and what is counted of it."""
