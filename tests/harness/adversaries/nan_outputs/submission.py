"""All its weights are finite, but 0/0 is not."""

from torch import nn


class Undefined(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        y = self.model(x)
        return (y - y) / (y - y)


class Submission:
    def compress(self, model, context):
        return Undefined(model)
