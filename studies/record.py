"""What a study leaves: `result.json` with all numbers and what they were made with, and `plot.svg`.

Schema 2 says what its cells were made with: `environments` (machines, commits, versions, and how many cells
each made), `methodology` (the earliest among the cells) and `measures`. Schema 1 has one environment, that of
the last run, and a methodology only where the study times something.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.store.methodology import METHODOLOGY
from harness.util.environment import describe_environment
from harness.util.files import write_atomically
from studies.lab import Lab
from studies.plots import to_svg
from studies.study import Numbers, Plan, Result, Row, Settings, Study

SCHEMA = "openprune.study/2"
SCHEMAS = ("openprune.study/1", SCHEMA)
MADE_WITH = ("created", "environment")


def facts_of(
    study: Study,
    lab: Lab,
    settings: Settings,
    seeds: Sequence[int],
    plan: Plan,
    failed: Mapping[str, str],
    rows: Sequence[Row],
    reference: Numbers,
) -> dict[str, Any]:
    """All of `result.json` but the findings.

    Args:
        failed: description of a cell → why its training could not be finished.
        reference: the dense network's accuracies, `validation` and `test`.
    """
    return {
        "schema": SCHEMA,
        "study": study.name,
        "question": study.question,
        "task": lab.task.name,
        "task_version": lab.task.version,
        "reference": {"sha256": lab.reference_sha256, **reference},
        "test_samples": len(lab.data.test),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "environment": describe_environment(),
        "environments": environments_of(rows),
        "methodology": min((row.made_with.get("methodology", METHODOLOGY) for row in rows), default=METHODOLOGY),
        "measures": study.measures,
        "settings": dict(settings),
        "seeds": list(seeds),
        "complete": len(rows) + len(failed) == len(plan.cells),
        "left_out": dict(plan.left_out),
        "failed": dict(failed),
        "cells": [{"cell": dict(row.cell), "numbers": dict(row.numbers), "time_s": row.time_s} for row in rows],
    }


def environments_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The environments in which `rows` were made, each with the number of its `cells`."""
    counts: dict[str, int] = {}
    for row in rows:
        if "environment" in row.made_with:
            text = json.dumps(row.made_with["environment"])
            counts[text] = counts.get(text, 0) + 1
    return [{"cells": count, **json.loads(text)} for text, count in counts.items()]


def write_result(study: Study, facts: Mapping[str, Any], folder: Path) -> tuple[list[str], list[Path]]:
    """Write `result.json` and `plot.svg` into `folder`; findings and plot are made from the rows in `facts`.

    Returns:
        The findings, and the two files.
    """
    result = result_of(facts)
    findings = study.findings(result)
    record, picture = folder / "result.json", folder / "plot.svg"
    facts = {**facts, **_made_before(record, facts)}
    write_atomically(record, json.dumps({**facts, "findings": findings}, indent=1, ensure_ascii=False) + "\n")
    write_atomically(picture, to_svg(study.plot(result)))
    return findings, [record, picture]


def result_of(facts: Mapping[str, Any]) -> Result:
    """The rows in a `result.json`, as findings and plots are made of them."""
    rows = [Row(row["cell"], row["numbers"], row["time_s"]) for row in facts["cells"]]
    return Result(facts["task"], facts["reference"]["test"], facts["test_samples"], rows)


def redraw(study: Study, folder: Path) -> tuple[list[str], list[Path]]:
    """Findings and plot anew, from the numbers of the `result.json` in `folder`.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or of another schema or study.
    """
    facts = json.loads((folder / "result.json").read_text())
    if facts.get("schema") not in SCHEMAS or facts.get("study") != study.name:
        known = " or ".join(SCHEMAS)
        raise ValueError(f"{folder / 'result.json'} is no result of the study {study.name} in schema {known}.")
    return write_result(study, facts, folder)


def _made_before(record: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """When and where the result at `record` was made, if it holds the same rows; else nothing."""
    try:
        earlier = json.loads(record.read_text())
        same = earlier["cells"] == facts["cells"] and earlier["reference"] == facts["reference"]
        return {name: earlier[name] for name in MADE_WITH if name in earlier} if same else {}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}
