"""Models as after a training, and masks of whole filters."""

import copy

import torch
from torch import nn

from pruning.masking import make_mask
from pruning.ratios import Uniform


def randomised(model, seed=0):
    """Batch norms as after a training: statistics and affine parameters that are not 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            with torch.no_grad():
                for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                    if tensor is not None:
                        tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return model


def filters(model, layers, sparsity=0.5, **rounding):
    return make_mask(
        model, criterion="magnitude", granularity="filter", ratio=Uniform(sparsity, **rounding), layers=layers
    )


def outputs(model, inputs):
    with torch.no_grad():
        return copy.deepcopy(model).eval()(inputs)


def masked(model, mask):
    return mask.apply_(copy.deepcopy(model))
