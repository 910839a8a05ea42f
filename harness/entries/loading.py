"""Finding submissions: a folder with a `submission.py` in it is a submission, and nothing else is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.contract import SUBMISSION_FILE
from harness.entries.limits import check_parameters
from harness.util.names import UnknownNameError, UsageError

SUBMISSIONS_FOLDER = Path(__file__).resolve().parents[2] / "submissions"


@dataclass(frozen=True)
class SubmissionFolder:
    """A submission's folder, and its configuration with the command line's overrides."""

    name: str
    folder: Path
    parameters: Mapping[str, Any]


def submission_names(folder: Path = SUBMISSIONS_FOLDER) -> list[str]:
    """Names of the submissions in `folder`, sorted."""
    return sorted(path.parent.name for path in folder.glob(f"*/{SUBMISSION_FILE}"))


def find_submission(name: str, submission_dir: str | Path | None = None) -> Path:
    """The folder of submission `name`.

    Args:
        submission_dir: either a folder that holds submissions, or a submission's own folder.

    Raises:
        UnknownNameError: no such submission; the message names the nearest.
        UsageError: `submission_dir` does not exist.
    """
    if submission_dir is None:
        if (SUBMISSIONS_FOLDER / name / SUBMISSION_FILE).is_file():
            return SUBMISSIONS_FOLDER / name
        raise UnknownNameError("submission", name, submission_names())
    outside = Path(submission_dir).expanduser().resolve()
    if not outside.is_dir():
        raise UsageError(f"submission_dir={submission_dir} is not a folder.")
    for folder in (outside / name, outside):
        if folder.name == name and (folder / SUBMISSION_FILE).is_file():
            return folder
    here = submission_names(outside) + ([outside.name] if (outside / SUBMISSION_FILE).is_file() else [])
    raise UnknownNameError("submission", name, here)


def load_submission(
    name: str, overrides: Mapping[str, Any] | None = None, submission_dir: str | Path | None = None
) -> SubmissionFolder:
    """Find submission `name`, merge `overrides` into its `config.yaml`, and hold them against its `limits.yaml`.

    Raises:
        UnknownNameError: no such submission, or an override that its configuration does not have.
        UsageError: a file is not a YAML mapping, or a parameter is out of its limits.
    """
    folder = find_submission(name, submission_dir)
    defaults = _read_mapping(folder / "config.yaml")
    parameters = _merged(f"parameter of {name}", defaults, overrides or {})
    check_parameters(name, defaults, parameters, _read_mapping(folder / "limits.yaml"))
    return SubmissionFolder(name, folder, parameters)


def parameter_names(name: str, submission_dir: str | Path | None = None) -> set[str]:
    """Names of the parameters of submission `name`.

    Raises:
        UsageError: no such submission, or its configuration cannot be read.
    """
    return set(_read_mapping(find_submission(name, submission_dir) / "config.yaml"))


def _read_mapping(file: Path) -> dict[str, Any]:
    """What a YAML file holds; nothing where it is not there."""
    import yaml

    try:
        found = (yaml.safe_load(file.read_text()) or {}) if file.exists() else {}
    except yaml.YAMLError as error:
        raise UsageError(f"{file} is not valid YAML: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{file} must hold `name: value` lines.")
    return {str(key): value for key, value in found.items()}


def _merged(what: str, defaults: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(defaults)
    for key, value in overrides.items():
        if key not in defaults:
            raise UnknownNameError(what, key, defaults)
        nested = isinstance(value, Mapping) and isinstance(defaults[key], Mapping) and bool(defaults[key])
        merged[key] = _merged(f"{what} under {key}", defaults[key], value) if nested else value
    return merged
