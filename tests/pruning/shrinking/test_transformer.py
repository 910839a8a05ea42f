import copy

import pytest
import torch
from torch import nn

from pruning.criteria import Magnitude
from pruning.granularity import Heads
from pruning.mask import Mask
from pruning.masking import make_mask
from pruning.ratios import Global, Uniform
from pruning.shrinking import (
    attention_blocks,
    coupled,
    head_mask,
    hidden_layers,
    prunable_filters,
    remove_blocks,
    shrink_heads,
    shrink_hidden,
)

HEADS, SIZE, WIDTH = 4, 3, 12


@pytest.fixture(scope="module")
def bert():
    from harness.models.bert import BertClassifier, _prepare

    _prepare()
    from transformers import BertConfig

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=20,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    model = BertClassifier(config)
    for parameter in model.parameters():  # biases and layer norms as after a training
        nn.init.normal_(parameter, std=0.4)
    return model


@pytest.fixture
def ids():
    ids = torch.randint(1, 20, (3, 7), generator=torch.Generator().manual_seed(1))
    ids[1, 4:] = 0  # padding
    return ids


def outputs(model, inputs):
    with torch.no_grad():
        return copy.deepcopy(model).eval()(inputs)


def same_as_masked(model, small, mask, inputs):
    return torch.allclose(outputs(small, inputs), outputs(mask.apply_(copy.deepcopy(model)), inputs), atol=1e-5)


def test_blocks_are_found_by_structure(bert, ids):
    blocks = attention_blocks(bert)
    layers = [f"network.bert.encoder.layer.{i}" for i in range(2)]
    assert [block.name for block in blocks] == [f"{layer}.attention.self" for layer in layers]
    assert {(block.heads, block.head_size) for block in blocks} == {(HEADS, SIZE)}
    assert hidden_layers(bert) == [f"{layer}.intermediate.dense" for layer in layers]
    assert prunable_filters(bert, ids) == [*hidden_layers(bert), "network.bert.pooler.dense"]


def test_a_shrunk_transformer_computes_what_the_masked_one_does_and_exports(bert, ids):
    heads = head_mask(bert, criterion=Magnitude(), ratio=Global(0.5, keep_at_least=1))
    few = shrink_heads(bert, heads, ids)
    assert same_as_masked(bert, few, heads, ids)
    assert sum(block.heads for block in attention_blocks(few)) == HEADS  # half of 2 · 4
    hidden = make_mask(few, criterion="magnitude", granularity="filter", ratio=Uniform(0.25), layers=hidden_layers(few))
    hidden = coupled(few, hidden, ids)
    small = shrink_hidden(few, hidden, ids)
    assert same_as_masked(few, small, hidden, ids)
    assert [small.get_submodule(name).out_features for name in hidden_layers(small)] == [12, 12]
    assert outputs(small, ids[:, :5]).shape == (3, 2)  # other lengths, other batches

    import onnxruntime

    from harness.entries.export import export_onnx

    session = onnxruntime.InferenceSession(export_onnx(small, ids).SerializeToString())
    (got,) = session.run(None, {"input": ids[:1].numpy()})
    assert torch.allclose(torch.from_numpy(got), outputs(small, ids[:1]), atol=1e-5)


def test_heads_are_silent_by_their_output_columns_alone(bert, ids):
    layers = [block.output for block in attention_blocks(bert)]
    mask = make_mask(bert, criterion="magnitude", granularity=Heads(SIZE, dim=1), ratio=Uniform(0.5), layers=layers)
    small = shrink_heads(bert, mask, ids)
    assert {block.heads for block in attention_blocks(small)} == {2}
    assert same_as_masked(bert, small, mask, ids)


def test_value_rows_silence_a_head_only_with_their_biases(bert, ids):
    block = attention_blocks(bert)[0]
    rows = Heads(SIZE).expand(torch.tensor([True, False, True, True]), torch.Size([WIDTH, WIDTH]))
    weight = Mask({f"{block.value}.weight": rows})
    assert attention_blocks(shrink_heads(bert, weight, ids))[0].heads == HEADS
    both = weight & Mask({f"{block.value}.bias": rows[:, 0]})
    small = shrink_heads(bert, both, ids)
    assert attention_blocks(small)[0].heads == HEADS - 1 and same_as_masked(bert, small, both, ids)


def test_the_score_of_a_head_is_the_sum_over_its_four_blocks(bert):
    model = copy.deepcopy(bert)
    block = attention_blocks(model)[0]
    for layer in (*block.inner, block.output):
        nn.init.zeros_(model.get_submodule(layer).weight)
    model.get_submodule(block.query).weight.data[0, 0] = 4.0  # head 0: 4
    model.get_submodule(block.output).weight.data[0, [3, 4]] = 1.5  # head 1: 3
    model.get_submodule(block.value).weight.data[8, 0] = 5.0  # head 2: 5
    mask = head_mask(model, criterion=Magnitude(), ratio=Uniform(0.5))
    kept = [True] * 3 + [False] * 3 + [True] * 3 + [False] * 3
    assert mask[f"{block.key}.bias"].tolist() == mask[f"{block.output}.weight"][0].tolist() == kept
    more = head_mask(model, criterion=Magnitude(), ratio=Uniform(0.75), within=mask)
    assert not bool((more[f"{block.value}.weight"] & ~mask[f"{block.value}.weight"]).any())


def test_a_layer_cannot_lose_all_its_heads(bert, ids):
    mask = head_mask(bert, criterion=Magnitude(), ratio=Uniform(1.0))
    with pytest.raises(ValueError, match=r"all 4 heads of .*layer\.0\.attention\.self.*remove_blocks"):
        shrink_heads(bert, mask, ids)
    assert outputs(remove_blocks(bert, ["network.bert.encoder.layer.0"], ids), ids).shape == (3, 2)


def test_models_without_attention_are_refused():
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="no attention of a known structure"):
        head_mask(model, criterion=Magnitude(), ratio=Uniform(0.5))
    with pytest.raises(ValueError, match="no feed-forward pair"):
        shrink_hidden(model, Mask({}), torch.ones(1, 2))


def test_hidden_width_of_a_plain_transformer_layer_falls():
    torch.manual_seed(0)
    model = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Linear(8, 2))
    x = torch.randn(2, 5, 8)
    mask = make_mask(
        model, criterion="magnitude", granularity="filter", ratio=Uniform(0.5), layers=hidden_layers(model)
    )
    mask = coupled(model, mask, x)
    small = shrink_hidden(model, mask, x)
    assert small[0].linear1.out_features == small[0].linear2.in_features == 8
    assert same_as_masked(model, small, mask, x)
