"""`nn.MultiheadAttention` with its projections as layers of their own, so that they can be integers.

PyTorch's module keeps the weights of queries, keys and values in one parameter and multiplies by them
in a function, past all layers; runtimes have integers for them all the same. Here each projection is an
`nn.Linear`, and attention is written out (Vaswani et al. 2017, arXiv 1706.03762, eq. 1).
"""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from pruning.mask import Mask

PROJECTIONS = ("query", "key", "value")


def with_projections(model: nn.Module) -> nn.Module:
    """`model` with each `nn.MultiheadAttention` as a `ProjectedAttention`: a copy; itself where there is none.

    Those that add a key of their own (`add_bias_kv`, `add_zero_attn`) stay.
    """
    names = [name for name, module in model.named_modules() if name and _can_be_projected(module)]
    if not names:
        return ProjectedAttention(model) if _can_be_projected(model) else model
    projected = copy.deepcopy(model)
    for name in names:
        projected.set_submodule(name, ProjectedAttention(projected.get_submodule(name)))
    for module in projected.modules():
        if isinstance(module, nn.TransformerEncoder):
            module.use_nested_tensor = False  # which is for PyTorch's own attention
    return projected


def _can_be_projected(module: nn.Module) -> bool:
    plain = type(module) is nn.MultiheadAttention
    return plain and module.bias_k is None and not module.add_zero_attn and not hasattr(module, "parametrizations")


class ProjectedAttention(nn.Module):
    """Computes what an `nn.MultiheadAttention` does, and is called like it.

    Attributes:
        query, key, value, out_proj: its projections.
        in_proj_bias, in_proj_weight: None, by which PyTorch's transformer layers know that they have to call it.
    """

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        assert isinstance(attention, nn.MultiheadAttention)
        self.num_heads, self.batch_first, self.dropout = attention.num_heads, attention.batch_first, attention.dropout
        self.in_proj_bias = self.in_proj_weight = None
        self._qkv_same_embed_dim = False
        if attention.in_proj_weight is not None:
            weights = attention.in_proj_weight.detach().chunk(3)
        else:
            parts = (attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight)
            weights = tuple(part.detach() for part in parts)
        biases = [None] * 3 if attention.in_proj_bias is None else attention.in_proj_bias.detach().chunk(3)
        self.query, self.key, self.value = (_linear(*each) for each in zip(weights, biases, strict=True))
        output = attention.out_proj
        self.out_proj = _linear(output.weight.detach(), None if output.bias is None else output.bias.detach())
        self.train(attention.training)

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None,
        need_weights: bool = True,
        attn_mask: torch.Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See `nn.MultiheadAttention`; `is_causal` is a hint about `attn_mask` and has no effect."""
        alone = query.ndim == 2
        if alone:
            query, key, value = (each.unsqueeze(0) for each in (query, key, value))
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            query, key, value = (each.transpose(0, 1) for each in (query, key, value))
        q = self._heads(self.query(query)) / math.sqrt(self.query.out_features // self.num_heads)
        scores = q @ self._heads(self.key(key)).transpose(-1, -2)  # [n, heads, length, keys]
        if attn_mask is not None:
            shape = (-1, self.num_heads, *attn_mask.shape[1:]) if attn_mask.ndim == 3 else attn_mask.shape
            scores = scores + _added(attn_mask, scores).reshape(shape)
        if key_padding_mask is not None:
            scores = scores + _added(key_padding_mask, scores)[:, None, None, :]
        weights = nn.functional.dropout(scores.softmax(-1), self.dropout, self.training)
        found = self.out_proj((weights @ self._heads(self.value(value))).transpose(1, 2).flatten(2))
        shown = None
        if need_weights:
            shown = weights.mean(1) if average_attn_weights else weights
        if alone:
            return found.squeeze(0), None if shown is None else shown.squeeze(0)
        return found if self.batch_first else found.transpose(0, 1), shown

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        """`[n, length, width]` → `[n, heads, length, width / heads]`."""
        return x.unflatten(-1, (self.num_heads, x.shape[-1] // self.num_heads)).transpose(1, 2)


def _linear(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Linear:
    outputs, inputs = weight.shape
    layer = nn.Linear(inputs, outputs, bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.clone())
    return layer


def _added(mask: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """A mask as what is added to scores: minus infinity where a boolean one is true."""
    if mask.dtype != torch.bool:
        return mask.to(scores.dtype)
    return torch.zeros_like(mask, dtype=scores.dtype).masked_fill(mask, -torch.inf)


def split_projections(mask: Mask, projected: nn.Module) -> Mask:
    """A mask of a model as one of what `with_projections` made of it."""
    parts: dict[str, torch.Tensor] = {}
    attentions = {name for name, module in projected.named_modules() if isinstance(module, ProjectedAttention)}
    for name, keep in mask.items():
        owner, _, own = name.rpartition(".")
        if owner not in attentions:
            parts[name] = keep
        elif own.startswith("in_proj_"):
            kind = own.removeprefix("in_proj_")
            parts |= {
                f"{owner}.{each}.{kind}".lstrip("."): part
                for each, part in zip(PROJECTIONS, keep.chunk(3), strict=True)
            }
        else:  # q_proj_weight and its like, of inputs of different widths
            each = next(each for each in PROJECTIONS if own == f"{each[0]}_proj_weight")
            parts[f"{owner}.{each}.weight".lstrip(".")] = keep
    return Mask(parts)
