import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning.ratios.counting import kept_count
from pruning.ratios.erk import erk

dims = st.lists(st.integers(1, 9), min_size=2, max_size=4)


def kept(shapes, sparsity):
    return {name: erk(shapes, sparsity).count(name, math.prod(shape)) for name, shape in shapes.items()}


def test_two_layers_by_hand():
    # Units: 10 + 10 = 20 and 100 + 100 = 200. Of 10100 weights 1010 stay: 1010/220 · (20, 200) = 91.8, 918.2.
    shapes = {"small": (10, 10), "large": (100, 100)}
    assert kept(shapes, 0.9) == {"small": 92, "large": 918}
    # 2020 stay: the small layer would need 183.6 of its 100 weights, so it is dense.
    assert kept(shapes, 0.8) == {"small": 100, "large": 1920}


def test_the_kernel_counts():
    # 4 + 4 + 3 + 3 = 14 units of 144 weights, and 4 + 4 + 1 + 1 = 10 of 16: density 14/144 against 10/16.
    shares = erk({"k3": (4, 4, 3, 3), "k1": (4, 4, 1, 1)}, 0.9).sparsity
    assert (1 - shares["k1"]) / (1 - shares["k3"]) == pytest.approx((10 / 16) / (14 / 144), rel=0.15)


@given(st.lists(dims, min_size=1, max_size=5), st.floats(0, 0.999))
def test_the_total_is_exact_and_densities_are_proportional_where_not_full(drawn, sparsity):
    shapes = {str(i): tuple(shape) for i, shape in enumerate(drawn)}
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    total = kept_count(sum(sizes.values()), sparsity)
    if total < len(shapes):
        with pytest.raises(ValueError, match="cannot be spread"):
            erk(shapes, sparsity)
        return
    counts = kept(shapes, sparsity)
    assert sum(counts.values()) == total
    # Oracle: the scale, found by bisection on the total of min(size, scale · sum of dimensions).
    low, high = 0.0, float(max(sizes.values()))
    for _ in range(100):
        middle = (low + high) / 2
        spread = sum(min(sizes[name], middle * sum(shape)) for name, shape in shapes.items())
        low, high = (middle, high) if spread < total else (low, middle)
    wanted = {name: min(sizes[name], high * sum(shape)) for name, shape in shapes.items()}
    if min(wanted.values()) >= 1:
        assert all(abs(counts[name] - wanted[name]) < 1 + 1e-6 for name in shapes)


@pytest.mark.parametrize(
    ("shapes", "sparsity", "message"),
    [
        ({}, 0.5, "at least one weight"),
        ({"a": (0, 3)}, 0.5, r"a of shape \[0, 3\] has no weights"),
        ({"a": (2, 2)}, 1.2, "in 0…1, not 1.2"),
        ({"a": (2, 2)}, 1.0, "Lower the sparsity"),
    ],
)
def test_refuses_what_cannot_be_spread(shapes, sparsity, message):
    with pytest.raises(ValueError, match=message):
        erk(shapes, sparsity)
