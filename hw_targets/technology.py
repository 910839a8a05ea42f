"""Energy per action, from cited tables (`technology.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any


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


def read_table(name: str) -> dict[str, Any]:
    """The table `name` as `technology.yaml` has it.

    Raises:
        ValueError: there is no such table.
    """
    import yaml

    tables: dict[str, dict[str, Any]] = yaml.safe_load(
        Path(__file__).with_name("technology.yaml").read_text(encoding="utf-8")
    )
    if name not in tables:
        raise ValueError(f"There is no technology table {name!r}. Known: {', '.join(sorted(tables))}.")
    return tables[name]


def technology(name: str = "eie_45nm") -> Technology:
    """The prices of single actions in the table `name`.

    Raises:
        ValueError: there is no such table.
    """
    table = read_table(name)
    energy = MappingProxyType({action: float(cost) for action, cost in table["energy_pj"].items()})
    return Technology(name, int(table["node_nm"]), str(table["source"]), int(table["word_bits"]), energy)
