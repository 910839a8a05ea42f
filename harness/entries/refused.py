"""What is refused on purpose, or cannot be exported, and what to write instead.

`docs/onnx_operators.md` shows these tables to readers; a test holds it to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Refused:
    """A group of operators of one reason.

    Attributes:
        torch: what makes them in torch.
        why: they are refused.
        instead: what to write.
    """

    torch: str
    why: str
    instead: str


CONTROL = Refused(
    "`nn.EmbeddingBag`, `torch.cond`, loops over tensors",
    "how often a body runs, and so how much is multiplied, is known only at run time",
    "write the steps out; for a bag, an `nn.Embedding` and its mean or sum over the tokens",
)
SEQUENCES = Refused(
    "`torch.hstack`, `vstack`, `dstack`",
    "lists of tensors are exported, of which targets know nothing",
    "`torch.cat` along the dimension",
)
RANDOM = Refused(
    "`torch.rand_like`, `F.gumbel_softmax`, `torch.multinomial`, dropout that stays on",
    "two runs would differ",
    "draw in training alone (`if self.training`), and take the mean or the greatest value otherwise",
)
BY_VALUES = Refused(
    "`torch.nonzero`, `unique`, masks as indexes, `nn.Embedding(max_norm=…)`",
    "shapes would depend on values",
    "`torch.where`, multiplication by the mask, `topk` with a fixed k",
)
TRANSFORMS = Refused(
    "`torch.fft`, `torch.linalg.det`",
    "their multiplications would not be counted",
    "a product with the transform's matrix",
)
BITS = Refused(
    "`&`, `|`, `^`, `<<`, `>>` on integers",
    "weights packed into the bits of others would not be counted",
    "codes of 8 bits (`pruning.quantise.share_weights`, `to_int8`); sizes are counted in the bits they need",
)
FUSED = Refused(
    "models saved by a runtime after its optimisation",
    "operators of a runtime's own run nowhere else, and attention in one node hides its products",
    "the model as exported; runtimes fuse for themselves",
)
OTHER_CONVOLUTIONS = Refused(
    "`torchvision.ops.DeformConv2d`",
    "which weights meet which pixels depends on values",
    "a convolution with a dilation",
)
TEXT = Refused("string inputs", "the task's input is numbers", "token ids (decision 006)")

CONTROL_FLOW = ("If", "Loop", "Scan")
REFUSED: Mapping[str, Refused] = {
    **dict.fromkeys(CONTROL_FLOW, CONTROL),
    **dict.fromkeys(
        "SequenceAt SequenceConstruct SequenceEmpty SequenceInsert SequenceMap ConcatFromSequence "
        "SplitToSequence Optional OptionalGetElement OptionalHasElement".split(),
        SEQUENCES,
    ),
    **dict.fromkeys(
        ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"), RANDOM
    ),
    **dict.fromkeys(("NonZero", "Unique", "Compress"), BY_VALUES),
    **dict.fromkeys(("DFT", "STFT", "Det"), TRANSFORMS),
    **dict.fromkeys(("BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor"), BITS),
    **dict.fromkeys(("Attention", "QLinearConv", "QLinearMatMul"), FUSED),
    **dict.fromkeys(("DeformConv",), OTHER_CONVOLUTIONS),
    **dict.fromkeys(("StringConcat", "StringNormalizer", "StringSplit", "RegexFullMatch", "TfIdfVectorizer"), TEXT),
}

# What torch's exporter cannot write, or writes wrongly: a mark in its message → what to write instead.
NOT_EXPORTED: Mapping[str, Refused] = {
    "aten.rrelu": Refused("`nn.RReLU`", "torch does not export it", "`nn.LeakyReLU` with the mean slope"),
    "aten.adaptive_max_pool": Refused(
        "`nn.AdaptiveMaxPool2d` to other sizes than 1", "torch does not export it", "`nn.MaxPool2d` of a fixed size"
    ),
    "aten.fractional_max_pool": Refused("`nn.FractionalMaxPool2d`", "torch does not export it", "`nn.MaxPool2d`"),
    "aten._cdist": Refused("`torch.cdist`", "torch does not export it", "norms and a product: |a|² − 2ab + |b|²"),
    "aten.median": Refused("`torch.median`", "torch does not export it", "`sort` and an index"),
    "aten.kthvalue": Refused("`torch.kthvalue`", "torch does not export it", "`topk` and an index"),
    "aten.mode": Refused("`torch.mode`", "torch does not export it", "counts by `one_hot`, and their `argmax`"),
    "overload='stable'": Refused("`torch.sort(stable=True)`", "torch does not export it", "`sort` without `stable`"),
    "aten.searchsorted": Refused(
        "`torch.searchsorted`, `bucketize`",
        "torch does not export them",
        "how many borders are less: `(x[..., None] > borders).sum(-1)`",
    ),
    "prims.hypot": Refused("`torch.hypot`", "torch does not export it", "`(a * a + b * b).sqrt()`"),
    "prims.lgamma": Refused("`torch.lgamma`", "torch does not export it", "a polynomial"),
    "only 4D query": Refused(
        "`F.scaled_dot_product_attention` of three dimensions",
        "torch exports that of four alone",
        "a head of its own, `q[:, None]`, and the result's `[:, 0]`",
    ),
    "zeros(): argument 'size' failed to unpack": Refused(
        "`pack_padded_sequence`", "torch does not export it", "the padded sequence, and a mask on what comes out"
    ),
    "computes something else": Refused(
        "`nn.AvgPool2d(divisor_override=…)`, and whatever else torch writes otherwise than it computes it",
        "the graph's answers are not the module's",
        "the same in plain steps, such as a pooling times a constant",
    ),
    "aten.cummax": Refused("`torch.cummax`, `cummin`", "torch does not export them", "pooling, or `cumsum`"),
    "prims.prod": Refused("`torch.cumprod`", "torch does not export it", "`exp` of the `cumsum` of logarithms"),
    "aten.linalg": Refused("`torch.linalg.inv` and its like", "torch does not export them", "nothing: leave them out"),
    "Input initial_c must have shape": Refused(
        "`nn.LSTM(proj_size=…)`", "torch writes a graph that does not run", "an `nn.LSTM` and an `nn.Linear`"
    ),
}


def instead_of(operator: str) -> str:
    """The end of a message that refuses an ONNX `operator`: why, and what to write."""
    if "." in operator:  # a domain
        return _sentence(FUSED)
    return _sentence(REFUSED[operator]) if operator in REFUSED else "."


def instead_of_exporting(message: str) -> str:
    """What to write in place of what torch's exporter failed on, or nothing."""
    return next((f" Write instead: {each.instead}." for mark, each in NOT_EXPORTED.items() if mark in message), "")


def _sentence(refused: Refused) -> str:
    return f": {refused.why}. Write instead: {refused.instead}."
