"""Which figures must not be set side by side, and what a reader should know of those that are.

A measured time says something only beside another from the same machine, made by the same methodology
(`harness.store.methodology`); what was measured says nothing beside what was simulated.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.store.methodology import METHODOLOGY
from harness.store.records import Record

MACHINE_BOUND = ("latency_", "throughput_samples", "energy_", "peak_memory")
TIMED = (*MACHINE_BOUND, "throughput_", "speedup_")
PERCENTILES = ("latency_p50_ns", "latency_p90_ns", "latency_p99_ns")


@dataclass(frozen=True)
class Earlier:
    """A methodology of before: a mark for a table's cell, and the sentence that explains it."""

    mark: str
    caution: str


EARLIER: dict[int, Earlier] = {
    1: Earlier(
        "old export",
        "made with the old export: 8-bit networks multiplied floats, and speed-ups are against a dense "
        "network that was up to 3.7 times too slow",
    ),
}
UNKNOWN = Earlier("other methodology", "made with a methodology that this version does not know")


def earlier(record: Record) -> Earlier | None:
    """What is to be known of times that were measured by another methodology than today's; None for all others."""
    if record.methodology == METHODOLOGY or not _is_timed(record):
        return None
    return EARLIER.get(record.methodology, UNKNOWN)


def barrier(name: str, records: Iterable[Record]) -> str | None:
    """Why the quantity `name`, which all of `records` have, is not compared between them; None where it may be."""
    records = tuple(records)
    bases = {record.quantities[name].basis for record in records}
    if len(bases) > 1:
        return f"One figure is {' and the other '.join(sorted(bases))}."
    if bases != {"measured"} or not name.startswith(TIMED):
        return None
    if len({record.methodology for record in records}) > 1:
        old = {each.caution: None for record in records if (each := earlier(record))}
        return f"One side was {'; '.join(old)}. Measure it again."
    return _machine_barrier(records) if name.startswith(MACHINE_BOUND) else None


def bounds(record: Record, name: str) -> tuple[float, float] | None:
    """The 95 % interval of a quantity, where there is one that holds.

    Methodology 1 took the queries of all rounds for independent, so that its intervals of latency
    percentiles were far too narrow wherever rounds differed: they are not shown.
    """
    item = record.quantities[name]
    if record.methodology == 1 and item.basis == "measured" and name in PERCENTILES:
        return None
    return None if item.low is None or item.high is None else (item.low, item.high)


def _is_timed(record: Record) -> bool:
    return any(item.basis == "measured" and name.startswith(TIMED) for name, item in record.quantities.items())


def _machine_barrier(records: Iterable[Record]) -> str | None:
    prints = {record.environment.get("machine_fingerprint") for record in records}
    if None in prints:
        return "A record does not say which machine it was measured on."
    if len(prints) > 1:
        return f"Measured on different machines ({', '.join(sorted(map(str, prints)))}); compare the speed-ups instead."
    return None
