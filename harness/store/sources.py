"""What a piece of code can import and read, and one hash over all of that.

Imports are read from the source, also those inside functions; importing a module runs the packages it
is in. A package whose `__init__.pyi` says where its names are from loads them when they are asked for:
`from pruning import shrink` imports the module of `shrink`, and no other that is named there. A module that is
named in a string (`"harness.data.mnist"`) is imported by that name, and a data file of the package that is named
in a string (`"technology.yaml"`) is read. What a file counts as is said in `syntax`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from harness.store.syntax import Source, source_of
from harness.util.files import write_atomically

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("pruning", "hw_targets", "harness", "submissions", "studies")
REMEMBERED = 4000  # files whose content is kept in mind between runs
NO_FILES: Mapping[str, Path] = MappingProxyType({})

Cut = Callable[[str, str], bool]  # (importer, imported) → this import is not followed


@dataclass(frozen=True)
class Closure:
    """All that some code can import and read.

    Attributes:
        digests: module, or path of another file → its content's hash.
        words: of each module and Python file in `digests`.
        libraries: names under which what is not ours is imported, the standard library left out.
    """

    digests: Mapping[str, str]
    words: Mapping[str, Sequence[str]]
    libraries: frozenset[str]

    def digest(self) -> str:
        """One hash over all files."""
        lines = (f"{name} {digest}\n" for name, digest in sorted(self.digests.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class Tree:
    """Our packages' files.

    Args:
        read: what a file holds; `replace(tree, read=…)` asks what would be if it held something else.
        memory: where parsed files are kept between runs; None: nowhere.
    """

    root: Path = REPOSITORY
    read: Callable[[Path], bytes] = Path.read_bytes
    memory: Path | None = None
    _files: dict[str, Path] = field(default_factory=dict, init=False, repr=False, compare=False)
    _data: dict[tuple[str, str], list[str]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _known: dict[str, Source] = field(default_factory=dict, repr=False, compare=False)  # by content
    _sources: dict[Path, Source] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for package in PACKAGES:
            for path in sources_below(self.root / package):
                name = path.relative_to(self.root).as_posix()
                self._files[name] = path
                if path.suffix != ".py":
                    self._data.setdefault((package, path.name), []).append(name)
        if self.memory is not None:
            self._known.update(_recall(self.memory))

    def closure(
        self, modules: Iterable[str], files: Mapping[str, Path] = NO_FILES, cut: Cut = lambda *_: False
    ) -> Closure:
        """All that `modules` and `files` can import and read.

        Args:
            files: of any kind and from anywhere, by what they are called in the result.
        """
        digests: dict[str, str] = {}
        words: dict[str, Sequence[str]] = {}
        libraries: set[str] = set()
        remembered = len(self._known)
        pending = [("", name) for name in modules]
        for name, file in files.items():
            source = self.source(file)
            digests[name], words[name] = source.digest, source.words
            pending += [(name, of) for of in self._named(source, "")]
        while pending:
            importer, name = pending.pop()
            libraries.update(_library(name))
            for module in _with_packages(name):
                path = self.path_of(module)
                if path is None or module in digests or cut(importer, module):
                    continue
                source = self.source(path)
                digests[module], words[module] = source.digest, source.words
                package = module if path.name == "__init__.py" else module.rpartition(".")[0]
                pending += [(module, of) for of in self._named(source, package)]
                digests.update(self._read_by(source, module.partition(".")[0]))
        if self.memory is not None and len(self._known) > remembered:
            _remember(self.memory, self._known)
        return Closure(digests, words, frozenset(libraries))

    def path_of(self, module: str) -> Path | None:
        """The file of a module of ours, None where there is no such module."""
        path = module.replace(".", "/")
        return self._files.get(f"{path}.py") or self._files.get(f"{path}/__init__.py")

    def source(self, path: Path) -> Source:
        """What the file at `path` is to a key."""
        if path not in self._sources:
            content = self.read(path)
            key = f"{hashlib.sha256(content).hexdigest()}{path.suffix}"
            if key not in self._known:
                self._known[key] = source_of(content, path.suffix)
            self._sources[path] = self._known[key]
        return self._sources[path]

    def _named(self, source: Source, package: str) -> Iterator[str]:
        """The modules that `source` imports, by statements and by strings."""
        for name in source.imports:
            dots = len(name) - len(name.lstrip("."))
            base = package.rsplit(".", dots - 1)[0] if dots > 1 else package
            whole = f"{base}.{name[dots:]}".strip(".") if dots else name
            inside = whole.removesuffix("*").replace(".", "/")
            yield whole
            yield from self._behind_door(whole, source.words)
            if whole.endswith(".*"):  # all that is in the package may be named in its `__all__`
                yield from (
                    file.removesuffix(".py").replace("/", ".")
                    for file in self._files
                    if file.startswith(inside) and re.fullmatch(r"(?!__init__)\w+\.py", file[len(inside) :])
                )
        for word in source.words:
            module = word.partition(":")[0]
            if "." in module and self.path_of(module) is not None:
                yield module

    def _behind_door(self, name: str, words: Sequence[str]) -> Iterator[str]:
        """Where the package `name`, or the one that `name` is asked of, loads from what is asked of it.

        Of an `import package`, any of the `words` may be asked.
        """
        package, _, last = name.rpartition(".")
        for door, asked in ((package, {last}), (name, set(words))):
            stub = self._files.get(f"{door.replace('.', '/')}/__init__.pyi") if door else None
            for found in self.source(stub).imports if stub else ():
                module, _, public = found.lstrip(".").rpartition(".")
                if module and (public in asked or "*" in asked):
                    yield f"{door}.{module}"

    def _read_by(self, source: Source, package: str) -> Iterator[tuple[str, str]]:
        """The files of `package` that `source` names in strings, with their hashes."""
        for word in source.words:
            for file in self._data.get((package, word.rpartition("/")[2]), ()):
                yield file, self.source(self._files[file]).digest


def sources_below(folder: Path) -> list[Path]:
    """All files in `folder`, sorted, but Markdown, compiled Python and what is hidden."""
    found = []
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith((".", "__pycache__")) for part in path.relative_to(folder).parts)
        if not hidden and path.suffix not in {".pyc", ".md"} and path.is_file():
            found.append(path)
    return found


def loose_digest(module: str) -> str | None:
    """One hash over the files of a top-level module that no distribution installed; None where there is none."""
    try:
        spec = importlib.util.find_spec(module)
    except ValueError:  # it was made by hand
        spec = None
    if spec is None:
        return None
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [path for folder in folders for path in sources_below(folder)]
    if not folders and spec.origin is not None and Path(spec.origin).is_file():
        files = [Path(spec.origin)]
    return Tree(root=Path()).closure([], {str(path): path for path in files}).digest()


def _with_packages(name: str) -> list[str]:
    """`a.b.c` → `a`, `a.b`, `a.b.c`."""
    parts = name.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def _library(name: str) -> set[str]:
    top = name.partition(".")[0]
    return {top} - sys.stdlib_module_names - set(PACKAGES) - {""}


def _recall(memory: Path) -> dict[str, Source]:
    try:
        return {key: Source(**fields) for key, fields in json.loads(memory.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember(memory: Path, known: Mapping[str, Source]) -> None:
    """Parsing again costs a second and nothing else: a memory that cannot be written is none."""
    latest = list(known.items())[-REMEMBERED:]
    with suppress(OSError):
        write_atomically(memory, json.dumps({key: vars(source) for key, source in latest}))
