"""What the stages of a run share: `Request → Delivered → Judged → Measured → Record`, or `Broken` on the way.

Each stage takes the value before and gives the next, which is defined in its module: `Delivered` in
`compress`, `Judged` in `judge`, `Measured` in `measure`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.entries.rules import Failure
from harness.store.model import StoredModel

if TYPE_CHECKING:
    from harness.entries.loading import SubmissionFolder
    from harness.references.find import ReferenceFile
    from harness.store.keys import TargetKeys
    from harness.tasks.task import Task
    from hw_targets.target import Effort, Target


@dataclass(frozen=True)
class Request:
    """One job: a submission on a list of targets.

    Attributes:
        repeat: which measurement this is; equal numbers are the same measurement.
        task_modified: the task is not as its file has it.
    """

    task: Task
    submission: SubmissionFolder
    targets: tuple[Target, ...]
    seed: int = 0
    effort: Effort = "quick"
    repeat: int = 0
    task_modified: bool = False


@dataclass(frozen=True)
class Prepared:
    """What a job stands on.

    Attributes:
        key: of the compress stage.
        dense: the reference as ONNX.
    """

    weights: ReferenceFile
    key: str
    dense: StoredModel


@dataclass(frozen=True)
class Pair:
    """What a target is given: a submission's model, and the dense reference that it is held against.

    Attributes:
        keys: of what is done with them there.
    """

    model: StoredModel
    dense: StoredModel
    keys: TargetKeys


@dataclass(frozen=True)
class Broken:
    """The rule that the submission broke, at whichever stage.

    Attributes:
        time_s, samples_trained: of `compress`, where it broke the rule.
        environment: where it was found out, if on a target.
    """

    failure: Failure
    time_s: float = 0.0
    samples_trained: int = 0
    environment: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed:
    """The harness could not go on: nothing is kept of the stage, and the next call tries again."""

    message: str
    cause: str = ""
