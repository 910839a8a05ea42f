from __future__ import annotations

import errno
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from harness.cli import commands
from harness.cli.commands import COMMANDS, Command
from harness.cli.main import main
from harness.util.names import UsageError

REPOSITORY = Path(__file__).resolve().parents[3]
Captured = pytest.CaptureFixture[str]


def install(monkeypatch: pytest.MonkeyPatch, behaviour: Any) -> None:
    """Make `openprune demo` do `behaviour(args)`."""
    module: Any = types.ModuleType("demo_command")

    def add_arguments(parser: Any) -> None:
        parser.add_argument("overrides", nargs="*")
        parser.add_argument("-m", "--multirun", action="store_true")

    module.add_arguments, module.execute = add_arguments, behaviour
    monkeypatch.setitem(sys.modules, "demo_command", module)
    monkeypatch.setitem(COMMANDS, "demo", Command("demo_command", "for tests"))


def raising(error: BaseException) -> Any:
    def execute(args: Any) -> int:
        raise error

    return execute


@pytest.fixture(autouse=True)
def tracebacks_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("OPENPRUNE_TRACEBACK", raising=False)
    return tmp_path


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_exit_code_is_the_commands(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    install(monkeypatch, lambda args: code)
    assert main(["demo"]) == code


@pytest.mark.parametrize(
    "words", [["-m", "a=1", "b=2"], ["a=1", "-m", "b=2"], ["a=1", "b=2", "-m"], ["--multirun", "a=1", "b=2"]]
)
def test_overrides_may_stand_around_options(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    seen: list[Any] = []
    install(monkeypatch, lambda args: seen.append((args.overrides, args.multirun)) or 0)
    assert main(["demo", *words]) == 0
    assert seen == [(["a=1", "b=2"], True)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tsks"], "Did you mean tasks"),
        (["submissns"], "Did you mean submissions"),
        (["tasks", "--josn"], "nrecognized arguments: --josn"),
        (["tasks", "destroy"], "invalid choice: 'destroy'"),
        (["tasks", "show"], "Which task?"),
        (["tasks", "show", "cifar10_resnet"], "Did you mean cifar10_resnet20"),
        (["data", "fetch", "cifar"], "Did you mean cifar10"),
        (["data"], "arguments are required"),
        (["demo", "a=1", "--wrong"], "nrecognized arguments: --wrong"),
    ],
)
def test_wrong_usage_is_one_message_and_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, words: list[str], expected: str
) -> None:
    install(monkeypatch, lambda args: 0)
    assert main(words) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.err.startswith("openprune: ")
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_without_a_command_the_help_is_shown_and_the_code_is_2(capsys: Captured) -> None:
    assert main([]) == 2
    out = capsys.readouterr().out
    assert all(re.search(rf"^ +{name}\b", out, re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize(
    ("code", "expected"),
    [(errno.ENOSPC, "The disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "You may not write there")],
)
def test_a_disk_that_fails_is_the_harnesss_error(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, tracebacks_here: Path, code: int, expected: str
) -> None:
    import os

    install(monkeypatch, raising(OSError(code, os.strerror(code), "/somewhere/record.json")))
    assert main(["demo"]) == 3
    error = capsys.readouterr().err
    assert expected in error
    assert "/somewhere/record.json" in error
    assert "OSError" in next(tracebacks_here.glob("openprune-traceback-*")).read_text() or code == errno.EACCES


def test_an_unforeseen_error_keeps_its_traceback_and_cause(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, tracebacks_here: Path
) -> None:
    error = RuntimeError("the wheel came off")
    error.__cause__ = KeyError("axle")
    install(monkeypatch, raising(error))
    assert main(["demo"]) == 3
    message = capsys.readouterr().err
    assert "RuntimeError: the wheel came off" in message
    assert "Traceback" not in message
    (file,) = tracebacks_here.glob("openprune-traceback-*")
    assert str(file) in message
    assert "KeyError: 'axle'" in file.read_text()
    monkeypatch.setenv("OPENPRUNE_TRACEBACK", "1")
    assert main(["demo"]) == 3
    assert "KeyError: 'axle'" in capsys.readouterr().err


def test_a_traceback_that_cannot_be_filed_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    install(monkeypatch, raising(RuntimeError("the wheel came off")))
    assert main(["demo"]) == 3
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_interrupting_and_usage_errors_have_their_own_codes(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    install(monkeypatch, raising(KeyboardInterrupt()))
    assert main(["demo"]) == 130
    install(monkeypatch, raising(UsageError("Put the cart behind the horse.")))
    assert main(["demo"]) == 2
    assert capsys.readouterr().err.endswith("openprune: Put the cart behind the horse.\n")


def test_a_reader_that_goes_away_is_no_error() -> None:
    script = (
        "import sys; from harness.cli import commands, main\n"
        "commands.dispatch = lambda arguments: print('x\\n' * 1_000_000) or 0\n"
        "sys.exit(main.main([]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 141


def test_every_command_says_what_it_takes(capsys: Captured) -> None:
    for name, entry in commands.COMMANDS.items():
        assert main([name, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"usage: openprune {name}")
        assert Path(REPOSITORY, *entry.module.split(".")).with_suffix(".py").is_file()


def test_the_version_is_the_packages(capsys: Captured) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"openprune (\d+\.\d+\.\d+|\(not installed.*\))\n", capsys.readouterr().out)
