"""Copy this folder, rename it, and make it yours: it runs as it is."""

from __future__ import annotations

from torch import nn

from harness.contract import Context
from pruning import Uniform, fine_tune, make_mask


class Submission:
    """The harness makes one `Submission()` and calls `compress` once, in a process of its own."""

    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        # `model` is the trained reference, on the CPU. You may change it in place.
        # `context.config` holds config.yaml, with what was changed on the command line.
        config = context.config

        # Choose what stays. A mask maps a parameter's name to a boolean tensor (True = kept). Here:
        # the largest weights of each layer. Try Global(...) for the ratio, or granularity="filter".
        mask = make_mask(
            model,
            criterion="magnitude",
            granularity="element",
            ratio=Uniform(config["sparsity"]),
            skip_first_conv=True,  # few weights, and all that the network sees passes through it
        )

        # Recover. `context.train` is the harness's training loop; it holds masked weights at zero.
        # Besides, a context has data.train, data.validation, evaluate(model), latency(model), seed
        # and budget.left_s(). The test set is not there.
        model = fine_tune(
            model, mask, train=context.train, epochs=config["epochs"], learning_rate=context.learning_rate
        )

        # What you return is exported to ONNX; quality, speed and energy are measured on that file.
        return model
