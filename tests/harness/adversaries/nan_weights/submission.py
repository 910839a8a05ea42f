"""Returns a network that is no longer one."""

import torch


class Submission:
    def compress(self, model, context):
        with torch.no_grad():
            model.layer2[0].conv1.weight[0] = float("nan")
        return model
