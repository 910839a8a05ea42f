"""Rewritings of an ONNX graph that do not change its function, each on one stored tensor or layer.

Each takes a model of one input `x`, the name of a stored float tensor and a random generator, changes the
model in place, and tells whether it could.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

node = helper.make_node


def stored(model, name):
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def value(model, name):
    return numpy_helper.to_array(stored(model, name))


def fresh(model):
    used = {each for n in model.graph.node for each in n.output} | {t.name for t in model.graph.initializer}
    return next(f"t{i}" for i in range(10_000) if f"t{i}" not in used)


def store(model, array):
    name = fresh(model)
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
    return name


def prepend(model, op, inputs, outputs=1, **attributes):
    """A node before all others that read its output; the names of its outputs."""
    made = []
    for _ in range(outputs):
        made.append(fresh(model))
        model.graph.node.append(node("Identity", ["x"], [made[-1]]))  # holds the name
    del model.graph.node[-outputs:]
    position = max((i + 1 for i, n in enumerate(model.graph.node) if set(n.output) & set(inputs)), default=0)
    model.graph.node.insert(position, node(op, inputs, made, **attributes))
    return made if outputs > 1 else made[0]


def redirect(model, old, new, but=()):
    """All nodes that read `old` read `new`, except those whose outputs are in `but`."""
    for each in model.graph.node:
        if new not in each.output and not set(each.output) & set(but):
            for slot, name in enumerate(each.input):
                if name == old:
                    each.input[slot] = new


def drop(model, name):
    model.graph.initializer.remove(stored(model, name))


def in_place_of(model, name, new):
    redirect(model, name, new)
    drop(model, name)
    return True


def transpose(model, name, rng):
    array = value(model, name)
    order = list(map(int, rng.permutation(array.ndim)))
    turned = store(model, array.transpose(order))
    return in_place_of(model, name, prepend(model, "Transpose", [turned], perm=list(map(int, np.argsort(order)))))


def flatten(model, name, rng):
    array = value(model, name)
    shape = store(model, np.asarray(array.shape))
    return in_place_of(model, name, prepend(model, "Reshape", [store(model, array.reshape(-1)), shape]))


def in_pieces(model, name, rng):
    array = value(model, name)
    cut = int(rng.integers(0, array.shape[0] + 1))
    parts = [store(model, array[:cut]), store(model, array[cut:])]
    return in_place_of(model, name, prepend(model, "Concat", parts, axis=0))


def packed(model, name, rng):
    """Two tensors in one, flat; each is sliced out or split off."""
    others = [t.name for t in model.graph.initializer if t.data_type == TensorProto.FLOAT and t.dims and t.name != name]
    if not others:
        return False
    names = [name, others[int(rng.integers(len(others)))]]
    arrays = [value(model, each) for each in names]
    flat = store(model, np.concatenate([each.reshape(-1) for each in arrays]))
    if rng.random() < 0.5:
        lengths = store(model, np.asarray([each.size for each in arrays]))
        parts = prepend(model, "Split", [flat, lengths], outputs=2, axis=0)
    else:
        ends = [store(model, np.asarray([each])) for each in np.cumsum([0, *(array.size for array in arrays)])]
        parts = [prepend(model, "Slice", [flat, ends[i], ends[i + 1]]) for i in (0, 1)]
    for each, array, part in zip(names, arrays, parts, strict=True):
        in_place_of(model, each, prepend(model, "Reshape", [part, store(model, np.asarray(array.shape, np.int64))]))
    return True


def in_a_constant_node(model, name, rng):
    array = value(model, name)
    if rng.random() < 0.5:
        return in_place_of(model, name, prepend(model, "Constant", [], value=numpy_helper.from_array(array)))
    flat = prepend(model, "Constant", [], value_floats=array.reshape(-1).tolist())
    return in_place_of(model, name, prepend(model, "Reshape", [flat, store(model, np.asarray(array.shape, np.int64))]))


def negated_twice(model, name, rng):
    array = value(model, name)
    return in_place_of(model, name, prepend(model, "Neg", [prepend(model, "Neg", [store(model, array)])]))


def plus_zero(model, name, rng):
    array = value(model, name)
    zero = np.zeros(array.shape if rng.random() < 0.5 else (1,), array.dtype)
    return in_place_of(model, name, prepend(model, "Add", [store(model, array), store(model, zero)]))


def plus_zero_times_an_activation(model, name, rng):
    array = value(model, name)
    total = prepend(model, "ReduceSum", ["x"], keepdims=0)
    zero = prepend(model, "Mul", [total, store(model, np.float32(0))])
    return in_place_of(model, name, prepend(model, "Add", [store(model, array), zero]))


def times_one_made_of_an_activation(model, name, rng):
    array = value(model, name)
    total = prepend(model, "ReduceSum", ["x"], keepdims=0)
    zero = prepend(model, "Mul", [total, store(model, np.float32(0))])
    one = prepend(model, "Exp", [zero])
    return in_place_of(model, name, prepend(model, "Mul", [store(model, array), one]))


def masked(model, name, rng):
    array = value(model, name)
    mask = prepend(model, "Cast", [store(model, (array != 0).astype(np.int8))], to=TensorProto.FLOAT)
    return in_place_of(model, name, prepend(model, "Mul", [store(model, array), mask]))


def coded(model, name, rng):
    array = value(model, name)
    book, codes = np.unique(array, return_inverse=True)
    codes = codes.reshape(array.shape).astype(np.int32)
    return in_place_of(model, name, prepend(model, "Gather", [store(model, book), store(model, codes)]))


def as_doubles(model, name, rng):
    wide = store(model, value(model, name).astype(np.float64))
    return in_place_of(model, name, prepend(model, "Cast", [wide], to=TensorProto.FLOAT))


def rows_gathered(model, name, rng):
    array = value(model, name)
    order = rng.permutation(array.shape[0])
    shuffled = store(model, array[np.argsort(order)])
    return in_place_of(model, name, prepend(model, "Gather", [shuffled, store(model, order)], axis=0))


def bounded_by_a_shape(model, name, rng):
    """Rows are added and cut off again, at a bound that is computed from the input's shape."""
    array = value(model, name)
    width = model.graph.input[0].type.tensor_type.shape.dim[-1].dim_value
    shape = prepend(model, "Shape", ["x"], start=-1)
    bound = prepend(model, "Add", [shape, store(model, np.asarray([array.shape[0] - width]))])
    padded = store(model, np.concatenate([array, rng.normal(size=array.shape).astype(array.dtype)]))
    return in_place_of(model, name, prepend(model, "Slice", [padded, store(model, np.asarray([0])), bound]))


def renamed(model, name, rng):
    return in_place_of(model, name, store(model, value(model, name)))


def passed_on(model, name, rng):
    return in_place_of(model, name, prepend(model, "Identity", [store(model, value(model, name))]))


def copied(model, name, rng):
    """One of its readers gets a copy."""
    readers = [n for n in model.graph.node if name in n.input]
    reader = readers[int(rng.integers(len(readers)))]
    new = store(model, value(model, name))
    for slot, each in enumerate(reader.input):
        if each == name:
            reader.input[slot] = new
    if len(readers) == 1:
        drop(model, name)
    return True


def shared(model, name, rng):
    """A tensor that holds the same is read in its place."""
    own = value(model, name)
    for tensor in model.graph.initializer:
        if (
            tensor.name != name
            and numpy_helper.to_array(tensor).tobytes() == own.tobytes()
            and tensor.dims == own.shape
        ):
            return in_place_of(model, name, tensor.name)
    return False


def unused(model, name, rng):
    store(model, rng.normal(size=7).astype(np.float32))
    return True


def _multiplication(model, name):
    return next((n for n in model.graph.node if n.op_type == "MatMul" and n.input[1] == name), None)


def halved(model, name, rng):
    """`x·W = x₁·W₁ + x₂·W₂`."""
    product = _multiplication(model, name)
    if product is None:
        return False
    cut = int(rng.integers(1, stored(model, name).dims[0]))
    bounds = [store(model, np.asarray([each])) for each in (0, cut, 1 << 30)]
    last, first_axis = (store(model, np.asarray([each])) for each in (-1, 0))
    halves = []
    for i in (0, 1):
        part = prepend(model, "Slice", [product.input[0], bounds[i], bounds[i + 1], last])
        weight = prepend(model, "Slice", [name, bounds[i], bounds[i + 1], first_axis])
        halves.append(prepend(model, "MatMul", [part, weight]))
    return _replaced(model, product, prepend(model, "Add", halves))


def from_the_left(model, name, rng):
    """`x·W = (Wᵀ·xᵀ)ᵀ`, for a matrix x."""
    product = _multiplication(model, name)
    if product is None or len(model.graph.input[0].type.tensor_type.shape.dim) != 2:
        return False
    turned = prepend(model, "Transpose", [product.input[0]], perm=[1, 0])
    weight = prepend(model, "Transpose", [name], perm=[1, 0])
    result = prepend(model, "MatMul", [weight, turned])
    return _replaced(model, product, prepend(model, "Transpose", [result], perm=[1, 0]))


def element_by_element(model, name, rng):
    """`x·W` as a sum of products, without a matrix product."""
    product = _multiplication(model, name)
    if product is None:
        return False
    column = prepend(model, "Unsqueeze", [product.input[0], store(model, np.asarray([-1]))])
    terms = prepend(model, "Mul", [column, name])
    return _replaced(model, product, prepend(model, "ReduceSum", [terms, store(model, np.asarray([-2]))], keepdims=0))


def _replaced(model, old, new):
    output = old.output[0]
    position = list(model.graph.node).index(old)
    del model.graph.node[position]
    redirect(model, output, new)
    for value_info in model.graph.output:
        assert value_info.name != output
    return True


OF_CONSTANTS = (
    *(transpose, flatten, in_pieces, packed, in_a_constant_node, negated_twice, plus_zero, masked, coded, as_doubles),
    *(rows_gathered, bounded_by_a_shape, renamed, passed_on, copied, shared, unused, halved, from_the_left),
)
HIDING = (plus_zero_times_an_activation, times_one_made_of_an_activation, element_by_element)


def choose(model, rng):
    """A stored float tensor with at least one dimension that is read, or None."""
    read = {name for n in model.graph.node for name in n.input}
    names = sorted(
        t.name for t in model.graph.initializer if t.data_type == TensorProto.FLOAT and t.dims and t.name in read
    )
    return names[int(rng.integers(len(names)))] if names else None


def numbers_stored(model: onnx.ModelProto) -> int:
    """All numbers among initialisers and `Constant` nodes."""
    total = sum(int(np.prod(tensor.dims, dtype=np.int64)) for tensor in model.graph.initializer)
    for each in model.graph.node:
        if each.op_type == "Constant":
            held = helper.get_attribute_value(each.attribute[0])
            total += numpy_helper.to_array(held).size if isinstance(held, TensorProto) else np.size(held)
    return total
