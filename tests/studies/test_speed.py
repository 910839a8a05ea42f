"""What is removed is counted, heads and layers too, and what was measured is told as it was."""

import copy
from types import SimpleNamespace

import pytest
import torch
from rows import result_of

from hw_targets.target import Measurement, Quantity, TargetError
from pruning.ratios.cost import layer_costs, masked_macs
from studies import speed, speed_ways


def test_speed_counts_what_each_way_removes(lab):
    def macs(model):
        sample = lab.context(0).data.sample[:2]
        return masked_macs(layer_costs(model, sample[:1]), {})

    left_out = {}
    for way, make in speed_ways.WAYS.items():
        try:
            model = make(lab, 0.5)
        except ValueError as error:
            left_out[way] = str(error)
            continue
        zeros = sum(int((p == 0).sum()) for p in model.parameters() if p.ndim > 1)
        if way in speed_ways.ZEROED:
            assert zeros > 0.3 * sum(p.numel() for p in lab.dense.parameters() if p.ndim > 1)
        elif way not in speed_ways.WITHOUT_RATIO:
            assert macs(model) < 0.8 * lab.task.macs
    assert set(left_out) == {
        "residual streams too, multiples of 8",
        "attention heads",
        "whole blocks",
        "2:4, zeroed",
    }
    assert "no attention heads" in left_out["attention heads"]
    assert "no residual stream" in left_out["residual streams too, multiples of 8"]  # a perceptron
    assert "runs of 4" in left_out["2:4, zeroed"]  # one with 30 hidden units


def test_speed_takes_heads_out_of_a_transformer():
    from harness.models.bert import BertClassifier, _prepare

    _prepare()
    from transformers import BertConfig

    config = BertConfig(vocab_size=20, hidden_size=12, num_hidden_layers=2, num_attention_heads=4, intermediate_size=16)
    dense = BertClassifier(config).eval()
    data = SimpleNamespace(sample=torch.arange(14).view(2, 7))
    lab = SimpleNamespace(dense=dense, model=lambda: copy.deepcopy(dense), context=lambda _: SimpleNamespace(data=data))
    small = speed_ways.heads(lab, 0.5)
    assert [module.query.out_features for module in small.modules() if hasattr(module, "query")] == [6, 6]


def test_speed_tells_the_best_of_each_way_and_what_was_noisy():
    def numbers(speedup, noisy):
        return {"macs removed": 0.5, "speedup": speedup, "speedup low": 1.4, "speedup high": 1.6, "noisy": noisy}

    rows = [
        ({"way": "filters, taken out", "ratio": r}, numbers(s, n)) for r, s, n in ((0.5, 1.5, 0.0), (0.3, 1.2, 1.0))
    ]
    assert speed.findings(result_of(rows)) == [
        "filters, taken out: at most 1.50× (1.40 to 1.60), with 50.0% of the multiply-accumulates gone.",
        "1 of 2 measurements are noisy: the machine was busy.",
    ]


def test_speed_measures_again_until_it_is_quiet(monkeypatch):
    def measurement(low, high, noisy):
        return Measurement({"speedup_vs_dense": Quantity(1.5, "×", "measured", "test", low, high)}, noisy=noisy)

    wide, narrow, quiet = (
        measurement(1.0, 2.0, "busy"),
        measurement(1.4, 1.6, "busy"),
        measurement(1.0, 1.9, None),
    )
    for script, tries, expected in (
        ([wide, narrow, wide], 3, narrow),
        ([wide, quiet, narrow], 3, quiet),
        ([wide, narrow], 1, wide),
    ):
        answers = iter(script)
        monkeypatch.setattr(speed.CpuTarget, "measure", lambda *_, answers=answers: next(answers))
        assert speed._quietest(None, None, None, "quick", tries) is expected
    absent = Measurement({}, absent={"speedup_vs_dense": "the machine was busy for 60 s"}, noisy="busy")
    answers = iter([absent, wide])
    monkeypatch.setattr(speed.CpuTarget, "measure", lambda *_: next(answers))
    assert speed._quietest(None, None, None, "quick", 2) is wide
    monkeypatch.setattr(speed.CpuTarget, "measure", lambda *_: absent)
    with pytest.raises(TargetError, match="busy for 60 s"):
        speed._quietest(None, None, None, "quick", 2)
