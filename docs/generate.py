"""Pages that are made when the site is built; see `tables`."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import mkdocs_gen_files

os.environ["COLUMNS"] = "100"  # of the commands' help
sys.path.insert(0, str(Path(__file__).parent))
import tables

ROOT = tables.ROOT
CONTRACTS = {
    "A submission": ["harness.contract"],
    "A target": ["hw_targets.target"],
    "A task": ["harness.tasks.task", "harness.tasks.recipe"],
    "What a run leaves": ["harness.store.records", "harness.store.quality"],
    "The layers of a model": ["hw_targets.graph.trace"],
}
TARGETS = ("hw_targets.registry", "hw_targets.eie.layer", "hw_targets.eie.config")


def write(name: str, text: str) -> None:
    with mkdocs_gen_files.open(name, "w") as page:
        page.write(text)


def copied(source: Path, name: str) -> None:
    with mkdocs_gen_files.open(name, "wb") as page:
        page.write(source.read_bytes())


def reference(title: str, package: str) -> str:
    """A page of the public names of a package."""
    page, names = [f"# {title}\n"], tables.public_names(package)
    for group in dict.fromkeys(public.group for public in names):
        page.append(f"\n## {group[:1].upper()}{group[1:]}\n")
        page += [f"\n::: {public.module}.{public.name}\n" for public in names if public.group == group]
    return "".join(page)


def outside_links(text: str) -> str:
    """Links to files that are not on the site, as their paths."""
    return re.sub(r"\[([^\]]+)\]\((\.\./[^)]+)\)", r"`\1`", text)


write("tables/tasks.md", f'# Tasks\n\n{tables.tasks()}\n--8<-- "docs/about/tasks.md"\n')
write("tables/targets.md", f'# Targets\n\n{tables.targets()}\n--8<-- "docs/about/targets.md"\n')
results = (ROOT / "submissions/README.md").read_text().partition("\n\n")[2]
results = re.sub(r"\]\((\w+)\)", r"](../submissions/\1.md)", outside_links(results))
write("tables/submissions.md", f"# Submissions\n\n{tables.submissions()}\n{results}")
RULES = """# Rules

A run is `invalid` when the submission broke one of these; the record has the rule, the place, and what to do.
"""
QUANTITIES = """# Quantities

What a record may hold; each says in the record itself whether it was measured, simulated or modelled. A target may
declare more of its own.
"""
TECHNIQUES = """# Techniques

The public names of `pruning`, by what they choose. What the fourth column gives is a choice by name in
`submission=compose`.
"""
write("tables/quantities.md", f"{QUANTITIES}\n{tables.quantities()}")
write("tables/rules.md", f"{RULES}\n{tables.rules()}")
headings = "".join(f"\n## {heading}\n\n{rows}" for heading, rows in tables.techniques())
write("tables/techniques.md", f"{TECHNIQUES}{headings}")
helps = "".join(f"\n## {name}\n\n```text\n{text}```\n" for name, text in tables.commands())
write("tables/commands.md", f"# Commands\n{helps}")
write("reference/pruning.md", reference("Python: pruning", "pruning"))
page = ["# Python: the contracts\n"]
for title, modules in CONTRACTS.items():
    page += [f"\n## {title}\n", *(f"\n::: {module}\n" for module in modules)]
write("reference/contracts.md", "".join(page))
page = ["# Python: targets\n", *(f"\n::: {module}\n" for module in TARGETS)]
write("reference/hw_targets.md", "".join(page))
house = "".join(f"\n## {name}\n\n{tables.rooms(name)}" for name in ("pruning", "hw_targets", "harness", "studies"))
write("house.md", f'# The house\n\n--8<-- "docs/about/house.md"\n{house}')
write("changelog.md", outside_links((ROOT / "CHANGELOG.md").read_text()))
for readme in sorted((ROOT / "submissions").glob("*/README.md")):
    code = readme.with_name("submission.py").read_text()
    text = outside_links(readme.read_text())
    write(f"submissions/{readme.parent.name}.md", f"{text}\n```python\n{code}```\n")
copied(ROOT / "results/studies/README.md", "results/studies/README.md")
for plot in (ROOT / "results/studies").glob("*/*/*.svg"):
    copied(plot, plot.relative_to(ROOT).as_posix())
decisions = []
for file in sorted((ROOT / "docs/decisions").glob("*.md")):
    title = file.read_text().partition("\n")[0].removeprefix("# ")
    decisions.append(f"- [{title}]({file.name})\n")
write(
    "decisions/index.md",
    f"# Decisions\n\nChoices that cost something, and why.\n\n{''.join(decisions)}",
)
