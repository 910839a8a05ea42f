"""A sparse subnetwork, trained alone from its initial weights (Frankle & Carbin 2019, arXiv 1803.03635)."""

from __future__ import annotations

from functools import partial

from torch import nn

from harness.contract import Context, ParameterError
from pruning import Global, mask_rule
from pruning.schedules.lottery_tickets import find_ticket

CONTROLS = ("none", "reinitialised", "shuffled")


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        control, epochs = config["control"], config["epochs"]
        if control not in CONTROLS or epochs < 1:
            raise ParameterError(f"control is one of {', '.join(CONTROLS)}, and epochs 1 or more: see config.yaml.")

        mask_at = mask_rule(criterion="magnitude", granularity="element", ratio=Global)
        ticket = find_ticket(
            model,
            mask_at,
            sparsity=config["sparsity"],
            train=context.train,
            epochs=epochs,
            learning_rate=context.learning_rate,
            initial=partial(context.fresh_model, context.seed),
            rounds=config["rounds"],
            rewind_steps=config["rewind_steps"],
        )
        if control == "reinitialised":  # the same mask, other initial weights
            ticket = ticket.reinitialised(partial(context.fresh_model, context.seed + 1))
        if control == "shuffled":  # the same weights, and as many kept in each layer, at random places
            ticket = ticket.shuffled(context.seed)
        return context.train(ticket.load_(model), epochs=epochs, learning_rate=context.learning_rate, mask=ticket.mask)
