"""Several processes train as one: the same steps, the same weights, and one of them that writes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from harness.training.processes import part_of_batch

REPOSITORY = Path(__file__).resolve().parents[3]


def in_processes(count: int, folder: Path, epochs: int) -> list[subprocess.CompletedProcess[str]]:
    """Run `tiny.py` in `count` processes that know of one another."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(Path(__file__).parents[1] / "tiny.py"), str(folder), str(epochs)]
    group = {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "1",
        "PYTHONPATH": str(REPOSITORY),
    }
    started = [
        subprocess.Popen(
            command,
            env={**os.environ, **group, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        ended = [(process, *process.communicate(timeout=120)) for process in started]
    finally:
        for process in started:
            process.kill()
    done = [subprocess.CompletedProcess(command, p.returncode, out, error) for p, out, error in ended]
    assert all(each.returncode == 0 for each in done), "\n".join(each.stderr for each in done)
    return done


def test_two_processes_end_where_one_does(tiny, tmp_path):
    """Batches of nine, so that the two hold five and four samples, and clipped gradients."""
    alone = tiny.train(tmp_path / "one", epochs=2)
    main, other = in_processes(2, tmp_path / "two", 2)
    expected, found = load_file(alone.weights), load_file(tmp_path / "two" / "tiny.safetensors")
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-6)
        assert not torch.equal(tensor, tiny.network("", seed=0).state_dict()[name])
    one, two = json.loads(alone.record.read_text()), json.loads((tmp_path / "two" / "tiny.json").read_text())
    assert [line["loss"] for line in two["curve"]] == pytest.approx([line["loss"] for line in one["curve"]], rel=1e-5)
    assert (one["processes"], two["processes"], two["device"]) == (1, 2, "cpu")
    assert main.stdout.count("epoch ") == 2 and not other.stdout
    assert "Training" in main.stderr and "Training" not in other.stderr


@given(processes=st.integers(1, 16), more=st.integers(0, 300))
def test_the_parts_make_up_the_batch(processes, more):
    size = processes + more
    parts = [range(size)[part_of_batch(size, index, processes)] for index in range(processes)]
    assert [sample for part in parts for sample in part] == list(range(size))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1 and min(map(len, parts)) >= 1


def test_a_batch_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match="batch of 3 cannot be shared by 4 processes"):
        part_of_batch(3, 0, 4)
