"""What code can import and read: held against import-linter's own graph, and on small trees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import grimp
import pytest

from harness.store.sources import PACKAGES, Tree, loose_digest, sources_below


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree()


@pytest.fixture
def house(tmp_path: Path) -> Callable[..., Tree]:
    """`house({"harness/a.py": "import harness.b"})`: a tree of these files."""

    def build(files: dict[str, str]) -> Tree:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return Tree(tmp_path)

    return build


def whole(names: Iterable[str]) -> set[str]:
    """The names with those of the packages that they are in."""
    parts = [name.split(".") for name in names]
    return {".".join(of[: end + 1]) for of in parts for end in range(len(of))}


def direct(tree: Tree, module: str) -> set[str]:
    """What `module` itself imports, with itself and packages on the way."""
    found = tree.closure([module], cut=lambda importer, _: importer not in ("", module))
    return {name for name in found.digests if tree.path_of(name)}


def test_no_import_is_missed_that_import_linter_sees(tree: Tree) -> None:
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    modules = sorted(name for name in graph.modules if tree.path_of(name))
    assert len(modules) > 200
    for module in modules:
        expected = whole([module, *graph.find_modules_directly_imported_by(module)])
        assert direct(tree, module) >= {name for name in expected if tree.path_of(name)}, module
        if module.startswith("pruning"):  # nothing there is imported by a string
            assert direct(tree, module) == expected, module


def closure(tree: Tree, *modules: str, **options) -> set[str]:
    return set(tree.closure(modules, **options).digests)


def test_packages_strings_data_and_stars(house: Callable[..., Tree]) -> None:
    tree = house(
        {
            "harness/__init__.py": "",
            "harness/a.py": "def f():\n    from .inner import b\n    run('harness.named')\n",
            "harness/inner/__init__.py": "from . import first",
            "harness/inner/first.py": "from .. import late",
            "harness/inner/b.py": "PRICES = ROOT / 'data/prices.yaml'\nimport numpy.linalg, json, PIL.Image",
            "harness/late.py": "",
            "harness/named.py": "TABLE = {'x': 'harness.table:function'}",
            "harness/table.py": "",
            "harness/data/prices.yaml": "a: 1",
            "harness/data/others.yaml": "a: 1",
            "studies/prices.yaml": "a: 1",
            "harness/alone.py": "import harness.a",
            "harness/star.py": "from harness.inner import *",
        }
    )
    all_of_it = {f"harness{name}" for name in ("", ".inner", ".inner.first", ".inner.b", ".late", ".named", ".table")}
    assert closure(tree, "harness.a") == all_of_it | {"harness.a", "harness/data/prices.yaml"}
    assert tree.closure(["harness.a"]).libraries == {"numpy", "PIL"}
    assert "harness.inner.b" in closure(tree, "harness.star")
    cut = closure(tree, "harness.a", cut=lambda importer, name: importer == "harness.a" and name == "harness.named")
    assert cut == all_of_it - {"harness.named", "harness.table"} | {"harness.a", "harness/data/prices.yaml"}


def test_files_from_elsewhere_count_with_what_they_import(house: Callable[..., Tree], tmp_path: Path) -> None:
    tree = house({"pruning/__init__.py": "", "pruning/mask.py": "", "mine/submission.py": "import pruning.mask, timm"})
    files = {"mine/submission.py": tmp_path / "mine" / "submission.py"}
    found = tree.closure([], files)
    assert set(found.digests) == {"pruning", "pruning.mask", "mine/submission.py"}
    assert found.libraries == {"timm"}
    (tmp_path / "pruning" / "mask.py").write_text("x = 1\n")
    assert Tree(tmp_path).closure([], files).digest() != found.digest()


def test_what_was_parsed_is_kept_and_a_damaged_memory_is_none(house: Callable[..., Tree], tmp_path: Path) -> None:
    house({"harness/a.py": "import harness.b", "harness/b.py": "b = 1"})
    memory = tmp_path / "cache" / "parsed.json"
    first = Tree(tmp_path, memory=memory).closure(["harness.a"])
    assert memory.is_file()
    assert Tree(tmp_path, memory=memory).closure(["harness.a"]) == first
    (tmp_path / "harness" / "b.py").write_text("b = 2")
    second = Tree(tmp_path, memory=memory).closure(["harness.a"])
    assert second.digest() != first.digest() and second == Tree(tmp_path).closure(["harness.a"])
    for damage in ("", "[]", '{"x": 1}', '{"x": {"colour": 1}}'):
        memory.write_text(damage)
        assert Tree(tmp_path, memory=memory).closure(["harness.a"]) == second
    assert Tree(tmp_path, memory=tmp_path / "harness" / "a.py" / "no").closure(["harness.a"]) == second


def test_what_no_distribution_installed_counts_by_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def digests() -> Iterator[str | None]:
        yield from (loose_digest("our_team"), loose_digest("our_file"), loose_digest("not_there"))

    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "our_team").mkdir()
    (tmp_path / "our_team" / "__init__.py").write_text("from .tools import saw")
    (tmp_path / "our_team" / "tools.py").write_text("saw = 1")
    (tmp_path / "our_file.py").write_text("x = 1")
    team, file, absent = digests()
    assert absent is None and None not in (team, file)
    (tmp_path / "our_team" / "tools.py").write_text("saw = 2")
    assert [one == other for one, other in zip((team, file), digests(), strict=False)] == [False, True]


def test_words_and_what_is_made_are_no_sources(tmp_path: Path) -> None:
    for name in ("submission.py", "README.md", "__pycache__/submission.cpython-311.pyc", ".git/HEAD", "data/w.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [str(path.relative_to(tmp_path)) for path in sources_below(tmp_path)] == ["data/w.bin", "submission.py"]


def test_a_front_door_leads_to_what_is_asked_of_it(house: Callable[..., Tree]) -> None:
    tree = house(
        {
            "pruning/__init__.py": "import lazy_loader\n__getattr__ = lazy_loader.attach_stub(__name__, __file__)[0]",
            "pruning/__init__.pyi": "from .cutting import cut as cut\nfrom .sewing.hem import hem, seam as seam",
            "pruning/cutting.py": "",
            "pruning/sewing/__init__.py": "",
            "pruning/sewing/hem.py": "from pruning.cutting import blade",
            "studies/one.py": "from pruning import cut",
            "studies/other.py": "def f():\n    from pruning import seam",
            "studies/whole.py": "import pruning\npruning.cut()",
            "studies/star.py": "from pruning import *",
            "studies/direct.py": "import pruning.sewing",
        }
    )
    hem = {"pruning.sewing", "pruning.sewing.hem"}
    expected = {
        "studies.one": {"pruning.cutting"},
        "studies.other": {"pruning.cutting", *hem},
        "studies.whole": {"pruning.cutting"},
        "studies.star": {"pruning.cutting", *hem},
        "studies.direct": {"pruning.sewing"},
    }
    assert {name: closure(tree, name) - {"pruning", name} for name in expected} == expected
