"""Numbers for people: three significant digits and a unit of a fitting size (410 µs, 1.04 MiB, 13.9 µJ).

Records hold plain values in one base unit; only what is shown to people passes through here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hw_targets.quantities import QUANTITIES
from hw_targets.target import Quantity

ABSENT = "–"
LADDERS: dict[str, tuple[tuple[float, str], ...]] = {
    "ns": ((1, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")),
    "pj": ((1, "pJ"), (1e3, "nJ"), (1e6, "µJ"), (1e9, "mJ"), (1e12, "J")),
    "bytes": ((1, "B"), (2**10, "KiB"), (2**20, "MiB"), (2**30, "GiB")),
    "count": ((1, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T")),
    "per_s": ((1, "/s"), (1e3, "k/s"), (1e6, "M/s"), (1e9, "G/s")),
}
UNIT_ENDINGS = ("_ns", "_pj", "_bytes", "_per_s", "_fraction", "_ratio")
UNITS = {"ns": "ns", "pj": "pj", "bytes": "bytes", "byte": "bytes", "b": "bytes", "samples/s": "per_s", "1/s": "per_s"}
COUNTS = ("parameters", "cycles", "weights", "nonzeros")
COUNT_STARTS = ("macs_", "weights_", "parameters_", "numbers_")


@dataclass(frozen=True)
class Scale:
    """A unit of fitting size: shown = base / factor."""

    factor: float
    unit: str


def kind_of(name: str, unit: str = "") -> str:
    """What sort of number a quantity is, from its name first, since names end in the unit.

    Returns:
        A key of `LADDERS`, `fraction`, `ratio`, or the unit itself where nothing is known of it.
    """
    for ending, kind in (("_ns", "ns"), ("_pj", "pj"), ("_bytes", "bytes"), ("_fraction", "fraction")):
        if name.endswith(ending):
            return kind
    if name.endswith("_per_s"):
        return "per_s"
    if name.endswith("_ratio") or "speedup" in name:
        return "ratio"
    if name == "sparsity":
        return "fraction"
    plain = unit.lower() not in UNITS
    if name in COUNTS or (plain and name.startswith(COUNT_STARTS)) or name.endswith("_macs"):
        return "count"
    return UNITS.get(unit.lower(), unit)


def scale_for(values: list[float], kind: str) -> Scale:
    """One scale for several values, such as an axis, chosen by the largest of them."""
    ladder = LADDERS.get(kind)
    if ladder is None:
        return Scale(1.0, "" if kind in ("fraction", "ratio", "1") else kind)
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    for index, (factor, unit) in enumerate(ladder):
        step = ladder[index + 1][0] / factor if index + 1 < len(ladder) else math.inf
        if _significant(largest / factor, ceiling=step) < step:
            return Scale(factor, unit)
    return Scale(*ladder[-1])


def number(value: float) -> str:
    """Three significant digits, without exponent where that reads well."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e7:
        return f"{value:.3g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    if float(f"{abs(value):.{digits}f}") >= 10 ** (3 - digits):
        digits = max(0, digits - 1)
    return f"{value:,.{digits}f}"


def quantity(name: str, item: Quantity | None) -> str:
    """`410 µs`; a dash where there is none."""
    return ABSENT if item is None else value_of(name, item.value, item.unit)


def value_of(name: str, value: float, unit: str = "") -> str:
    """A value with its unit: `410 µs`, `70.0 %`, `3.10×`."""
    kind = kind_of(name, unit)
    if kind == "fraction":
        return percent(value)
    if kind == "ratio":
        return f"{number(value)}×"
    if kind in ("count", "1", "") and float(value).is_integer() and abs(value) < 1e3:
        return f"{value:.0f}"
    scale = scale_for([value], kind)
    return f"{number(value / scale.factor)} {scale.unit}".rstrip()


def interval(name: str, item: Quantity) -> str:
    """`406 µs to 414 µs`, or a dash where none was estimated."""
    if item.low is None or item.high is None:
        return ABSENT
    return f"{value_of(name, item.low, item.unit)} to {value_of(name, item.high, item.unit)}"


def percent(fraction: float, digits: int | None = None) -> str:
    """`91.87 %` of 0.9187 with two digits; three significant digits without."""
    shown = 100 * fraction
    return f"{number(shown) if digits is None else f'{shown:.{digits}f}'} %"


def points(delta: float, low: float | None = None, high: float | None = None) -> str:
    """A difference of fractions in percentage points: `-0.38 pp [-0.69, -0.07]`."""
    text = f"{100 * delta:+.2f} pp"
    return text if low is None or high is None else f"{text} [{100 * low:+.2f}, {100 * high:+.2f}]"


def points_between(low: float, high: float) -> str:
    """`-0.69 to -0.07`, in percentage points."""
    return f"{100 * low:+.2f} to {100 * high:+.2f}"


def title(name: str) -> str:
    """A quantity's name as a table shows it, without the unit that its value is shown with."""
    if name in QUANTITIES:
        return QUANTITIES[name].label
    words = name
    for ending in UNIT_ENDINGS:
        words = words.removesuffix(ending)
    words = words.replace("_", " ").replace("macs", "MACs")
    return words[:1].upper() + words[1:]


def _significant(value: float, ceiling: float) -> float:
    """`value` as `number` would round it, so that 999.96 ns is shown as 1 µs and not as 1,000 ns."""
    if value >= ceiling or value <= 0:
        return value
    return float(f"{value:.3g}")
