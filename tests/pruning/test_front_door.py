"""What `import pruning` offers, and what it costs."""

from __future__ import annotations

import re
import subprocess
import sys

import pruning


def test_help_lists_the_public_names_in_groups_and_each_is_there() -> None:
    assert pruning.__doc__ is not None
    listed = [
        name for line in re.findall(r"^    .+$", pruning.__doc__, re.MULTILINE) for name in re.findall(r"\w+", line)
    ]
    assert sorted(listed) == sorted(pruning.__all__)
    assert all(getattr(pruning, name).__name__ == name for name in listed)


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    script = (
        "import sys, pruning; print(sorted(name for name in sys.modules if name.startswith(('pruning.', 'torch'))))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
