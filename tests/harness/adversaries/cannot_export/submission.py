"""A network with an operator that ONNX does not have."""

import torch
from torch import nn


class Strange(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        y = self.model(x)
        return torch.linalg.eigvals(y[:, :, None] * y[:, None, :]).real


class Submission:
    def compress(self, model, context):
        return Strange(model)
