"""The page: it says what the records say, runs no script but its own, and loads nothing."""

from __future__ import annotations

import base64
import gzip
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plotly.offline import get_plotlyjs

from harness.store.records import Failure
from harness.util.names import UsageError
from harness.views.report import write_report
from harness.views.report.accelerator import accelerator_chart
from harness.views.report.chart import entries_of
from harness.views.report.latency import latency_charts
from harness.views.report.page import command_line, render, safe_json
from harness.views.report.quality import accuracy_charts, tradeoff_charts
from hw_targets.registry import make_target

ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'{{ 7 * 7 }}<a href='javascript:alert(3)'>"


class Page(HTMLParser):
    """Tags with their attributes, scripts, and the text that a reader sees."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.scripts: list[tuple[dict, str]] = []
        self.text = ""
        self.inside = ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = attrs, text + data
        elif self.inside != "style":
            self.text += " ".join(data.split()) + " "

    @property
    def figures(self) -> list[dict]:
        return [json.loads(text) for attrs, text in self.scripts if attrs.get("class") == "chart-data"]


def test_a_simulated_accelerator_shows_its_elements_and_its_energy(make_record):
    """Busy shares in per cent of a layer's cycles, and each component's energy in nJ, as the layers have them."""
    layers = [
        {"name": "a", "cycles": 200.0, "pe_busy_cycles": [200.0, 50.0], "energy_pj": {"clock": 3000.0, "dram": 0.0}},
        {"name": "b", "cycles": 10.0, "pe_busy_cycles": [0.0, 10.0], "energy_pj": {"clock": 500.0, "dram": 0.0}},
    ]
    record = make_record(target="eie", layers=[*layers, {"name": "host", "macs_dense": 1}])
    figure = accelerator_chart(entries_of([record])[0]).figure
    assert [list(row) for row in figure.data[0].z] == [[100, 0], [25, 100]]
    assert [bar.name for bar in figure.data[1:]] == ["clock"] and list(figure.data[1].y) == [3.0, 0.5]
    assert "elements and energy" in render([record])
    assert accelerator_chart(entries_of([make_record()])[0]) is None


def test_a_page_says_what_the_record_says(make_record, tmp_path):
    record = make_record(noisy="load 2.4 on 2 cores", submission="häuser_prune")
    path = write_report([record], tmp_path / "new" / "report.html")
    page = Page(path.read_text(encoding="utf-8"))
    for text in ("häuser_prune", "91.87 %", "-0.38 pp", "[-0.69, -0.07]", "91.33 %", "load 2.4 on 2 cores", "272 k"):
        assert text in page.text
    for name, item in record.quantities.items():
        assert name in page.text and item.source in page.text and item.basis in page.text
    for name, reason in record.absent.items():
        assert name in page.text and reason in page.text
    command = page.text[
        page.text.index("openprune run task=cifar10_resnet20 'submission=häuser_prune' 'targets=[cpu]'") :
    ]
    assert "params.recovery.learning_rate=0.01 seed=0 effort=standard" in command
    assert record.environment["commit"] in page.text and "recovery" in page.text
    titles = (
        "Accuracy against the quality target: cifar10_resnet20",
        "Latency: cifar10_resnet20 on cpu",
        "layer by layer",
    )
    assert all(title in page.text for title in titles) and len(page.figures) == 3
    assert [entry.name for entry in tmp_path.joinpath("new").iterdir()] == ["report.html"], "nothing is left aside"


def test_failures_are_shown_with_rule_message_and_traceback(make_record):
    page = Page(render([make_record(verdict="error"), make_record("b", verdict="invalid", accuracy=0.85)]))
    for text in ("target_failed", "within 600 s", "TimeoutError: 600 s", "quality_target", "1 invalid", "1 error"):
        assert text in page.text
    assert "The harness failed here" in page.text


def test_hostile_text_stays_text(make_record):
    layers = [{"name": ATTACK, "macs_dense": 5, "macs_effective": 3, "sparsity": 0.4}]
    hostile = {
        "noisy": ATTACK,
        "failure": Failure(ATTACK, ATTACK, ATTACK),
        "layers": layers,
        "absent": {ATTACK: ATTACK},
    }
    more = {"parameters": {ATTACK: ATTACK}, "environment": {ATTACK: [ATTACK]}, "conditions": {ATTACK: ATTACK}}
    records = [make_record(ATTACK, ATTACK, seed=seed, **hostile, **more) for seed in range(3)]
    source = render(records, ATTACK)
    page = Page(source)
    tags = {tag for tag, _ in page.tags}
    assert "img" not in tags and "a" not in tags
    assert not [key for _, attrs in page.tags for key in attrs if key.startswith("on")]
    kinds = [(attrs.get("type"), attrs.get("class")) for attrs, _ in page.scripts]
    charts = [("application/json", "chart-data")] * (len(kinds) - 2)
    assert kinds == [*charts, ("text/plain", None), (None, None)], "no script but the page's own"
    assert ATTACK.replace("\n", " ") in page.text and "{{ 7 * 7 }}" in page.text and "49" not in page.text.split()
    assert len(page.figures) >= 4
    for figure in page.figures:
        assert "<script" not in json.dumps(figure) and "<img" not in json.dumps(figure), "plotly reads tags in text"


def test_the_page_loads_nothing_and_allows_only_its_own_script(make_record):
    source = render([make_record(queries=20)])
    page = Page(source)
    assert not [
        attrs for tag, attrs in page.tags if {"src", "href"} & set(attrs) or tag in ("link", "iframe", "object")
    ]
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    nonce = re.search(r"script-src 'nonce-([0-9a-f]{24})'", policy).group(1)
    assert policy.startswith("default-src 'none'")
    assert [attrs["nonce"] for attrs, _ in page.scripts if "type" not in attrs] == [nonce]
    packed = next(text for attrs, text in page.scripts if attrs.get("id") == "plotly-packed")
    assert gzip.decompress(base64.b64decode(packed)).decode() == get_plotlyjs()
    assert len(source) < 2_500_000


def test_the_same_records_give_the_same_page(make_record):
    records = [make_record(queries=20), make_record(target="eie")]
    assert render(records) == render(records)


def test_records_of_an_older_methodology_are_left_out_of_the_speeds_with_a_note(make_record):
    records = [make_record(name, latency_ns=ns) for name, ns in (("a", 4e5), ("b", 3e5))]
    old = make_record("before", methodology=1)
    entries = entries_of([*records, old])
    for chart in (*tradeoff_charts(entries), *latency_charts(entries)):
        assert not any("before" in (trace.name or "") for trace in chart.figure.data)
        assert "Left out: before (made with the old export" in chart.note
    assert "before" in accuracy_charts(entries)[0].figure.layout.yaxis.ticktext, "accuracies stand"
    page = Page(render([*records, old]))
    assert "3.7 times too slow" in page.text and "old export" in page.text
    assert latency_charts(entries_of([old])) == []


def test_many_warnings_and_failures_are_folded(make_record):
    few = Page(render([make_record(noisy="load")]))
    many = Page(render([make_record(seed=seed, noisy=f"load {seed}", verdict="invalid") for seed in range(5)]))
    assert "Read with care: 5 remarks" in many.text and "5 records are not valid" in many.text
    assert "remarks" not in few.text and "noisy, load" in few.text
    for seed in range(5):
        assert f"cifar10_resnet20 on cpu: magnitude, seed {seed}" in many.text and f"noisy, load {seed}" in many.text


def test_the_summary_has_task_id_date_commit_and_what_differs(make_record):
    records = [make_record(parameters={"sparsity": s}, effort=e) for s, e in ((0.5, "quick"), (0.9, "official"))]
    page = Page(render(records))
    summary = page.text[page.text.index("Summary") : page.text.index("All quantities")]
    for text in ("cifar10_resnet20", records[0].id[:8], "2026-03-01 12:00", "1e8215b0", "sparsity=0.9", "official"):
        assert text in summary
    assert "[1.49, 1.53]" in summary


def test_many_records_stay_light(make_record):
    records = [make_record(f"entry{n}", latency_ns=1e5 * (n + 1), queries=5000) for n in range(12)]
    assert len(render(records)) < 2_700_000


def test_records_without_figures_still_make_a_page(make_record):
    page = Page(render([make_record(verdict="error", environment={}, parameters={}, conditions={})]))
    assert page.scripts == [] and "The records do not say." in page.text
    with pytest.raises(UsageError, match="no records"):
        render([])


def test_entries_of_equal_names_stay_apart(make_record):
    records = [make_record("x" * 90, accuracy=value, machine=str(value)) for value in (0.90, 0.91, 0.92)]
    (chart,) = accuracy_charts(entries_of(records))
    assert [(point.y[0], round(point.x[0], 6)) for point in chart.figure.data] == [(0, 92.0), (1, 91.0), (2, 90.0)]
    assert len(chart.figure.layout.yaxis.ticktext) == 3
    seeds = [make_record("x" * 90, seed=seed) for seed in range(2)]
    assert [entry.label[-8:] for entry in entries_of(seeds)] == [", seed 0", ", seed 1"]


@settings(max_examples=50)
@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_safe_json_is_equal_json_without_angle_brackets(value):
    text = safe_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value and not set("<>&\u2028\u2029") & set(text)


def test_the_command_line_is_quoted(make_record):
    assert command_line(make_record("x; rm -rf ~", parameters={"mode": "a b"})) == (
        "openprune run task=cifar10_resnet20 'submission=x; rm -rf ~' 'targets=[cpu]' "
        "'params.mode=\"a b\"' seed=0 effort=standard"
    )


def test_the_command_line_has_the_options_of_targets_that_were_chosen(make_record):
    run = make_record(parameters={}, target_configuration={**make_target("cpu").configuration(), "intra_threads": 99})
    other = make_record(target="eie", target_configuration=make_target("eie", {"pe_count": 16}).configuration())
    assert command_line(run, other) == (
        "openprune run task=cifar10_resnet20 submission=magnitude 'targets=[cpu,eie]' "
        "target.cpu.intra_threads=99 target.eie.pe_count=16 seed=0 effort=standard"
    )


def test_machines_are_told_apart_and_layers_stand_in_the_page(make_record):
    page = Page(render([make_record("a"), make_record("b", machine="other")]))
    assert "different machines" in page.text
    assert "layer3.2.conv2" in page.text and "36.9 k" in page.text, "a layer's name and its weights"
