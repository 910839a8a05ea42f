"""BERT with token ids as its only input: the mask, the counts, the pretrained weights, the export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch.utils.flop_counter import FlopCounterMode

from harness.data import pretrained
from harness.entries.admit import admit
from harness.entries.export import export_onnx
from harness.models import bert, build_model, initial_model
from harness.run.evaluate import OrtSession, check_batch_independence
from harness.tasks.task import InputContract
from harness.util.names import UsageError
from harness.util.vision import import_torchvision
from hw_targets.graph.trace import trace

LENGTH = 16


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same networks with a vocabulary of 50 pieces and sentences of up to 20."""
    monkeypatch.setattr(bert, "VOCABULARY", 50)
    monkeypatch.setattr(bert, "POSITIONS", 20)


@pytest.fixture
def tiny(small: None) -> bert.BertClassifier:
    torch.manual_seed(0)
    return bert._build(hidden=24, layers=2).eval()


def sentences(count: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(1, 50, (count, LENGTH), generator=draw)
    lengths = torch.randint(2, LENGTH + 1, (count, 1), generator=draw)
    return torch.where(torch.arange(LENGTH) < lengths, ids, 0)


@torch.no_grad()
def test_padding_changes_nothing_and_tokens_do(tiny: bert.BertClassifier) -> None:
    ids = sentences(8)
    ids[:, 6:] = 0
    torch.testing.assert_close(tiny(ids), tiny(ids[:, :6]), atol=1e-6, rtol=0)
    changed = ids.clone()
    changed[:, 1] = changed[:, 1] % 49 + 1
    assert ((tiny(ids) - tiny(changed)).abs().sum(1) > 1e-6).all()


@torch.no_grad()
def test_the_mask_is_that_of_the_library(tiny: bert.BertClassifier) -> None:
    ids = sentences(8)
    expected = tiny.network(input_ids=ids, attention_mask=(ids != 0).long()).logits
    torch.testing.assert_close(tiny(ids), expected, atol=1e-6, rtol=0)


def test_exported_it_is_admitted_and_counts_what_torch_counts(tiny: bert.BertClassifier, tmp_path: Path) -> None:
    ids = sentences(100)
    model = export_onnx(tiny, torch.zeros(2, LENGTH, dtype=torch.int64))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    contract = InputContract(shape=(LENGTH,), classes=2, dtype="int64")
    admit(tmp_path / "model.onnx", contract, limit_bytes=1 << 20)
    session = OrtSession(model, threads=1)
    with torch.no_grad():
        expected = tiny(ids).numpy()
    assert np.abs(session.run(ids.numpy()) - expected).max() < 1e-4
    check_batch_independence(session, ids.numpy())
    layers = trace(model, ids[:3].numpy())
    assert [layer.kind for layer in layers].count("matmul") == 2 * 2  # scores and values, in each layer
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        tiny(ids[:1])
    assert sum(layer.macs_dense for layer in layers) == pytest.approx(counter.get_total_flops() / 2, rel=0.005)


@pytest.mark.parametrize(("name", "parameters"), [("minilm_l6", 22_713_986), ("bert_base", 109_483_778)])
def test_the_networks_have_the_size_that_their_tasks_say(name: str, parameters: int) -> None:
    with torch.device("meta"):
        model = build_model(name, seed=0)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_minilm_starts_from_its_weights_and_a_new_head(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENPRUNE_DATA", str(tmp_path))
    monkeypatch.setattr(pretrained, "MINILM", replace(pretrained.MINILM, verify=lambda tensors: None))
    source = {k: v.numpy() for k, v in build_model("minilm_l6", seed=7).network.bert.state_dict().items()}
    pretrained.MINILM.file.parent.mkdir(parents=True)
    positions = np.arange(20)[None]  # as old versions of the library stored it
    save_file({**source, "embeddings.position_ids": positions}, pretrained.MINILM.file)
    first, second = (initial_model("minilm_l6", seed=seed) for seed in (1, 2))
    for name, tensor in first.network.bert.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), source[name])
    assert not torch.equal(first.network.classifier.weight, second.network.classifier.weight)
    build_model("minilm_l6", seed=3).load_state_dict(first.state_dict())


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(ValueError, match="no safetensors file"):
        pretrained.read_tensors(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="expected SHA-256"):
        pretrained.MINILM.verify({"weight": np.zeros(3, np.float32)})


def test_bert_base_without_a_network_says_what_to_run(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import_torchvision()  # before transformers, which imports it too
    from transformers import BertModel

    def offline(*unused: object, local_files_only: bool, **options: object) -> None:
        raise OSError(f"not in the cache, and local_files_only is {local_files_only}")

    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(BertModel, "from_pretrained", offline)
    with pytest.raises(UsageError, match=f"hf download {bert.HUB_NAME} --revision {bert.HUB_REVISION}") as caught:
        initial_model("bert_base", seed=0)
    assert "local_files_only is True" in str(caught.value.__cause__)


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'openprune\[bert\]'"):
        bert.minilm_l6()
