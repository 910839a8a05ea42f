"""What each input of an ONNX operator is for: values, or the shape of what is done with them."""

from __future__ import annotations

from typing import Literal

import onnx

Role = Literal["layer", "unattributed", "table", "other", "shape"]
BY_WEIGHT: tuple[Role, ...] = ("layer", "unattributed", "table", "other", "shape")  # the first one wins

Uses = dict[str, list[tuple[onnx.NodeProto | None, Role]]]  # tensor → the nodes that read it, each with what for

# Inputs that say how values are laid out or where they go.
LAYOUT: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(
        (
            "CastLike",
            "CumSum",
            "Expand",
            "Reshape",
            "SequenceAt",
            "Split",
            "SplitToSequence",
            "Squeeze",
            "Tile",
            "TopK",
            "Trilu",
        ),
        (1,),
    ),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"), (1,)),
    **dict.fromkeys(("ReduceProd", "ReduceSum", "ReduceSumSquare", "Unsqueeze", "OneHot"), (1,)),
    **dict.fromkeys(("ConstantOfShape", "EyeLike", "Shape", "Size"), (0,)),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), (4,)),
    "Col2Im": (1, 2),
    "Dropout": (1, 2),
    "Pad": (1, 3),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
}
# Inputs that say which values are taken. Chosen anew, they choose other values: codes are stored there.
INDEXES: dict[str, int] = {
    **dict.fromkeys(("Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND"), 1),
    "OneHot": 0,
}
TABLES = frozenset({"Gather", "GatherElements", "GatherND"})

# Operators through which a tensor passes, scaled or shifted at most, piecewise.
LINEAR = frozenset(
    {"Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Clip", "Concat", "DepthToSpace", "DequantizeLinear", "Div"}
    | {"DynamicQuantizeLinear", "Einsum"}
    | {"Dropout", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Identity", "LeakyRelu"}
    | {"Max", "Mean", "Min", "Mod", "Mul", "Neg", "Not", "OneHot", "Or", "PRelu", "Pad", "QuantizeLinear", "Relu"}
    | {"Reshape", "Round", "ScatterElements", "ScatterND", "Sign", "Slice", "SpaceToDepth", "Split", "Squeeze"}
    | {"Sub", "Sum", "Tile", "TopK", "Transpose", "Trilu", "Unsqueeze", "Where", "Xor", "ReduceSum", "ReduceMean"}
    | {"ReduceMax", "ReduceMin", "CumSum", "Resize", "BatchNormalization", "Col2Im", "GridSample"}
)


def is_layout(node: onnx.NodeProto, slot: int) -> bool:
    """Whether an input only lays values out."""
    return slot in LAYOUT.get(node.op_type, ())


def is_index(node: onnx.NodeProto, slot: int) -> bool:
    """Whether an input says which values are taken."""
    return INDEXES.get(node.op_type) == slot


def first(roles: set[Role]) -> Role | None:
    """The role that counts where a tensor has several; None where it has none."""
    return next((role for role in BY_WEIGHT if role in roles), None)
