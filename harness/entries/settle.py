"""What needs no input is computed once, when a model is exported, and not by every runtime that reads it.

torch writes shape arithmetic, copies and casts of constants as nodes. A runtime may compute them at
every inference, and they hide patterns from its own optimiser: a convolution whose zero bias is the
result of an `Expand` is not fused with its batch norm in ONNX Runtime. Constant folding and rewriting
are onnxscript's; which rules run, and what is left alone, is chosen here (decision 011):

- batch norm stays apart from its layer, and no value of a weight changes;
- what holds a layer's weight in less space than the weight itself takes stays as it is: codes and a
  codebook, integers and a scale, 16-bit floats, two factors, one tensor that several layers share.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from hw_targets.graph.onnx_graph import LAYER_OF_WEIGHT

if TYPE_CHECKING:
    import numpy as np
    import onnx_ir as ir
    from onnxscript.rewriter import RewriteRule

ROUNDS = 4  # at most; each pass may open the way for another
LARGEST_GROWTH = 1 << 20  # bytes that a computed constant may take beyond what it is computed from
NARROW_BITS = 16  # of a stored number that is widened before it is used
WEIGHT_INPUTS = {
    **dict.fromkeys(("Conv", "ConvTranspose", "ConvInteger"), (1,)),
    **dict.fromkeys(("MatMul", "Gemm", "Einsum", "MatMulInteger"), (0, 1)),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), (1, 2)),
}


def settle_constants(model: ir.Model) -> None:
    """Compute, in place, whatever depends on stored tensors and known shapes alone, and drop what is then unused.

    What is computed from a stored tensor (its transpose, a piece of it, its product with a mask) keeps
    that tensor's name, so that layers keep theirs.
    """
    import onnx_ir.passes.common as passes
    from onnxscript import optimizer, rewriter

    stored = {name: _bytes(value) for name, value in model.graph.initializers.items()}
    rules = rewriter.RewritePass(_rules())
    _share_grids(model.graph)
    for _ in range(ROUNDS):
        changed = passes.CommonSubexpressionEliminationPass()(model).modified
        folded = optimizer.fold_constants_ir(
            model,
            onnx_shape_inference=True,
            input_size_limit=1 << 40,  # `_may_fold` decides
            output_size_limit=1 << 40,
            should_fold=_may_fold,
        )
        changed |= folded.modified | _cut_splits(model.graph) | _join_slices(model.graph) | rules(model).modified
        passes.RemoveUnusedNodesPass()(model)
        if not changed:
            break
    passes.RemoveUnusedOpsetsPass()(model)
    _name_computed(model.graph, stored)
    passes.NameFixPass()(model)


def _rules() -> list[RewriteRule]:
    """Those of onnxscript's default rules that leave every layer and its weight as they are."""
    from onnxscript.rewriter.rules import common

    return [
        *common.expand_before_binary_op_rules,
        *common.mul_by_1_rule.commute(),
        *common.add_0_rule.commute(),
        common.sub_0_rule,
        common.div_by_1_rule,
        common.dropout_zero_rule,
        common.dropout_inference_rule,
        common.one_reshape_matmul_reshape_rule,
        common.two_reshapes_matmul_reshape_rule,
        common.cast_constant_of_shape_rule,
        common.cast_constant_of_shape_without_value_rule,
        common.collapse_slice_rule,
        common.collapse_slice2_rule,
        common.materialize_reshape_shape_rule,
        common.min_min_rule,
        common.max_max_rule,
        common.min_max_rule,
        common.max_min_rule,
        common.successive_clip_relu_rule,
        common.successive_clip_rule,
        common.successive_relu_clip_rule,
        common.successive_relu_rule,
        common.cast_cast_rule,
        common.no_op_cast_rule,
        common.no_op_expand_rule,
        common.flatten_to_reshape_rule,
        common.reshape_reshape_rule,
        common.no_op_transpose_rule,
        common.transpose_transpose_rule,
        common.unsqueeze_unsqueeze_rule,
        common.squeeze_reshape_1d_rule,
        common.no_op_dynamic_scatter_nd_rule,
        common.no_op_static_scatter_nd_rule,
        common.fuse_pad_into_conv_rule,
        common.normalize_pad_format_conv_rule,
        common.remove_optional_bias_from_conv_rule,
        common.remove_optional_bias_from_conv_transpose_rule,
        common.remove_optional_bias_from_gemm_rule,
    ]


def _may_fold(node: ir.Node) -> bool:
    """Whether a node of constant inputs is computed now: its result takes no more space than what it makes unused.

    Where no layer's weight comes of it, a little more does not matter.
    """
    if _decodes(node) or len(node.outputs) != 1:
        return False
    output = node.outputs[0]
    growth = _bytes(output) - sum(_bytes(value) for value in _given_up(node))
    return growth <= (0 if _is_weight(output) else LARGEST_GROWTH)


def _given_up(node: ir.Node) -> Iterator[ir.Value]:
    """Inputs that nothing but constants is computed from, and nothing larger than they are."""
    for value in dict.fromkeys(each for each in node.inputs if each is not None):
        readers = [reader for reader, _ in value.uses()]
        if value.is_graph_output() or not all(map(_is_constant, readers)) or any(map(_decodes, readers)):
            continue
        pieces = [out for reader in dict.fromkeys(readers) for out in reader.outputs]
        if sum(map(_bytes, pieces)) <= _bytes(value) or len(set(readers)) == 1:
            yield value


def _decodes(node: ir.Node) -> bool:
    """Whether the node makes wide numbers of narrow ones: integers by a scale, codes by a table, 16-bit floats."""
    if node.op_type in ("DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"):
        return True
    first = node.inputs[0] if node.inputs else None
    if first is None or first.dtype is None:
        return False
    if node.op_type == "Gather":
        codes = node.inputs[1]
        one_table = first.shape is not None and len(first.shape) == 1 and first.dtype.is_floating_point()
        return one_table and codes is not None and codes.shape is not None and len(codes.shape) > 0
    out = node.outputs[0].dtype
    narrow = first.dtype.name != "BOOL" and first.dtype.bitwidth <= NARROW_BITS
    return narrow and out is not None and out.bitwidth > first.dtype.bitwidth


def _is_constant(node: ir.Node) -> bool:
    return bool(node.inputs) and all(value is None or value.const_value is not None for value in node.inputs)


def _is_weight(value: ir.Value) -> bool:
    """Whether a constant is the weight of a layer, or one is computed from it."""
    for reader, place in value.uses():
        if place in WEIGHT_INPUTS.get(reader.op_type, ()) and not _is_constant(reader):
            return True
        others = [each for each in reader.inputs if each is not None and each is not value]
        if all(each.const_value is not None for each in others) and any(map(_is_weight, reader.outputs)):
            return True
    return False


def _bytes(value: ir.Value) -> int:
    if value.const_value is not None:
        return int(value.const_value.nbytes)
    if value.shape is None or value.dtype is None or not value.shape.is_static():
        return 1 << 62  # not known: too large
    size = 1
    for length in value.shape.numpy():
        size *= length
    return -(-size * int(value.dtype.bitwidth) // 8)


def _share_grids(graph: ir.Graph) -> None:
    """Have activations that are rounded alike read one scale and one zero point, so that each is rounded once."""
    known: dict[tuple[object, ...], ir.Value] = {}
    for node in graph:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or node.inputs[0] is None:
            continue
        if node.inputs[0].const_value is not None:  # a weight: its numbers are its own
            continue
        for place, value in enumerate(node.inputs[1:], 1):
            if value is not None and value.const_value is not None and value.const_value.size == 1:
                number = value.const_value.numpy()
                same = known.setdefault((number.dtype, number.shape, number.tobytes()), value)
                node.replace_input_with(place, same)


def _cut_splits(graph: ir.Graph) -> bool:
    """Write a `Split` of a constant as slices: constant folding knows no node of several outputs."""
    import numpy as np
    import onnx_ir as ir

    splits = [node for node in graph if node.op_type == "Split" and _is_constant(node)]
    for node in splits:
        whole = node.inputs[0]
        assert whole is not None and whole.shape is not None
        axis = node.attributes.get_int("axis", 0)
        bounds = np.cumsum([0, *(_lengths(node, int(whole.shape.numpy()[axis])))])
        pieces = []
        for begin, end in pairwise(bounds):
            indices = [_stored(graph, np.array([each], np.int64)) for each in (begin, end, axis)]
            pieces.append(ir.Node("", "Slice", [whole, *indices]))
        outputs = [piece.outputs[0] for piece in pieces]
        ir.convenience.replace_nodes_and_values(graph, node, [node], pieces, node.outputs, outputs)
    return bool(splits)


def _join_slices(graph: ir.Graph) -> bool:
    """Write `Slice`s of different axes that follow each other as one: torch writes one for each axis.

    The first of two copies what the second throws away: half of a map, where a shortcut takes every other pixel.
    """
    import numpy as np
    import onnx_ir as ir

    joined = False
    for node in list(graph):
        before = node.inputs[0].producer() if node.op_type == "Slice" and node.inputs[0] is not None else None
        if before is None or before.op_type != "Slice" or len(before.outputs[0].uses()) > 1:
            continue
        first, second = _bounds(before), _bounds(node)
        if before.outputs[0].is_graph_output() or not first or not second or set(first[2]) & set(second[2]):
            continue
        indices = [_stored(graph, np.array(one + other, np.int64)) for one, other in zip(first, second, strict=True)]
        whole = ir.Node("", "Slice", [before.inputs[0], *indices])
        ir.convenience.replace_nodes_and_values(graph, node, [node], [whole], node.outputs, whole.outputs)
        joined = True
    return joined


def _bounds(node: ir.Node) -> list[list[int]]:
    """Starts, ends, axes counted from the front, and steps of a `Slice`; nothing where one of them is not known."""
    whole, *given = node.inputs
    if whole is None or whole.shape is None or any(value and value.const_value is None for value in given):
        return []
    numbers = [value.const_value.numpy().tolist() if value and value.const_value else [] for value in given]
    starts, ends, axes, steps = [*numbers, [], []][:4]
    rank = len(whole.shape)
    return [starts, ends, [axis % rank for axis in axes or range(len(starts))], steps or [1] * len(starts)]


def _lengths(node: ir.Node, whole: int) -> list[int]:
    """What each output of a `Split` takes of `whole`; the last one has less where it does not divide."""
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        assert node.inputs[1].const_value is not None
        return [int(length) for length in node.inputs[1].const_value.numpy()]
    each = -(-whole // len(node.outputs))
    return [min(each, whole - begin) for begin in range(0, whole, each)]


def _stored(graph: ir.Graph, values: np.ndarray) -> ir.Value:
    import onnx_ir as ir

    number = len(graph.initializers)
    while f"settled_{number}" in graph.initializers:
        number += 1
    value = ir.Value(name=f"settled_{number}", const_value=ir.tensor(values))
    value.type, value.shape = ir.TensorType(ir.DataType.INT64), ir.Shape(values.shape)
    graph.register_initializer(value)
    return value


def _name_computed(graph: ir.Graph, stored: Mapping[str, int]) -> None:
    """Give computed tensors the name of the largest of the `stored` ones that they were computed from."""
    from onnxscript.optimizer import FOLDED_FROM_KEY

    computed = [value for name, value in graph.initializers.items() if name not in stored]
    for value in computed:
        sources = sorted(
            stored.keys() & value.meta.get(FOLDED_FROM_KEY, ()),
            key=lambda name: (-stored[name], "orig" not in name, name),  # a mask is as large as what it masks
        )
        if not sources:
            continue
        layer = re.fullmatch(LAYER_OF_WEIGHT, sources[0])
        stem = layer[1] if layer else sources[0]
        name, number = sources[0], 2
        while name in graph.initializers:
            name, number = f"{stem}#{number}{sources[0][len(stem) :]}", number + 1
        assert value.name is not None
        graph.initializers.pop(value.name)
        value.name = name
        graph.register_initializer(value)
