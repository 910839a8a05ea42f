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

from harness.names import UsageError
from harness.records import Failure
from harness.report import write_report
from harness.report.accelerator import accelerator_chart
from harness.report.chart import entries_of
from harness.report.latency import latency_charts
from harness.report.layers import layer_sparsity
from harness.report.page import command_line, render, safe_json
from harness.report.quality import accuracy_chart, pareto_front

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


def test_simulated_times_are_called_so(make_record):
    timed = {"latency_ns": [1.0, 2.0], "dense_latency_ns": [3.0, 4.0]}
    (simulated,) = latency_charts(entries_of([make_record(target="eie", samples=timed)]))
    (measured,) = latency_charts(entries_of([make_record()]))
    assert "Times are simulated" in simulated.note and "ran in turns" in measured.note


def test_a_page_says_what_the_record_says(make_record, tmp_path):
    record = make_record(noisy="load 2.4 on 2 cores", submission="häuser_prune")
    path = write_report([record], tmp_path / "new" / "report.html")
    page = Page(path.read_text(encoding="utf-8"))
    for text in ("häuser_prune", "91.87 %", "-0.38 pp [-0.69, -0.07]", "91.33 %", "load 2.4 on 2 cores", "272 k"):
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
    titles = ("Accuracy against the quality target", "Latency on cpu", "layer by layer")
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


def test_a_comparison_shows_entries_on_one_scale(make_record):
    records = [make_record(name, latency_ns=ns) for name, ns in (("a", 4e5), ("b", 3e5), ("c", 2e5))]
    assert "Accuracy against latency on cpu" in Page(render(records)).text
    elsewhere = [*records[:2], make_record("c", machine="other")]
    page = Page(render(elsewhere))
    assert "Accuracy against latency" not in page.text and "different machines" in page.text


def test_many_records_stay_light(make_record):
    records = [make_record(f"entry{n}", latency_ns=1e5 * (n + 1), queries=5000) for n in range(12)]
    assert len(render(records)) < 2_700_000


def test_records_without_figures_still_make_a_page(make_record):
    page = Page(render([make_record(verdict="error", environment={}, parameters={}, conditions={})]))
    assert page.scripts == [] and "The records do not say." in page.text
    with pytest.raises(UsageError, match="no records"):
        render([])


def test_latency_curves_are_the_samples_quantiles(make_record):
    record = make_record(queries=101)
    (chart,) = latency_charts(entries_of([record]))
    dense, entry = chart.figure.data
    ordered = sorted(record.samples["latency_ns"])
    assert dense.name == "dense" and [1e3 * x for x in entry.x] == pytest.approx(ordered)
    assert list(entry.y)[50] == pytest.approx(50)


def test_entries_of_equal_names_stay_apart(make_record):
    records = [make_record("x" * 90, accuracy=value, machine=str(value)) for value in (0.90, 0.91, 0.92)]
    chart = accuracy_chart(entries_of(records))
    assert [(point.y[0], round(point.x[0], 6)) for point in chart.figure.data] == [(0, 92.0), (1, 91.0), (2, 90.0)]
    assert len(chart.figure.layout.yaxis.ticktext) == 3
    seeds = [make_record("x" * 90, seed=seed) for seed in range(2)]
    assert [entry.label[-8:] for entry in entries_of(seeds)] == [", seed 0", ", seed 1"]


def test_layer_columns_of_different_targets():
    assert layer_sparsity({"sparsity": 0.25}) == 0.25
    assert layer_sparsity({"weights": 100, "nonzeros": 25}) == 0.75
    assert layer_sparsity({"weights": 0, "nonzeros": 0}) is None
    assert layer_sparsity({"sparsity": "a lot", "weights": True}) is None


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1))
def test_no_point_beats_the_front_and_every_other_is_beaten(points):
    front = pareto_front(points)
    for cost, value in points:
        assert any(c <= cost and v >= value for c, v in front)
    for cost, value in front:
        assert not any((c < cost and v >= value) or (c <= cost and v > value) for c, v in points)


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
