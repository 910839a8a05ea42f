"""The ways in which a submission can break the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Rule → what it says, and what to do. The message of a run names the place.
RULES: Mapping[str, str] = {
    "quality_target": "The metric on the full test set, on the target's own numerics, is at least the task's. Prune "
    "less, or train longer.",
    "time_limit": "`compress` ends within the task's time. Fewer epochs, or a smaller search.",
    "entry_raised": "`compress` raises nothing. The traceback is in the record; `ParameterError` is for parameters "
    "that make no sense.",
    "entry_crashed": "The process is there until `compress` returns: no exit, no segmentation fault, no kill.",
    "wrong_return": "`compress` returns a torch module or an `onnx.ModelProto`.",
    "not_exportable": "The module can be exported to ONNX. The page of operators says what to write instead.",
    "file_too_large": "The ONNX file is no larger than the task allows.",
    "unreadable_model": "The file is ONNX.",
    "external_data": "All numbers are in the file itself.",
    "foreign_code": "Standard operators alone: no local functions, no operators of a runtime's own.",
    "operator_not_allowed": "Each operator is on the list of the page of operators.",
    "opset_not_supported": "The operator set is one that the harness knows.",
    "invalid_graph": "The graph passes ONNX's checker and its inference of shapes.",
    "wrong_input": "One input, of the task's shape and type, with a free batch dimension.",
    "wrong_output": "One output, a number for each class.",
    "not_finite": "No weight and no output is NaN or infinite.",
    "not_countable": "Every stored number and every product can be counted. Products of stored numbers must be layers.",
    "batch_dependent": "The answer to a sample does not depend on the others in its batch.",
    "runtime_refuses": "ONNX Runtime can load the model.",
    "runtime_fails": "ONNX Runtime can run it, at any batch size.",
    "target_refuses": "The target can hold and run the model, by limits that it documents.",
}


@dataclass(frozen=True)
class Failure:
    """Why a run is not valid.

    Attributes:
        rule: the short name of the broken rule (`quality_target`, `operator_not_allowed`, …).
        message: what was wrong, where, and what to do.
        detail: a traceback or a log's end, where there is one.
    """

    rule: str
    message: str
    detail: str = ""


class RuleBroken(Exception):
    """The submission is at fault: the run's verdict is `invalid`, with `rule` and the message.

    Attributes:
        rule: a short name, the same in every record.
        detail: a traceback or the end of a log, where there is one.
    """

    def __init__(self, rule: str, message: str, detail: str = "") -> None:
        super().__init__(message)
        assert rule in RULES, rule
        self.rule, self.detail = rule, detail

    @property
    def failure(self) -> Failure:
        """The same as a value."""
        return Failure(self.rule, str(self), self.detail)


class HarnessError(Exception):
    """The harness is at fault: the verdict is `error`, and the next call tries again."""
