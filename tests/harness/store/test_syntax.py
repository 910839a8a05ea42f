"""What counts in a file and what does not."""

from __future__ import annotations

import pytest

from harness.store.syntax import reaches, source_of

CODE = '''"""Says what it is."""
import os
from a.b import c, d
from . import near
from ..up import far
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from never import run


class Thing:
    """A thing."""

    size = 3


def late(x):
    """Late."""
    try:
        import deep.inside
    except ImportError:
        from other import way
    match x:
        case 1:
            import matched
    return "tables/costs.yaml", thing.colour, b"bytes.yaml"
'''
SAME = {
    "a comment": CODE + "\n# a comment\n",
    "other docstrings": CODE.replace("Says what it is.", "Says more.").replace('"""A thing."""', '"""One."""'),
    "a docstring less": CODE.replace('    """Late."""\n', ""),
    "other layout": CODE.replace("size = 3", "size = (\n        3\n    )")
    .replace('"tables', "'tables")
    .replace('yaml",', "yaml',"),
    "other line ends": CODE.replace("\n", "\r\n"),
}
OTHER = {
    "another number": CODE.replace("size = 3", "size = 4"),
    "a string that is no docstring": CODE.replace("size = 3", 'size = """A thing."""'),
    "another name": CODE.replace("Thing", "Thang"),
    "another order": CODE.replace("c, d", "d, c"),
    "an assertion": CODE.replace("    try:", "    assert x\n    try:", 1),
    "another import": CODE.replace("import os", "import sys"),
}


def digest(text: str, suffix: str = ".py") -> str:
    return source_of(text.encode(), suffix).digest


@pytest.mark.parametrize("how", SAME)
def test_comments_docstrings_and_layout_do_not_count(how):
    assert SAME[how] != CODE
    assert digest(SAME[how]) == digest(CODE)


@pytest.mark.parametrize("how", OTHER)
def test_code_counts(how):
    assert digest(OTHER[how]) != digest(CODE)


def test_imports_are_found_wherever_they_are_run():
    found = source_of(CODE.encode(), ".py")
    imported = {"os", "a.b", "a.b.c", "a.b.d", ".", ".near", "..up", "..up.far", "typing", "typing.TYPE_CHECKING"}
    assert set(found.imports) == imported | {"deep.inside", "other", "other.way", "matched"}
    assert {"tables/costs.yaml", "colour"} <= set(found.words)
    assert not {"Late.", "A thing.", "bytes.yaml"} & set(found.words)


def test_yaml_counts_by_its_values():
    text = "energy: {add: 0.9}  # pJ\n"
    assert digest(text, ".yaml") == digest("# Horowitz\nenergy:\n  add: 0.9\n", ".yaml")
    assert digest(text, ".yaml") != digest(text.replace("0.9", "0.8"), ".yaml")


@pytest.mark.parametrize(("text", "suffix"), [("def broken(:\n", ".py"), ("a: [1", ".yaml"), ("# one", ".txt")])
def test_what_cannot_be_read_counts_by_its_bytes(text, suffix):
    assert digest(text, suffix) != digest(text + " # more", suffix)


def compress(body: str, arguments: str = "self, model, context") -> bytes:
    return f"class Submission:\n    def compress({arguments}):\n        {body}\n".encode()


@pytest.mark.parametrize(
    ("content", "reached"),
    [
        (compress("return model"), False),
        (compress("return prune(model, context.config, context.train)"), False),
        (compress("'''context.latency is not asked'''; return model  # nor here, latency"), False),
        (compress("return search(context.latency)"), True),
        (compress("return getattr(context, 'latency')(model)"), True),
        (compress("return run(model, context)"), True),
        (compress("c = context; return c.train(model)"), True),
        (compress("return run(model, *rest)", "self, model, *rest"), True),
        (b"from elsewhere import Entry", None),
        (b"class Submission(:", True),
    ],
)
def test_whether_a_submission_can_come_to_what_it_is_given(content, reached):
    assert reaches("latency", through="compress", content=content) is reached
