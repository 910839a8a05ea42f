"""A stream: channels that different layers write and read, and that can only fall together.

The output of a layer is a stream. Batch norms and depthwise filters follow it channel by channel;
convolutions and linear layers read it. Where two outputs are added or multiplied, their streams
become one. An obstacle anywhere on it holds for the whole stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(eq=False)
class Stream:
    """Who writes, follows and reads some channels.

    Attributes:
        producers: layers whose output units are the channels, unit by channel.
        followers: batch norms, depthwise convolutions and PReLUs on the way → columns a channel.
        readers: layers that read it → columns a channel (more than 1 behind a flattening).
        obstacle: why no channel can be taken out, or None.
    """

    producers: list[str] = field(default_factory=list)
    followers: dict[str, int] = field(default_factory=dict)
    readers: dict[str, int] = field(default_factory=dict)
    obstacle: str | None = None
    joined: Stream | None = None

    def root(self) -> Stream:
        """The stream that this one has become a part of; itself at first."""
        stream = self
        while stream.joined is not None:
            stream = stream.joined
        return stream

    def block(self, obstacle: str) -> None:
        """Note an obstacle; the first one stays."""
        root = self.root()
        root.obstacle = root.obstacle or obstacle

    def join(self, other: Stream) -> None:
        """Become one stream with `other`."""
        one, two = self.root(), other.root()
        if one is two:
            return
        one.producers += [name for name in two.producers if name not in one.producers]
        for mine, theirs in ((one.followers, two.followers), (one.readers, two.readers)):
            for name, columns in theirs.items():
                if mine.setdefault(name, columns) != columns:
                    one.block(f"{name} reads it in two different ways")
        one.obstacle = one.obstacle or two.obstacle
        two.joined = one


class Label(NamedTuple):
    """Where the channels of a stream lie in a tensor.

    Attributes:
        dim: counted from the last, -1; None where it is not known (the stream then has an obstacle).
        columns: entries along `dim` that belong to one channel, side by side.
    """

    stream: Stream
    dim: int | None
    columns: int = 1


def columns_of(units: Sequence[int], columns: int) -> list[int]:
    """The entries of `units` where each has `columns` entries side by side."""
    return [unit * columns + column for unit in units for column in range(columns)]
