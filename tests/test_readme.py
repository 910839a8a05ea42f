"""What the README says of tasks, techniques and entries is what their files say."""

from __future__ import annotations

import re
from pathlib import Path

from harness.entries.loading import submission_names
from harness.tasks import load_task, task_names
from harness.views.formatting import value_of

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_task_tables_are_true():
    section = README.read_text().split("\n## Tasks\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|(.+)\|$", section, re.MULTILINE)
    told = {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows if name in task_names()}
    assert sorted(told) == task_names()
    for name, (_, reference, target, parameters, macs, *_) in told.items():
        task = load_task(name)
        assert reference.startswith(f"{task.reference.value:.2%}".replace("%", " %")), name
        assert target == f"{task.quality_target:.2%}".replace("%", " %"), name
        assert parameters == value_of("parameters", task.parameters), name
        assert macs == value_of("macs_dense", task.macs), name


# What the techniques stand on: no paper's idea of its own.
SUPPORT = {
    "criteria": {"batches", "behind", "contributions", "gradients", "layout"},
    "granularity": {"pooling"},
    "ratios": {"allocations", "cost", "counting", "per_layer", "problem"},
    "schedules": {"schedule"},
    "shrinking": {"compare", "follow", "operators", "scores", "stream", "surgery", "trace"},
    "quantise": {
        "attention",
        "finishing",
        "grid",
        "integers",
        "network",
        "normalise",
        "onnx_operators",
        "operators",
        "placing",
        "quantisers",
        "rows",
        "storage",
        "tracing",
    },
}


def test_the_table_of_techniques_names_every_file_and_every_entry():
    section = README.read_text().split("\n## Techniques\n")[1].split("\n## ")[0]
    links = re.findall(r"\]\(((?:pruning|submissions|results)/[^)]+)\)", section)
    assert all((README.parent / link).exists() for link in links)
    files = {
        f"pruning/{file.parent.name}/{file.name}"
        for file in (README.parent / "pruning").glob("*/*.py")
        if file.stem not in {"__init__", *SUPPORT.get(file.parent.name, ())}
    }
    assert {link for link in links if link.startswith("pruning/")} == files
    plots = {str(plot.relative_to(README.parent)) for plot in README.parent.glob("results/studies/*/*/plot.svg")}
    assert {link.split("/")[2] for link in links if link.startswith("results/")} == {p.split("/")[2] for p in plots}
    entries = {link.split("/")[1] for link in links if link.startswith("submissions/")}
    assert entries == {*submission_names(), "README.md"} - {"dense"}


def test_a_paper_in_the_table_is_the_one_its_file_is_from():
    for file, papers in re.findall(r"\]\((pruning/[^)]+)\) \| ([^|]+) \|", README.read_text()):
        source = (README.parent / file).read_text()
        assert all(number in source for number in re.findall(r"abs/([\d.]+)\)", papers)), file
