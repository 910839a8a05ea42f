"""Random sparse matrices for the tests of the formats."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=70)


@st.composite
def matrices(draw):
    """Sparse matrices of several types; whole rows and columns are often empty."""
    dtype = draw(st.sampled_from([np.float32, np.float16, np.float64, np.int8, np.int64]))
    shape = draw(SHAPES)
    density = draw(st.sampled_from([0.0, 0.02, 0.3, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    return (rng.integers(-9, 10, shape) * (rng.random(shape) < density)).astype(dtype)
