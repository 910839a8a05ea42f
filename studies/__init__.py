"""Questions about pruning, answered by running the techniques on real tasks: one file a study.

A study is a question, a list of independent cells (one training or search each, named by plain
parameters), a plot, and findings. The findings are sentences computed from the numbers; what was
expected and did not come is said as plainly as what did.

Thresholds, ratios and pipelines are chosen on validation data. What is reported is the accuracy on
the full test set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studies.study import Study

# Name → what it shows. The module `studies.<name>` holds the study, as `STUDY`.
STUDIES: dict[str, str] = {
    "schedules": "accuracy against ratio: pruned only, pruned and fine-tuned, iteratively; with L1 and with L2",
    "sensitivity": "how much of each layer can fall before the accuracy does",
    "criteria": "all criteria that apply, at equal ratios, before and after fine-tuning; random is the control",
    "granularities": "what regularity costs: single weights, rows, blocks, channels … at equal ratios",
    "lottery": "winning tickets against the same mask with new weights, a random mask, and one that moves (RigL)",
    "allocations": "how to share out the ratio: uniform, by sensitivity, AMC, NetAdapt; at half the MACs",
    "bits": "how short the codes of weights can be: a codebook against an even grid, pruned or not",
    "calibration": "8-bit activations: how much of their range to keep; weights with one scale or many",
    "speed": "operations that are gone against measured time that is gone",
    "frontier": "how many weights can go at no loss, beside published figures",
}
# Those about a machine: no task, no training; `studies.<name>_report` has `reproduce`.
MACHINES: dict[str, str] = {
    "eie": "the EIE simulator beside its paper: Tables II, IV, V, queues, padding, number of elements",
}


def find_study(name: str) -> Study:
    """The study called `name`.

    Raises:
        UnknownNameError: there is none; the message names the nearest.
    """
    from importlib import import_module

    from harness.util.names import UnknownNameError

    if name not in STUDIES:
        raise UnknownNameError("study", name, [*STUDIES, *MACHINES])
    study: Study = import_module(f"studies.{name}").STUDY
    return study
