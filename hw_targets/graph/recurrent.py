"""Recurrent operators as one matrix for each direction, read at every step by input and state side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

RecurrentKind = Literal["lstm", "gru", "rnn"]
KINDS: Mapping[str, RecurrentKind] = {"LSTM": "lstm", "GRU": "gru", "RNN": "rnn"}
INITIAL_STATE = 5  # its place among the operators' inputs


def why_not(attributes: Mapping[str, Any]) -> str | None:
    """Why a recurrent node cannot be traced; None where it can."""
    if attributes.get("layout", 0):
        return "only layout 0 (steps, samples, numbers) can be traced; transpose the input and the output"
    return None


def layer_of(root: str, operator: str) -> str | None:
    """The layer that reads a tensor named as torch's recurrent layers name theirs; None for other names.

    `lstm.weight_ih_l1` belongs to the layer `lstm.l1`, for the first one `lstm`; to `lstm.ih_l1` where the
    steps are written out as products.
    """
    found = re.fullmatch(r"(.+)\.weight_((?:ih|hh)(?:_l(\d+))?(?:_reverse)?)", root)
    if not found:
        return None
    if operator not in KINDS:
        return f"{found[1]}.{found[2]}"
    return found[1] if found[3] in (None, "0") else f"{found[1]}.l{found[3]}"


def as_matrix(of_input: np.ndarray, of_state: np.ndarray) -> np.ndarray:
    """W `[directions, gates·hidden, in]` and R `[directions, gates·hidden, hidden]` side by side.

    Returns:
        `[directions·gates·hidden, in + hidden]`, the second direction below the first.
    """
    both = np.concatenate([of_input, of_state], axis=2)
    return both.reshape(-1, both.shape[2])


def with_state(
    x: np.ndarray, states: np.ndarray, initial: np.ndarray | None, attributes: Mapping[str, Any]
) -> np.ndarray:
    """Each step's input beside the state that the step before left.

    Args:
        x: `[steps, n, in]`.
        states: the operator's output Y, `[steps, directions, n, hidden]`.
        initial: `[directions, n, hidden]`; default: zeros.

    Returns:
        `[steps, n, in + hidden]`, or `[2, steps, n, in + hidden]` for both directions. The steps are in the
        order of `x`, also where they are taken from the last to the first.
    """
    direction = attributes.get("direction", b"forward")
    steps, directions, n, hidden = states.shape
    first = np.zeros((directions, n, hidden), states.dtype) if initial is None else initial
    found = []
    for number in range(directions):
        own, begin = states[:, number], first[number][None]
        backwards = direction == b"reverse" or number == 1
        before = np.concatenate([own[1:], begin] if backwards else [begin, own[:-1]])
        found.append(np.concatenate([x, np.broadcast_to(before, (steps, n, hidden))], axis=2))
    both = np.stack(found) if directions > 1 else found[0]
    return both.astype(np.float32, copy=False)
