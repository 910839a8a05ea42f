"""What one file says, without how it says it: Python as its syntax tree without docstrings, YAML as its values.

Comments and layout do not count; what is neither Python nor YAML counts by its bytes.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """What one file is to a key.

    Attributes:
        imports: dotted names as written: `a.b`, for `from .a import b` both `.a` and `.a.b`.
        words: names of attributes, and strings that could name a module or a file.
    """

    digest: str
    imports: Sequence[str] = ()
    words: Sequence[str] = ()


def source_of(content: bytes, suffix: str) -> Source:
    """What `content` is to a key; what cannot be parsed counts by its bytes."""
    if suffix in (".py", ".pyi"):
        with suppress(SyntaxError, ValueError, RecursionError):
            return _python(ast.parse(content))
    if suffix in (".yaml", ".yml"):
        import yaml

        with suppress(yaml.YAMLError, UnicodeDecodeError):
            values = json.dumps(yaml.safe_load(content), default=str)
            return Source(hashlib.sha256(values.encode()).hexdigest())
    return Source(hashlib.sha256(content).hexdigest())


def reaches(name: str, *, through: str, content: bytes) -> bool | None:
    """Whether code can come to the attribute `name` of what its method `through` is given as last argument.

    It can where it names `name` as an attribute or a string, or hands that argument on whole. A source
    that does not parse can, too.

    Returns:
        None where it can not, but does not define `through` either.
    """
    source = source_of(content, ".py")
    if name in source.words:
        return True
    try:
        functions = [node for node in ast.walk(ast.parse(content)) if isinstance(node, ast.FunctionDef)]
    except (SyntaxError, ValueError):
        return True
    methods = [function for function in functions if function.name == through]
    return any(map(_hands_on, methods)) if methods else None


def _hands_on(method: ast.FunctionDef) -> bool:
    """Whether the last of `(self, model, context)` is used but for its attributes."""
    arguments = [*method.args.posonlyargs, *method.args.args]
    if len(arguments) != 3:
        return True
    looked_into = {id(node.value) for node in ast.walk(method) if isinstance(node, ast.Attribute)}
    names = (node for node in ast.walk(method) if isinstance(node, ast.Name) and node.id == arguments[2].arg)
    return any(id(node) not in looked_into for node in names)


def _python(tree: ast.Module) -> Source:
    imports = [name for statement in _statements(tree) for name in _imports(statement)]
    for node in (tree, *_statements(tree, typing_too=True)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and _has_docstring(node):
            del node.body[0]
    text = ast.dump(tree)
    words = re.findall(r"attr='(\w+)'|Constant\(value='([\w./:-]+)'", text)
    return Source(hashlib.sha256(text.encode()).hexdigest(), sorted(set(imports)), sorted({a or b for a, b in words}))


def _has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return ast.get_docstring(node, clean=False) is not None


def _statements(node: ast.AST, typing_too: bool = False) -> Iterator[ast.AST]:
    """All statements in `node`; those for type checkers alone are never run."""
    for name in ("body", "handlers", "orelse", "finalbody", "cases"):
        if name == "body" and isinstance(node, ast.If) and not typing_too:
            test = node.test
            if getattr(test, "id", getattr(test, "attr", None)) == "TYPE_CHECKING":
                continue
        part = getattr(node, name, ())
        for statement in part if isinstance(part, list) else ():
            yield statement
            yield from _statements(statement, typing_too)


def _imports(statement: ast.AST) -> Iterator[str]:
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
    elif isinstance(statement, ast.ImportFrom):
        base = "." * statement.level + (statement.module or "")
        yield base
        yield from (f"{base}{'.' if statement.module else ''}{alias.name}" for alias in statement.names)
