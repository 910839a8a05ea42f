"""The site's tables, made of the code, so that they cannot say anything else than it does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ARXIV = re.compile(r"arXiv (\d{4}\.\d{4,5})")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def first_sentence(doc: str | None) -> str:
    """What a docstring begins with, up to its first full stop or blank line, on one line."""
    whole = " ".join((doc or "").strip().partition("\n\n")[0].split())
    return re.split(r"(?<=[a-z)])\. (?=[A-Z])", whole)[0].rstrip(".")


def with_links(text: str) -> str:
    """`text`, its arXiv numbers as links."""
    return ARXIV.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", text)


@dataclass(frozen=True)
class Public:
    """A public name of a package.

    Attributes:
        module: where it is defined, as one imports it.
        group: the heading under which the front door lists it.
    """

    name: str
    module: str
    group: str


def public_names(package: str) -> list[Public]:
    """The names of a package's front door, in its groups."""
    stub = (ROOT / package / "__init__.pyi").read_text()
    places = {name: f"{package}.{place}" for place, name in re.findall(r"from \.([\w.]+) import \w+ as (\w+)", stub)}
    doc = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text())) or ""
    found, group = [], ""
    for line in doc.splitlines():
        if line.startswith("    "):
            found += [Public(name, places[name], group) for name in re.findall(r"\w+", line)]
        elif line.strip():
            group = line.strip()
    return found


def defined(public: Public) -> Any:
    """The class or function itself."""
    return getattr(import_module(public.module), public.name)


def papers_of(public: Public) -> list[str]:
    """The arXiv numbers in its docstring, or in that of its module."""
    own = defined(public)
    for doc in (own.__doc__, import_module(own.__module__).__doc__):
        if found := ARXIV.findall(doc or ""):
            return list(dict.fromkeys(found))
    return []


def submissions_with(name: str) -> list[str]:
    """The submissions that import a public name of `pruning`."""
    found = []
    for file in sorted((ROOT / "submissions").glob("*/submission.py")):
        imported = {
            alias.name
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pruning")
            for alias in node.names
        }
        if name in imported:
            found.append(file.parent.name)
    return found


def named_choices() -> Mapping[str, str]:
    """Class or function of `pruning` → what `compose` calls it, as `criterion=taylor`."""
    from pruning.criteria import CRITERIA
    from pruning.granularity import GRANULARITIES
    from pruning.ratios import ALLOCATIONS, RATIOS
    from pruning.schedules import SCHEDULES

    found = {}
    for kind, entries in {"criterion": CRITERIA, "granularity": GRANULARITIES, "ratio": RATIOS}.items():
        found |= {made.__name__: f"{kind}={name}" for name, made in entries.items()}
    found |= {made.function.__name__: f"schedule={name}" for name, made in SCHEDULES.items()}
    return found | {made.function.__name__: f"ratio={name}" for name, made in ALLOCATIONS.items()}


def techniques() -> Iterator[tuple[str, str]]:
    """Heading → table of the public names under it."""
    names, chosen = public_names("pruning"), named_choices()
    for group in dict.fromkeys(public.group for public in names):
        rows = []
        for public in (each for each in names if each.group == group):
            papers = papers_of(public)
            used = submissions_with(public.name)
            rows.append(
                (
                    f"[`{public.name}`](../reference/pruning.md#{public.module}.{public.name})",
                    first_sentence(defined(public).__doc__),
                    ", ".join(f"[{number}](https://arxiv.org/abs/{number})" for number in papers),
                    f"`{chosen[public.name]}`" if public.name in chosen else "",
                    ", ".join(f"[{name}](../submissions/{name}.md)" for name in used[:3]),
                )
            )
        yield group[:1].upper() + group[1:], table(("name", "what it is", "paper", "in `compose`", "submissions"), rows)


def tasks() -> str:
    from harness.tasks import load_task, task_names
    from harness.views.formatting import value_of

    rows = []
    for task in sorted(map(load_task, task_names()), key=lambda each: (each.reference.basis != "measured", each.name)):
        rows.append(
            (
                f"`{task.name}`",
                task.title,
                f"{100 * task.reference.value:.2f} %",
                f"{100 * task.quality_target:.2f} %",
                value_of("parameters", task.parameters),
                value_of("macs_dense", task.macs),
                {"shipped": "comes along", "trained": "trained on first use", "torchvision": "torchvision's"}[
                    task.reference.origin
                ],
                task.reference.basis,
            )
        )
    columns = ("task", "what", "reference", "to be kept", "parameters", "MACs", "weights", "the reference's value is")
    return table(columns, rows)


def submissions() -> str:
    import yaml

    rows = []
    for file in sorted((ROOT / "submissions").glob("*/submission.py")):
        config = file.with_name("config.yaml")
        parameters = (yaml.safe_load(config.read_text()) or {}) if config.exists() else {}
        doc = ast.get_docstring(ast.parse(file.read_text()))
        name = file.parent.name
        rows.append(
            (
                f"[{name}](../submissions/{name}.md)",
                with_links(first_sentence(doc)),
                ", ".join(f"`{p}`" for p in parameters),
            )
        )
    return table(("submission", "what it does", "parameters"), rows)


def targets() -> str:
    from hw_targets.registry import make_target, target_names

    rows = []
    for name in target_names():
        target = make_target(name)
        options = ", ".join(f"`{key}={value}`" for key, value in target.configuration().items())
        rows.append((f"`{name}`", with_links(first_sentence(type(target).__doc__)), options))
    return table(("target", "what it is", "options, as they are here"), rows)


def rules() -> str:
    from harness.entries.rules import RULES

    return table(("rule", "what it says"), [(f"`{name}`", meaning) for name, meaning in RULES.items()])


def quantities() -> str:
    from hw_targets.quantities import QUANTITIES

    rows = [(f"`{name}`", kind.label, kind.unit, kind.meaning, kind.better or "") for name, kind in QUANTITIES.items()]
    return table(("name", "label", "unit", "meaning", "better"), rows)


def commands() -> Iterator[tuple[str, str]]:
    """Command → what `--help` says."""
    from harness.cli.commands import COMMANDS, build_parser

    for name in COMMANDS:
        children = next(action for action in build_parser(name)._actions if action.dest == "command")
        yield name, children.choices[name].format_help()


def rooms(package: str) -> str:
    """The files and folders of a package, each with the first sentence of its docstring."""
    rows = []
    for path in sorted((ROOT / package).iterdir()):
        file = path / "__init__.py" if path.is_dir() else path
        if file.suffix == ".py" and file.is_file() and (path.is_dir() or path.name != "__init__.py"):
            doc = ast.get_docstring(ast.parse(file.read_text()))
            rows.append((f"`{path.name}{'/' if path.is_dir() else ''}`", first_sentence(doc)))
    return table((f"`{package}/`", "its one idea"), rows)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
