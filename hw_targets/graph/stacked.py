"""Products with weights that are no single matrix: a vector, a stack of matrices, an Einsum.

Each is a linear layer with a weight `[groups·out, in]` and inputs `[groups, …, in]` (no first dimension
where there is one group): the vectors of a group meet the group's part of the weight alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def of_stack(values: np.ndarray, left: bool) -> tuple[np.ndarray, int]:
    """A MatMul's constant factor as a linear weight, and its groups.

    Args:
        values: `[in]`, `[in, out]` or `[…, in, out]`; `[…, out, in]` where it is the `left` factor.
    """
    if values.ndim == 1:
        return values[None], 1
    groups = prod(values.shape[:-2])
    rows = values if left else np.swapaxes(values, -1, -2)
    return rows.reshape(-1, rows.shape[-1]), groups


def stack_inputs(x: np.ndarray, stack: tuple[int, ...], left: bool) -> np.ndarray:
    """The activations that meet a MatMul's constant factor, by group.

    Args:
        x: `[…, in]`, or `[…, in, columns]` where the constant is the `left` factor.
        stack: the constant's dimensions without its matrices.
    """
    x = x[None] if x.ndim == 1 and stack else x
    if left and x.ndim > 1:
        x = np.swapaxes(x, -1, -2)
    if prod(stack) == 1:
        return x
    batch = np.broadcast_shapes(x.shape[:-2], stack)
    x = np.broadcast_to(x, (*batch, *x.shape[-2:]))
    own = [len(batch) - len(stack) + axis for axis, length in enumerate(stack) if length > 1]
    x = np.moveaxis(x, own, range(len(own)))
    return x.reshape(prod(stack), -1, x.shape[-1])


@dataclass(frozen=True)
class Einsum:
    """A product of two tensors by the names of their dimensions.

    Attributes:
        terms: of the factors.
        result: of the product.

    Raises:
        ValueError: an equation of another form; says what to write instead.
    """

    terms: tuple[str, str]
    result: str

    @classmethod
    def parse(cls, equation: str) -> Einsum:
        """From the operator's attribute, with or without `->`."""
        before, arrow, result = equation.replace(" ", "").partition("->")
        terms = before.split(",")
        if len(terms) != 2:
            raise ValueError(f"Einsum {equation!r} multiplies {len(terms)} tensors; write products of two.")
        if not arrow:
            names = [name for name in before if name.isalpha()]
            alone = "".join(sorted(name for name in set(names) if names.count(name) == 1))
            result = ("..." if "..." in before else "") + alone
        for term in terms:
            if len(set(term.replace(".", ""))) != len(term.replace(".", "")):
                raise ValueError(f"Einsum {equation!r} takes a diagonal; take it before (torch.diagonal).")
        return cls((terms[0], terms[1]), result)

    def spelt_out(self, ranks: tuple[int, int]) -> Einsum:
        """With letters in place of `...`, for factors of these numbers of dimensions."""
        hidden = [max(0, rank - len(term.replace(".", ""))) for rank, term in zip(ranks, self.terms, strict=True)]
        free = [name for name in LETTERS if name not in "".join((*self.terms, self.result))][: max(hidden)]
        first, second = (
            term.replace("...", "".join(free[len(free) - count :]))
            for term, count in zip(self.terms, hidden, strict=True)
        )
        return Einsum((first, second), self.result.replace("...", "".join(free)))

    def weight(self, values: np.ndarray, place: int) -> tuple[np.ndarray, int]:
        """The constant factor number `place` as a linear weight `[groups·out, in]`, and its groups.

        Raises:
            ValueError: the constant is summed by itself, or has unnamed dimensions.
        """
        term, other = self.terms[place], self.terms[1 - place]
        if "..." in term:
            raise ValueError(f"Einsum's weight {term!r} has unnamed dimensions; name them.")
        shared = [name for name in term if name in other and name in self.result]
        out = [name for name in term if name not in other and name in self.result]
        summed = [name for name in term if name in other and name not in self.result]
        if len(shared) + len(out) + len(summed) != len(term):
            raise ValueError(f"Einsum sums its weight {term!r} by itself; sum it before.")
        length = dict(zip(term, values.shape, strict=True))
        groups = prod(length[name] for name in shared)
        ordered = values.transpose([term.index(name) for name in (*shared, *out, *summed)])
        return ordered.reshape(-1, prod(length[name] for name in summed)), groups

    def inputs(self, x: np.ndarray, weight_shape: tuple[int, ...], place: int) -> np.ndarray:
        """The activations that meet the weight `[groups·out, in]` of which factor `place` was made."""
        ranks = (len(weight_shape), x.ndim) if place == 0 else (x.ndim, len(weight_shape))
        spelt = self.spelt_out(ranks)
        term, other = spelt.terms[1 - place], spelt.terms[place]
        shared = [name for name in other if name in term and name in spelt.result]
        summed = [name for name in other if name in term and name not in spelt.result]
        rest = [name for name in term if name not in other and name in spelt.result]
        x = np.einsum(f"{term}->{''.join((*shared, *rest, *summed))}", x)
        length = dict(zip((*shared, *rest, *summed), x.shape, strict=True))
        group = (prod(length[name] for name in shared),) if shared else ()
        return x.reshape(*group, *(length[name] for name in rest), prod(length[name] for name in summed))

    def factor(self, values: np.ndarray, place: int) -> np.ndarray:
        """One of two activations as matrices: `[groups, m, k]` the first, `[groups, k, n]` the second."""
        term, other = self.terms[place], self.terms[1 - place]
        hidden = values.ndim - len(term.replace(".", ""))
        ranks = [values.ndim, len(other.replace(".", "")) + (hidden if "..." in other else 0)]
        spelt = self.spelt_out((ranks[place], ranks[1 - place]))
        term, other = spelt.terms[place], spelt.terms[1 - place]
        common = [name for name in spelt.terms[0] if name in spelt.terms[1]]  # in one order for both
        shared = [name for name in common if name in spelt.result]
        summed = [name for name in common if name not in spelt.result]
        own = [name for name in term if name not in other and name in spelt.result]
        first, second = (own, summed) if place == 0 else (summed, own)
        values = np.einsum(f"{term}->{''.join((*shared, *first, *second))}", values)
        length = dict(zip((*shared, *first, *second), values.shape, strict=True))
        return values.reshape([prod(length[name] for name in names) for names in (shared, first, second)])
