"""The ways in which a submission can break the rules."""

from __future__ import annotations

from dataclasses import dataclass


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
        self.rule, self.detail = rule, detail

    @property
    def failure(self) -> Failure:
        """The same as a value."""
        return Failure(self.rule, str(self), self.detail)


class HarnessError(Exception):
    """The harness is at fault: the verdict is `error`, and the next call tries again."""
