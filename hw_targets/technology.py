"""Energy per action, from cited tables (`technology.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True)
class Technology:
    """What one action costs.

    Attributes:
        node_nm: technology node.
        source: the paper and its table.
        word_bits: width of a word in `energy_pj`.
        energy_pj: action → pJ.
    """

    name: str
    node_nm: int
    source: str
    word_bits: int
    energy_pj: Mapping[str, float]


def technology(name: str = "eie_45nm") -> Technology:
    """Read the table `name`.

    Raises:
        ValueError: there is no such table.
    """
    import yaml

    tables = yaml.safe_load(Path(__file__).with_name("technology.yaml").read_text(encoding="utf-8"))
    if name not in tables:
        raise ValueError(f"There is no technology table {name!r}. Known: {', '.join(sorted(tables))}.")
    table = tables[name]
    energy = MappingProxyType({action: float(cost) for action, cost in table["energy_pj"].items()})
    return Technology(name, int(table["node_nm"]), str(table["source"]), int(table["word_bits"]), energy)
