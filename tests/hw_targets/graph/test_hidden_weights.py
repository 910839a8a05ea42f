"""A weight out of sight is a weight: what hides one is refused by name, or counts it as kept."""

from __future__ import annotations

import numpy as np
import pytest
from hiding import DENSE, KEPT, MIXED, RNG, TENSORS, TIMES_W, V, W, network, node
from rewriting import numbers_stored

from hw_targets.graph.onnx_graph import GraphError
from hw_targets.graph.weights import removed_fraction, sizes


@pytest.mark.parametrize("way", MIXED)
def test_a_weight_mixed_with_activations_is_refused_by_name(way):
    nodes, named = MIXED[way]
    with pytest.raises(GraphError) as caught:
        sizes(network(nodes, TENSORS))
    assert any(f"'{name}'" in str(caught.value) for name in named.split("|"))


@pytest.mark.parametrize("way", KEPT)
def test_a_weight_elsewhere_is_a_weight_kept(way):
    nodes, weights = KEPT[way]
    model = network(nodes, TENSORS)
    size, dense = sizes(model), sizes(DENSE)
    assert removed_fraction(size, dense) <= 1 - (weights + V.size) / (W.size + V.size)
    assert size.numbers.stored == numbers_stored(model)


def test_another_layer_s_numbers_in_another_order_are_another_layer_s():
    one, other = RNG.normal(size=(8, 8)).astype(np.float32), RNG.permutation(64)
    tensors = {"A": one, "flat1": np.asarray([-1]), "order64": other, "square8": np.asarray([8, 8]), "C": W}
    read = [node("MatMul", ["x", "A"], ["g1"]), node("MatMul", ["g1", "B"], ["g2"]), node("MatMul", ["g2", "C"], ["h"])]
    turned = [
        node("Reshape", ["A", "flat1"], ["a"]),
        node("Gather", ["a", "order64"], ["b"]),
        node("Reshape", ["b", "square8"], ["B"]),
    ]
    dense = sizes(network(read, {**tensors, "B": one.reshape(-1)[other].reshape(8, 8)}))
    assert removed_fraction(sizes(network([*turned, *read], tensors)), dense) <= 0


@pytest.mark.parametrize("codes_first", [True, False])
def test_a_table_of_codes_that_is_a_layer_too_counts_once(codes_first):
    codes = np.where(W > 0, 1, -1).astype(np.int8) * RNG.integers(1, 100, (8, 6)).astype(np.int8)
    rows = [node("ArgMax", ["x"], ["row"], axis=1, keepdims=0)]
    own = [node("DequantizeLinear", ["Q", "plus1"], ["w"]), node("MatMul", ["x", "w"], ["h0"])]
    looked_up = [node("Gather", ["Q", "row"], ["q"]), node("DequantizeLinear", ["q", "plus1"], ["e"])]
    if not codes_first:
        looked_up = [node("Gather", ["w", "row"], ["e"])]
    nodes = [*rows, *own, *looked_up, node("Add", ["h0", "e"], ["h"])]
    size = sizes(network(nodes, {"Q": codes, "plus1": np.float32(1)}))
    assert (size.weights, size.tables) == (66, 0)


def test_what_no_output_depends_on_is_neither_kept_nor_lost():
    model = network([*TIMES_W, node("MatMul", ["x", "ones"], ["dead"])], {**TENSORS, "w": W})
    size = sizes(model)
    assert size.numbers.unused == 48 and removed_fraction(size, sizes(DENSE)) == 0
    assert size.numbers.stored == numbers_stored(model)


def test_pieces_that_nothing_reads_are_unused_number_by_number():
    packed = np.concatenate([W.reshape(-1), np.ones(5, np.float32), [0.5]]).astype(np.float32)
    nodes = [
        node("Slice", ["packed", "none", "end48"], ["p"]),
        node("Reshape", ["p", "square"], ["w"]),
        node("MatMul", ["x", "w"], ["h0"]),
        node("Slice", ["packed", "end53", "end54"], ["b"]),
        node("Add", ["h0", "b"], ["h"]),
    ]
    ends = {f"end{n}": np.asarray([n]) for n in (48, 53, 54)}
    size = sizes(network(nodes, {"packed": packed, **ends}))
    assert (size.weights, size.numbers.layers, size.numbers.other, size.numbers.unused) == (66, 66, 1, 5)
    assert size.bytes_encoded == 4 * 66 + 4 * (1 + 5) + 8 * size.numbers.shapes


def test_rows_that_two_layers_share_count_once():
    """Of 12 rows, one layer reads 0 to 4, another 3 to 7, a third 2 to 5 turned over: 9 to 11 are unused."""
    bounds = {f"at{n}": np.asarray([n]) for n in (0, 2, 3, 5, 6, 8)}
    nodes = [
        node("Slice", ["packed", "at0", "at5"], ["a"]),
        node("Slice", ["packed", "at3", "at8"], ["b"]),
        node("Slice", ["packed", "at2", "at6"], ["c0"]),
        node("Transpose", ["c0"], ["c"], perm=[1, 0]),
        node("MatMul", ["x", "first"], ["h0"]),
        node("MatMul", ["h0", "a"], ["h1"]),
        node("MatMul", ["h0", "b"], ["h2"]),
        node("MatMul", ["h1", "c"], ["h3"]),
        node("Add", ["h1", "h2"], ["h4"]),
        node("ReduceMean", ["h3"], ["h5"], keepdims=1),
        node("Add", ["h4", "h5"], ["h"]),
    ]
    packed, first = np.ones((12, 6), np.float32), np.ones((8, 5), np.float32)
    packed[4] = 0
    model = network(nodes, {"packed": packed, "first": first, **bounds})
    size = sizes(model)
    assert [(layer.weights, layer.nonzero) for layer in size.layers] == [(40, 40), (30, 24), (18, 18), (18, 18)]
    assert size.numbers.unused == 4 * 6 and size.numbers.stored == numbers_stored(model)


def test_a_folded_batch_norm_makes_room_for_no_more_than_its_slope():
    kernel = W.T[:, :, None]
    own = {"g": np.full(6, 2, np.float32), "b": np.ones(6, np.float32), "m": np.ones(6, np.float32)}
    tensors = {"kernel": kernel, **own, "v": np.full(6, 4, np.float32)}
    nodes = [
        node("Unsqueeze", ["x", "two"], ["x3"]),
        node("Conv", ["x3", "kernel"], ["c"]),
        node("BatchNormalization", ["c", "g", "b", "m", "v"], ["n"]),
        node("Squeeze", ["n", "two"], ["h"]),
    ]
    dense = sizes(network(nodes, tensors))
    folded = [nodes[0], node("Conv", ["x3", "kernel", "b"], ["c"]), node("Squeeze", ["c", "two"], ["h"])]
    small = sizes(network(folded, tensors))
    assert (dense.others, small.others) == (12, 6)
    assert removed_fraction(small, dense) == removed_fraction(dense, dense) == 0
