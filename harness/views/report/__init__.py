"""One HTML page about a run or a comparison, which needs nothing but itself and a browser."""

from harness.views.report.page import write_report

__all__ = ["write_report"]
