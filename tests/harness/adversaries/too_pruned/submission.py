"""Breaks no rule but the one that counts: it keeps nothing of the quality."""

import torch


class Submission:
    def compress(self, model, context):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        return model
