"""The entry point of `openprune`, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import textwrap
import traceback
from collections.abc import Sequence
from pathlib import Path

from harness.util.names import UsageError

VALID, INVALID, USAGE, HARNESS = 0, 1, 2, 3
INTERRUPTED, BROKEN_PIPE = 130, 141  # 128 + SIGINT, 128 + SIGPIPE, as shells have it

ADVICE = {
    errno.ENOSPC: "The disk is full: free some space (`openprune store gc`), or set OPENPRUNE_STORE to another disk.",
    errno.EDQUOT: "Your disk quota is used up: free some space, or set OPENPRUNE_STORE to another disk.",
    errno.EROFS: "That file system is read-only: set OPENPRUNE_STORE or OPENPRUNE_DATA to a folder you can write to.",
    errno.EACCES: "You may not write there: set OPENPRUNE_STORE or OPENPRUNE_DATA to a folder of yours.",
    errno.EMFILE: "Too many open files: raise the limit (`ulimit -n 4096`).",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `openprune` with `argv` (by default the process's arguments) and return the exit code.

    0: done, and every submission is valid. 1: a submission is invalid. 2: wrong usage. 3: the harness failed.
    """
    # Threads that wait for each other sleep: spinning beside busy processes, a training took 3 to 7 times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if "_ARGCOMPLETE" in os.environ:
        from harness.cli.complete import answer_shell

        answer_shell()
    try:
        code = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _discard_stdout()
        return BROKEN_PIPE


def _run(arguments: Sequence[str]) -> int:
    from harness.cli.commands import dispatch
    from harness.cli.logs import show_logs

    show_logs()
    try:
        return dispatch(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else VALID
    except UsageError as error:
        _say(str(error))
        return USAGE
    except KeyboardInterrupt:
        _say("Interrupted. What was finished is kept; the same command goes on from there.")
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except OSError as error:
        _say(f"{describe_os_error(error)} {_keep_traceback(error)}")
        return HARNESS
    except Exception as error:  # noqa: BLE001  the one place where anything unforeseen ends up
        _say(f"The harness failed: {type(error).__name__}: {error}\n{_keep_traceback(error)}")
        return HARNESS


def describe_os_error(error: OSError) -> str:
    """What went wrong, with which file, and what may help."""
    file = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{file}. {ADVICE.get(error.errno or 0, '')}".rstrip()


def _say(message: str) -> None:
    print(f"openprune: {textwrap.dedent(message).strip()}", file=sys.stderr)


def _keep_traceback(error: BaseException) -> str:
    """Print the traceback where OPENPRUNE_TRACEBACK asks for it, else leave it in a file; says which."""
    text = "".join(traceback.format_exception(error))
    if os.environ.get("OPENPRUNE_TRACEBACK", "0") not in {"", "0"}:
        return f"\n{text}"
    try:
        handle, name = tempfile.mkstemp(prefix="openprune-traceback-", suffix=".txt")
        with os.fdopen(handle, "w") as out:
            out.write(text)
    except OSError:
        return f"\n{text}"  # the disk may be what failed
    return f"The traceback is in {Path(name)}."


def _discard_stdout() -> None:
    """The reader of our output has gone: keep the interpreter from complaining at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = None


if __name__ == "__main__":
    sys.exit(main())
