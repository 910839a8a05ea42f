"""Which records may share a figure of speeds: one task, one target, one machine, today's methodology."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from harness.views.comparable import earlier
from harness.views.report.chart import Shown


@dataclass(frozen=True)
class Group:
    """The submissions of one task and target, and of one machine where they were timed there."""

    title: str
    entries: tuple[Shown, ...]

    def simulated(self, name: str) -> bool:
        """Whether all that have the quantity have it from a simulator."""
        bases = {e.record.quantities[name].basis for e in self.entries if name in e.record.quantities}
        return bases == {"simulated"}


def groups_of(entries: Sequence[Shown]) -> list[Group]:
    """The groups, in order of first appearance; the machine is named where there are several."""
    by_place: dict[tuple[str, int, str], dict[str, list[Shown]]] = {}
    for entry in entries:
        record = entry.record
        timed = any(item.basis == "measured" and "latency" in name for name, item in record.quantities.items())
        machine = str(record.environment.get("machine_fingerprint")) if timed else ""
        place = record.task, record.task_version, record.target
        by_place.setdefault(place, {}).setdefault(machine, []).append(entry)
    return [
        Group(f"{task} on {target}" + (f", machine {machine}" if len(machines) > 1 else ""), tuple(of))
        for (task, _, target), machines in by_place.items()
        for machine, of in machines.items()
    ]


def left_out(entries: Sequence[Shown]) -> str:
    """Which submissions a figure of speeds does not show, and why; empty where it shows all."""
    reasons: dict[str, list[str]] = {}
    for entry in entries:
        before = earlier(entry.record)
        name = "speedup_vs_dense"
        absent = entry.record.absent.get(name, "no speed-up against dense was recorded").rstrip(".")
        reasons.setdefault(before.caution if before else absent, []).append(html.unescape(entry.label))
    return " ".join(f"Left out: {', '.join(labels)} ({reason})." for reason, labels in reasons.items())
