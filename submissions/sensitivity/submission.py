"""Each layer loses what costs about the same accuracy, found by a scan (Han et al. 2015, arXiv 1506.02626)."""

from __future__ import annotations

from torch import nn

from harness.contract import Context, ParameterError
from pruning import Mask, Problem, Ratio, fine_tune, make_mask, weight_names
from pruning.ratios.sensitivity import RATIOS_SCANNED, choose_threshold, sensitivity_scan


class Submission:
    def compress(self, model: nn.Module, context: Context) -> nn.Module:
        config = context.config
        if not 0 <= config["sparsity"] <= RATIOS_SCANNED[-1]:
            raise ParameterError(f"The scan ends at {RATIOS_SCANNED[-1]}: sparsity must be in 0…{RATIOS_SCANNED[-1]}.")

        def mask_at(model: nn.Module, ratio: Ratio, within: Mask | None) -> Mask:
            return make_mask(model, criterion="magnitude", granularity="element", ratio=ratio, within=within)

        problem = Problem(model, tuple(weight_names(model)), mask_at, evaluate=context.evaluate)
        scan = sensitivity_scan(problem)  # accuracy with each layer alone pruned, at ten ratios
        ratio = choose_threshold(scan, problem.sizes, config["sparsity"])
        mask = mask_at(model, ratio, None)
        return fine_tune(model, mask, train=context.train, epochs=config["epochs"], learning_rate=context.learning_rate)
