"""One page of all results: `README.md` in the output folder, with each study's plots and findings.

It is made from the `result.json` files alone, and anew whenever a study writes one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.store.methodology import METHODOLOGY
from harness.util.files import write_atomically
from harness.views.comparable import EARLIER, UNKNOWN
from studies import MACHINES, STUDIES, find_study

PAGE = "README.md"
SHOWN = 8  # findings; more are folded away
FIRST = 1  # the methodology of results that time something and do not say by which
HEAD = """# What the studies found

Made by `openprune study` from the numbers in each `result.json`; do not edit. A finding is computed: two
ways are called above, below, or not told apart by the 95 % margin of their difference. With one seed only
the test set's own error is known. Settings that differ from a study's defaults were chosen for time.
"""


def write_gallery(output: Path) -> Path:
    """Write the page of the results in `output` (`<study>/<task>/result.json`), and return where it is."""
    page = output / PAGE
    write_atomically(page, gallery(output))
    return page


def gallery(output: Path) -> str:
    """The page's text."""
    parts = [HEAD]
    for name, shows in (STUDIES | MACHINES).items():
        results = sorted((output / name).glob("*/result.json"))
        if results:
            parts.append(f"## {name}\n\n{shows[0].upper()}{shows[1:]}.\n")
            parts += [_section(file, output) for file in results]
    return "\n".join(parts)


def _section(file: Path, output: Path) -> str:
    try:
        facts: Mapping[str, Any] = json.loads(file.read_text())
        lines = list(_told(facts))
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{file.relative_to(output)} is damaged.\n"
    folder = file.parent.relative_to(output)
    tables = [f"\n[Tables]({folder}/tables.md)"] if (file.parent / "tables.md").exists() else []
    return "\n".join([f"### {folder.name}\n", f"![{facts['question']}]({folder}/plot.svg)\n", *lines, *tables, ""])


def _told(facts: Mapping[str, Any]) -> Iterator[str]:
    seeds, settings = facts["seeds"], facts.get("settings", {})
    said = [f"{len(seeds)} seeds" if len(seeds) > 1 else "one seed"]
    said += [f"{name} {_plain(value)}" for name, value in settings.items()]
    if not facts.get("complete", True):
        said.append("not all cells are run")
    yield f"{'; '.join(said)}.\n"
    made_by = facts.get("methodology", FIRST)
    if made_by != METHODOLOGY and _measures(facts):
        yield f"**Not comparable with newer figures:** {EARLIER.get(made_by, UNKNOWN).caution}.\n"
    findings = [f"- {finding}" for finding in facts["findings"]]
    yield from findings[:SHOWN]
    if len(findings) > SHOWN:
        yield from (f"\n<details><summary>{len(findings) - SHOWN} more</summary>\n", *findings[SHOWN:], "\n</details>")


def _measures(facts: Mapping[str, Any]) -> bool:
    """Whether times were measured; a result of schema 1 that has a methodology did, as only those had one."""
    if "measures" in facts:
        return bool(facts["measures"])
    name = facts.get("study")
    return "methodology" in facts or (name in STUDIES and find_study(name).measures)


def _plain(value: Any) -> str:
    return ", ".join(map(_plain, value)) if isinstance(value, list) else str(value)
