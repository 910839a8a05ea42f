"""What must be known of records that are shown in a table: one sentence a kind, naming task and record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.store.records import Record
from harness.views.comparable import earlier
from harness.views.labels import name_of, place_of

NAMED = 4


def remarks(records: Sequence[Record], ids: Mapping[str, str] | None = None) -> list[str]:
    """Of times of an older methodology, layers in floats, numbers in no layer, changed tasks, and of noise."""
    noisy = [f"{name_of(record, ids)}: noisy, {record.noisy}" for record in records if record.noisy]
    return [*standing_remarks(records, ids), *noisy]


def standing_remarks(records: Sequence[Record], ids: Mapping[str, str] | None = None) -> list[str]:
    """As `remarks`, without the noise, which is another for each record."""
    old: dict[str, list[Record]] = {}
    for record in records:
        if before := earlier(record):
            old.setdefault(f"({before.mark}) {before.caution}", []).append(record)
    found = [f"{_places(of)}: {text}; not ranked or compared with newer ones." for text, of in old.items()]
    for record in records:
        if layers := layers_in_floats(record):
            found.append(f"{name_of(record, ids)}: {len(layers)} of its layers stay in floats: {_several(layers)}.")
        if outside := numbers_outside_layers(record):
            total, named = sum(outside.values()), _several(list(outside))
            found.append(f"{name_of(record, ids)}: {total:,} numbers are in no layer and count as kept: {named}.")
    modified = [record for record in records if record.task_modified]
    if modified:
        found.append(f"{_places(modified)}: the task was changed on the command line, so this is no official result.")
    return found


def layers_in_floats(record: Record) -> list[str]:
    """The layers of a quantised network that were not quantised; none of a network that has no integers."""
    kinds = [(str(layer.get("name", "")), str(layer.get("arithmetic", ""))) for layer in record.layers]
    if not any(kind.startswith(("int", "uint")) for _, kind in kinds):
        return []
    return [name for name, kind in kinds if kind.startswith("float")]


def numbers_outside_layers(record: Record) -> dict[str, int]:
    """Stored tensor → its numbers, of those that could not be attributed to a layer."""
    rows = [layer for layer in record.layers if layer.get("kind") == "unattributed"]
    return {str(row.get("name", "")): int(row.get("weights") or 0) for row in rows}


def _several(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _places(records: Sequence[Record]) -> str:
    """`digits_mlp on cpu: dense, magnitude; mnist_lenet300 on cpu: dense`."""
    places: dict[str, dict[str, None]] = {}
    for record in records:
        places.setdefault(place_of(record), {})[record.submission] = None
    return "; ".join(f"{place}: {', '.join(names)}" for place, names in places.items())
