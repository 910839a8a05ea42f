"""Graphs that compute what a layer does with its weights out of sight."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from hw_targets.graph.onnx_graph import run_unoptimised

node = helper.make_node
D = 16

# --- Weights out of sight. `x [n, 8] → [n, 6] → ReLU → [n, 3]`; the first layer has 48 weights. ---

RNG = np.random.default_rng(0)
W = RNG.normal(size=(8, 6)).astype(np.float32)
V = RNG.normal(size=(6, 3)).astype(np.float32)
ZERO = [node("ReduceSum", ["x"], ["sum"], keepdims=0), node("Mul", ["sum", "nil"], ["zero"])]
ZERO_INT = [*ZERO, node("Cast", ["zero"], ["zero_int"], to=onnx.TensorProto.INT64)]
TIMES_W = [node("MatMul", ["x", "w"], ["h"])]
ROWS = [node("Unsqueeze", ["x", "two"], ["column"])]  # x as a column beside each row of a matrix
SUM = [node("ReduceSum", ["terms", "one"], ["h"], keepdims=0)]
BATCHED = [
    node("Unsqueeze", ["x", "one"], ["x3"]),
    node("MatMul", ["x3", "w"], ["h3"]),
    node("Squeeze", ["h3", "one"], ["h"]),
]
SPLIT = [node("Split", ["x"], [f"x{j}" for j in range(8)], axis=1, num_outputs=8)]
JOIN = [
    node("Concat", [f"t{k}" for k in range(48)], ["t"], axis=1),
    node("Reshape", ["t", "flat_rows"], ["by_output"]),
    node("ReduceSum", ["by_output", "two"], ["h"], keepdims=0),
]
INTS = {
    "flat_rows": [-1, 6, 8],
    "one": [1],
    "two": [2],
    "eight": [8],
    "none": [0],
    "flat": [-1, 8, 6],
    "square": [8, 6],
}


def network(nodes, tensors):
    numbers = {name: np.asarray(value, np.int64) for name, value in INTS.items()}
    every = {**numbers, "nil": np.float32(0), **tensors, "V": V}
    used = {name for each in nodes for name in each.input} | {"V"}
    graph = helper.make_graph(
        [*nodes, node("Relu", ["h"], ["r"]), node("MatMul", ["r", "V"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 3])],
        [onnx.numpy_helper.from_array(np.asarray(every[name]), name) for name in sorted(used & set(every))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    run_unoptimised(model, ["y"], {"x": np.ones((3, 8), np.float32)})
    return model


DENSE = network(TIMES_W, {"w": W})

MIXED = {
    "plus zero": ([*ZERO, node("Add", ["W", "zero"], ["w"]), *TIMES_W], "W"),
    "minus what is equal": ([node("Sub", ["x", "x"], ["d"]), node("ReduceMean", ["d"], ["m"], keepdims=0),
                             node("Sub", ["W", "m"], ["w"]), *TIMES_W], "W"),
    "times one": ([*ZERO, node("Exp", ["zero"], ["e"]), node("Mul", ["W", "e"], ["w"]), *TIMES_W], "W"),
    "chosen": ([*ZERO, node("Equal", ["zero", "zero"], ["c"]), node("Where", ["c", "W", "nil"], ["w"]), *TIMES_W], "W"),
    "both signs": ([*ZERO, node("Add", ["W", "zero"], ["a"]), node("Neg", ["a"], ["b"]), node("Relu", ["a"], ["p"]),
                    node("Relu", ["b"], ["q"]), node("Sub", ["p", "q"], ["w"]), *TIMES_W], "W"),
    "padded": ([*ZERO, node("Pad", ["W", "pads", "zero"], ["p"]), node("Slice", ["p", "none", "eight"], ["w"]),
                *TIMES_W], "W"),
    "scattered": ([*ZERO, node("Expand", ["zero", "square"], ["e"]), node("ScatterND", ["e", "places", "W"], ["w"]),
                   *TIMES_W], "W"),
    "looked up": ([*ZERO_INT, node("Add", ["order", "zero_int"], ["i"]), node("Gather", ["W", "i"], ["w"]),
                   *TIMES_W], "W"),
    "coded": ([*ZERO_INT, node("Add", ["codes", "zero_int"], ["i"]), node("Gather", ["book", "i"], ["w"]),
               *TIMES_W], "book|codes"),
    "integers": ([*ZERO_INT, node("Add", ["codes", "zero_int"], ["i"]), node("Cast", ["i"], ["w"], to=1),
                  *TIMES_W], "codes"),
    "one hot": ([*ZERO_INT, node("Add", ["order", "zero_int"], ["i"]), node("OneHot", ["i", "depth", "values"], ["w0"]),
                 node("Slice", ["w0", "none", "six", "one"], ["w"]), *TIMES_W], "values|order"),
    "a norm's bias": ([*ZERO, node("Expand", ["zero", "square"], ["e"]),
                       node("LayerNormalization", ["e", "ones", "W"], ["w"], axis=0), *TIMES_W], "W"),
    "a layer's bias": ([node("Gemm", ["x", "zeros", "flat_W"], ["b"]), node("Reshape", ["b", "flat"], ["w"]),
                        *BATCHED], "flat_W"),
    "one for each sample": ([node("Shape", ["x"], ["s"], start=0, end=1),
                             node("Concat", ["s", "square"], ["t"], axis=0),
                             node("Expand", ["W", "t"], ["w"]), *BATCHED], "W"),
    "a kernel": ([*ZERO, node("Add", ["kernel", "zero"], ["w"]), node("Unsqueeze", ["x", "two"], ["x3"]),
                  node("Conv", ["x3", "w"], ["c"]), node("Squeeze", ["c", "two"], ["h"])], "kernel"),
    "beyond float32": ([node("Gemm", ["x", "tiny"], ["t"], alpha=1e-30), node("Mul", ["t", "big"], ["u"]),
                        node("Mul", ["u", "big"], ["h"])], "tiny"),
}  # fmt: skip
TENSORS = {
    "W": W,
    "flat_W": W.reshape(-1),
    "kernel": W.T[:, :, None],
    "pads": np.asarray([0, 0, 1, 0]),
    "places": np.arange(8)[:, None],
    "order": np.arange(8),
    "codes": RNG.integers(1, 5, (8, 6)),
    "book": np.arange(5, dtype=np.float32),
    "depth": np.asarray(8),
    "six": np.asarray([6]),
    "values": np.asarray([0, 1], np.float32),
    "ones": np.ones((8, 6), np.float32),
    "zeros": np.zeros((8, 48), np.float32),
    "tiny": W * np.float32(1e-20),
    "big": np.float32(1e25),
    "signs": W > 0,
    "atanh": np.arctanh(0.9 * np.tanh(W)),
    "pair": np.stack([W, 2 * W]),
    "half": W.astype(np.float16),
    "A": W[:, :3],
    "B": W[:3],
    "sequence": np.float32(1),
    "end": np.float32(49),
    "indexes": RNG.integers(0, 8, (6, 8)),
    "var": np.ones(48, np.float32),
    "nought": np.zeros(48, np.float32),
    "wide": np.asarray([1, 8, 6]),
    "row": np.asarray([-1, 48]),
    "less": W / 10,
    "sides": np.arange(48).reshape(6, 8) + 48 * (RNG.random((6, 8)) < 0.5),
    "sixteen": np.asarray([16]),
    "four": np.asarray([4]),
    "three": np.asarray([3]),
    "signed_zeros": np.where(W < 0, -0.0, 0.0).astype(np.float32),
    "few": 2 * (W > 1.5).astype(np.float32),
    "minus1": np.float32(-1),
    "plus1": np.float32(1),
    "zero8": np.int8(0),
    "nine": np.asarray([0] + [1] * 8),
    **{f"lengths{i}": np.asarray([0, *range(1 + i, 9 + i)]) for i in range(6)},
    **{f"step{k}": value for k, value in enumerate(W.reshape(-1))},
    **{f"times{k}": np.asarray([1, k]) for k in range(1, 8)},
}


KEPT = {
    "half precision": ([node("Cast", ["half"], ["w"], to=1), *TIMES_W], 48),
    "integers": ([node("Cast", ["codes"], ["w"], to=1), *TIMES_W], 48),
    "codes": ([node("Gather", ["book", "codes"], ["w"]), *TIMES_W], 48),
    "two factors": ([node("MatMul", ["A", "B"], ["w"]), *TIMES_W], 8 * 6),
    "a formula": ([node("Range", ["sequence", "end", "sequence"], ["n"]), node("Sin", ["n"], ["s"]),
                   node("Reshape", ["s", "square"], ["w"]), *TIMES_W], 48),
    "a list in a node": ([node("Constant", [], ["l"], value_floats=W.reshape(-1).tolist()),
                          node("Reshape", ["l", "square"], ["w"]), *TIMES_W], 48),
    "sorted": ([node("TopK", ["W", "eight"], ["w", "rank"], axis=0), *TIMES_W], 48),
    "a function of it": ([*ZERO, node("Add", ["atanh", "zero"], ["a"]), node("Tanh", ["a"], ["w"]), *TIMES_W], 48),
    "terms summed": ([*ROWS, node("Mul", ["column", "W"], ["terms"]), *SUM], 48),
    "logarithms summed": ([node("Abs", ["x"], ["a"]), node("Log", ["a"], ["l"]), node("Unsqueeze", ["l", "two"], ["c"]),
                           node("Add", ["c", "W"], ["s"]), node("Exp", ["s"], ["terms"]), *SUM], 48),
    "signs": ([*ROWS, node("Neg", ["column"], ["minus"]), node("Where", ["signs", "column", "minus"], ["terms"]),
               *SUM], 48),
    "indexes summed": ([node("Gather", ["x", "indexes"], ["terms0"], axis=1),
                        node("ReduceSum", ["terms0", "two"], ["h"], keepdims=0)], 48),
    "a layer's too, times zero": ([node("Gemm", ["x", "W"], ["g"], alpha=0.0), *ROWS,
                                   node("Mul", ["column", "W"], ["terms"]), node("ReduceSum", ["terms", "one"], ["h0"],
                                   keepdims=0), node("Add", ["g", "h0"], ["h"])], 48),
    "packed with a layer's": ([node("Slice", ["pair", "none", "one"], ["u"]), node("Squeeze", ["u", "none"], ["u2"]),
                               node("MatMul", ["x", "u2"], ["g"]), *ROWS, node("Slice", ["pair", "one", "two"], ["v"]),
                               node("Mul", ["column", "v"], ["terms"]), node("ReduceSum", ["terms", "one"], ["h0"],
                               keepdims=0), node("Add", ["g", "h0"], ["h"])], 96),
    "a norm's scale": ([*ROWS, node("Expand", ["column", "wide"], ["e"]), node("Reshape", ["e", "row"], ["f"]),
                        node("BatchNormalization", ["f", "flat_W", "nought", "nought", "var"], ["g"]),
                        node("Reshape", ["g", "flat"], ["terms"]), *SUM], 48),
    "scaled away first": ([node("Gemm", ["x", "W"], ["g"], alpha=0.0), node("Gemm", ["x", "W"], ["h0"]),
                           node("Add", ["g", "h0"], ["h"])], 48),
    "rounded away first": ([node("Cast", ["less"], ["i"], to=6), node("Cast", ["i"], ["z"], to=1),
                            node("MatMul", ["x", "z"], ["g"]), node("MatMul", ["x", "less"], ["h0"]),
                            node("Add", ["g", "h0"], ["h"])], 48),
    "picked from copies, each once": ([node("Tile", ["x", "times6"], ["t"]), node("Neg", ["t"], ["m"]),
                                       node("Concat", ["t", "m"], ["both"], axis=1),
                                       node("Gather", ["both", "sides"], ["terms0"], axis=1),
                                       node("ReduceSum", ["terms0", "two"], ["h"], keepdims=0)], 48),
    "picked by indexes that hang on the batch": (
        [node("Neg", ["x"], ["m"]), node("Concat", ["x", "m"], ["both"], axis=1), node("Shape", ["x"], ["n"], end=1),
         node("Mul", ["n", "sixteen"], ["n16"]), node("Add", ["indexes", "n16"], ["far"]),
         node("Mod", ["far", "sixteen"], ["near"]), node("Gather", ["both", "near"], ["terms0"], axis=1),
         node("ReduceSum", ["terms0", "two"], ["h"], keepdims=0)], 48),
    "signs of zeros": ([*ZERO, node("Exp", ["zero"], ["e"]), node("Mul", ["signed_zeros", "e"], ["z"]),
                        node("Reciprocal", ["z"], ["i"]), node("Clip", ["i", "minus1", "plus1"], ["w"]), *ROWS,
                        node("Mul", ["column", "w"], ["terms"]), *SUM], 48),
    "few ones among zeros": ([*ROWS, node("Mul", ["column", "few"], ["a"]), node("Sub", ["a", "column"], ["terms"]),
                              *SUM], 48),
    "lengths of a shape": ([node("Slice", ["x", "none", "none", "one"], ["e"]), *(
        each for i in range(6) for each in (
            node("Reshape", ["e", "nine"], [f"e{i}"], allowzero=1), node("Expand", [f"e{i}", f"lengths{i}"], [f"l{i}"]),
            node("Shape", [f"l{i}"], [f"s{i}"], start=1))),
        node("Concat", [f"s{i}" for i in range(6)], ["s"], axis=0), node("Cast", ["s"], ["f"], to=1),
        node("Reshape", ["f", "square"], ["w"]), *ROWS, node("Mul", ["column", "w"], ["terms"]), *SUM], 48),
    "there in large batches alone": ([node("Shape", ["x"], ["n"], end=1), node("Div", ["n", "four"], ["q"]),
                                      node("Cast", ["q"], ["b"], to=9), node("Cast", ["b"], ["on"], to=1),
                                      node("Mul", ["W", "on"], ["w"]), *TIMES_W], 48),
    "not in batches of two and three": (
        [node("Shape", ["x"], ["n"], end=1), node("Sub", ["n", "two"], ["n2"]), node("Sub", ["n", "three"], ["n3"]),
         node("Mul", ["n2", "n3"], ["q"]), node("Cast", ["q"], ["b"], to=9), node("Cast", ["b"], ["on"], to=1),
         node("Mul", ["W", "on"], ["w"]), node("Unsqueeze", ["w", "two"], ["w3"]), *ROWS,
         node("Mul", ["column", "w"], ["terms"]), *SUM], 48),
    "slopes of activations": ([*SPLIT, *(node("LeakyRelu", [f"x{k % 8}"], [f"t{k}"], alpha=float(W.flat[k]))
                                         for k in range(48)), *JOIN], 48),
    "steps of quantisers": ([node("QuantizeLinear", ["x", "plus1", "zero8"], ["codes_x"]),
                             node("Split", ["codes_x"], [f"x{j}" for j in range(8)], axis=1, num_outputs=8),
                             *(node("DequantizeLinear", [f"x{k % 8}", f"step{k}"], [f"t{k}"]) for k in range(48)),
                             *JOIN], 48),
    "one step for many": ([node("QuantizeLinear", ["x", "plus1", "zero8"], ["codes_x"]),
                           node("Split", ["codes_x"], [f"x{j}" for j in range(8)], axis=1, num_outputs=8),
                           *(node("DequantizeLinear", [f"x{k % 8}", f"step{k % 3}"], [f"t{k}"]) for k in range(48)),
                           *JOIN], 48),
    "repeats": ([*SPLIT, *(each for k in range(48) for each in (
        node("Tile", [f"x{k % 8}", f"times{1 + k % 7}"], [f"r{k}"]),
        node("ReduceSum", [f"r{k}", "one"], [f"t{k}"]))), *JOIN], 48),
}  # fmt: skip
