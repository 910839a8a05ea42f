"""A criterion of one's own: the weights that moved least since the initialisation are pruned."""

import torch

from pruning import Global, fine_tune, make_mask


class Movement:
    """Scores are the distance from the initial weights; the network at its start is all that it needs."""

    p = 1.0  # how scores of a group's weights become one: the sum
    unit = "weight"  # each weight has a score of its own
    needs_data = False

    def __init__(self, initial):
        self.initial = dict(initial.named_parameters())

    def scores(self, model, names, data=None):
        with torch.no_grad():
            return {name: (model.get_parameter(name) - self.initial[name]).abs() for name in names}


class Submission:
    def compress(self, model, context):
        config = context.config
        mask = make_mask(
            model,
            criterion=Movement(context.fresh_model(seed=0)),
            granularity="element",
            ratio=Global(config["sparsity"]),
        )
        return fine_tune(model, mask, train=context.train, epochs=config["epochs"], learning_rate=context.learning_rate)
