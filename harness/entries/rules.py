"""The ways in which an entry can break the rules."""

from __future__ import annotations


class RuleBroken(Exception):
    """The entry is at fault: the run's verdict is `invalid`, with `rule` and the message.

    Attributes:
        rule: a short name, the same in every record.
        detail: a traceback or the end of a log, where there is one.
    """

    def __init__(self, rule: str, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.rule, self.detail = rule, detail


class HarnessError(Exception):
    """The harness is at fault: the verdict is `error`, and the next call tries again."""
