"""Nine answers where ten are asked for."""

from torch import nn


class Submission:
    def compress(self, model, context):
        model.fc = nn.Linear(64, 9)
        return model
