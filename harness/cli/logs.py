"""What the harness tells while it works, on standard error, so that pipes stay clean."""

from __future__ import annotations

import logging
import sys

TOLD = "harness"  # and all loggers below it


class _ToStandardError(logging.Handler):
    """Writes to what standard error is at the time: a progress bar or a test may have replaced it."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


def show_logs() -> None:
    """Let what is told from now on be seen, in this process; called again, it changes nothing."""
    logger = logging.getLogger(TOLD)
    if not any(isinstance(handler, _ToStandardError) for handler in logger.handlers):
        logger.addHandler(_ToStandardError())
    logger.setLevel(logging.INFO)
