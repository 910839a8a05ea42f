"""Finding entries and their configuration."""

from __future__ import annotations

import pytest

from harness.entries.loading import find_submission, load_submission, submission_names
from harness.util.names import UnknownNameError, UsageError


@pytest.fixture
def folder(tmp_path):
    """A folder with one submission, `mine`."""
    entry = tmp_path / "mine"
    entry.mkdir()
    (entry / "submission.py").write_text("class Submission: ...\n")
    (entry / "config.yaml").write_text("sparsity: 0.5\nepochs: 2\n")
    return tmp_path


def test_shipped_entries_are_found_by_their_folder():
    assert {"channel_l1", "dense", "magnitude", "template"} <= set(submission_names())
    assert find_submission("dense").name == "dense"
    with pytest.raises(UnknownNameError, match="magnitude"):
        find_submission("magnitud")


def test_entries_from_elsewhere(folder):
    assert find_submission("mine", folder) == find_submission("mine", folder / "mine") == folder / "mine"
    with pytest.raises(UnknownNameError, match="mine"):
        find_submission("mime", folder)
    with pytest.raises(UsageError, match="not a folder"):
        find_submission("mine", folder / "nowhere")


def test_overrides_are_merged_and_checked(folder):
    assert load_submission("mine", {"epochs": 1}, folder).parameters == {"sparsity": 0.5, "epochs": 1}
    with pytest.raises(UnknownNameError, match="sparsity"):
        load_submission("mine", {"sparsty": 1}, folder)
    (folder / "mine" / "config.yaml").write_text("tune: {rate: 0.1, epochs: 3}\n")
    assert load_submission("mine", {"tune": {"rate": 0.2}}, folder).parameters == {"tune": {"rate": 0.2, "epochs": 3}}
    with pytest.raises(UnknownNameError, match=r"under tune named 'rat'\. Did you mean rate"):
        load_submission("mine", {"tune": {"rat": 0.2}}, folder)
    (folder / "mine" / "config.yaml").write_text("a: [1")
    with pytest.raises(UsageError, match="not valid YAML"):
        load_submission("mine", {}, folder)
    (folder / "mine" / "config.yaml").write_text("- a\n")
    with pytest.raises(UsageError, match="name: value"):
        load_submission("mine", {}, folder)
    (folder / "mine" / "config.yaml").unlink()
    assert load_submission("mine", None, folder).parameters == {}
