"""From records to the page: what its template needs, and the safe embedding of the figures.

Names, messages and tracebacks in a record came from a submission, so the template escapes everything,
figures travel as JSON without `<`, and the page's own policy forbids any script but ours and any
connection. plotly.js is embedded once, compressed, and unpacked by the browser.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.store.records import Record, to_json
from harness.util.files import write_atomically
from harness.util.names import UsageError
from harness.views import formatting
from harness.views.comparable import bounds
from harness.views.labels import differing_settings, flatten, name_of, seed_of, short_ids
from harness.views.remarks import remarks
from harness.views.report.accelerator import accelerator_chart
from harness.views.report.chart import entries_of
from harness.views.report.latency import latency_charts
from harness.views.report.layers import layer_chart, layer_table
from harness.views.report.quality import accuracy_charts, tradeoff_charts
from harness.views.summary import identity, summary_cells
from hw_targets.registry import make_target

LAYER_CHARTS = 6
MANY = 3  # warnings or failures that are shown unfolded
ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


@dataclass(frozen=True)
class Plot:
    """A chart as the template embeds it: `json` is safe inside a script element."""

    title: str
    note: str
    json: str
    height: int


def write_report(
    records: Sequence[Record], path: Path, title: str | None = None, ids: Mapping[str, str] | None = None
) -> Path:
    """Write one self-contained page about `records`, the whole of it or nothing, and return `path`.

    Args:
        ids: the short id of each record, unique in its store; by default among `records`.

    Raises:
        UsageError: there are no records.
    """
    text = render(records, title, ids)
    write_atomically(path, text)
    return path


def render(records: Sequence[Record], title: str | None = None, ids: Mapping[str, str] | None = None) -> str:
    """The page as text; the same records give the same page.

    Raises:
        UsageError: there are no records.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    if not records:
        raise UsageError("There are no records to report on.")
    environment = Environment(
        loader=PackageLoader("harness.views.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    ids, settings = ids or short_ids(records), differing_settings(records)
    environment.globals.update(
        f=formatting,
        cells=summary_cells,
        bounds=bounds,
        seed_of=seed_of,
        identity=lambda record: identity(record, ids, settings),
        name=lambda record: name_of(record, ids),
        settings=lambda record: flatten(record.parameters) | flatten(record.target_configuration, "target."),
        layers=layer_table,
    )
    content = "".join(to_json(record) for record in records)
    return environment.get_template("page.html.j2").render(
        title=title or _title(records),
        records=records,
        counts={verdict: sum(r.verdict == verdict for r in records) for verdict in ("valid", "invalid", "error")},
        warnings=_warnings(records, ids),
        many=MANY,
        plots=_plots(records, ids),
        commands=_commands(records),
        environments=_environments(records),
        plotly=_plotly_packed(),
        nonce=hashlib.sha256(content.encode()).hexdigest()[:24],
    )


def command_line(*run: Record) -> str:
    """The command that makes the records of a run again, from the commit that their environment names."""
    record = run[0]
    words = [
        f"task={record.task}",
        f"submission={record.submission}",
        f"targets=[{','.join(dict.fromkeys(each.target for each in run))}]",
    ]
    words += [f"{key}={json.dumps(value)}" for key, value in flatten(record.parameters, "params.").items()]
    options = {name: value for each in run for name, value in _options(each).items()}
    words += [f"{key}={json.dumps(value)}" for key, value in options.items()]
    words += [f"seed={record.seed}", f"effort={record.effort}"]
    return shlex.join(["openprune", "run", *words])


def _options(record: Record) -> dict[str, Any]:
    """Those of the record's target that are not what the target would choose here."""
    try:
        here = make_target(record.target).configuration()
    except ValueError:  # a target of an older or newer version
        here = {}
    own = record.target_configuration
    differing = {name: value for name, value in own.items() if name not in here or here[name] != value}
    return flatten(differing, f"target.{record.target}.")


def safe_json(text: str) -> str:
    """JSON that no HTML parser can mistake for the end of a script element; it stays equal JSON."""
    for character, escape in ESCAPES.items():
        text = text.replace(character, escape)
    return text


def _plots(records: Sequence[Record], ids: Mapping[str, str]) -> list[Plot]:
    entries = entries_of([record for record in records if record.quality or record.quantities], ids)
    layered = {f"{entry.record.submission} {entry.record.layers}": entry for entry in reversed(entries)}
    shown = list(reversed(layered.values()))[:LAYER_CHARTS]
    charts = [
        *accuracy_charts(entries),
        *tradeoff_charts(entries),
        *latency_charts(entries),
        *(chart(entry) for entry in shown for chart in (layer_chart, accelerator_chart)),
    ]
    return [
        Plot(chart.title, chart.note, safe_json(chart.figure.to_json()), int(chart.figure.layout.height))
        for chart in charts
        if chart is not None
    ]


def _title(records: Sequence[Record]) -> str:
    names = list(dict.fromkeys(record.submission for record in records))
    tasks = list(dict.fromkeys(record.task for record in records))
    who = ", ".join(names) if len(names) <= 3 else f"{len(names)} submissions"
    return f"{who} on {', '.join(tasks)}"


def _warnings(records: Sequence[Record], ids: Mapping[str, str]) -> list[str]:
    found = []
    prints = {r.environment.get("machine_fingerprint") for r in records if "latency_ns" in r.samples}
    if len(prints) > 1:
        found.append("These records are from different machines; compare speed-ups, never their latencies.")
    if len({record.effort for record in records}) > 1:
        found.append("The records were measured with different efforts.")
    quick = sorted({record.target for record in records if record.effort == "quick"})
    if quick:
        found.append(f"Measured with the quick effort on {', '.join(quick)}: fit for a first look only.")
    return found + remarks(records, ids)


def _commands(records: Sequence[Record]) -> list[str]:
    """One command a run, with all the targets it was measured on."""
    runs: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        runs.setdefault((record.run, record.effort), []).append(record)
    return [command_line(*run) for run in runs.values()]


def _environments(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The environments that differ from one another, flat, in order of first use."""
    found: list[dict[str, Any]] = []
    for record in records:
        flat = flatten(record.environment)
        if flat and flat not in found:
            found.append(flat)
    return found


@cache
def _plotly_packed() -> str:
    """plotly.js, compressed and in base64: 2 MB in place of 4.8."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode()
