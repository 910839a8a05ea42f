import pytest
import torch
from torch import nn

from pruning.criteria import Random
from pruning.granularity import Filter
from pruning.masking import make_mask
from pruning.ratios import Global, Uniform


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.Flatten(), nn.Linear(4, 2)
    )


def mask_of(model, **choices):
    return make_mask(model, **{"criterion": "magnitude", "granularity": "element", "ratio": Uniform(0.5), **choices})


def test_default_layers_are_all_convolutions_and_linear_layers(model):
    assert list(mask_of(model)) == ["0.weight", "3.weight", "5.weight"]
    assert list(mask_of(model, skip_first_conv=True, skip_last_linear=True)) == ["3.weight"]
    assert list(mask_of(model, layers=["5", "0"])) == ["0.weight", "5.weight"]


def test_the_model_is_not_changed(model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    mask_of(model, criterion="random", granularity="filter")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("criterion", ["magnitude", "random"])
@pytest.mark.parametrize("granularity", ["element", "filter"])
@pytest.mark.parametrize("ratio", [Uniform, Global])
@pytest.mark.parametrize(("sparsity", "expected"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_every_choice_goes_with_every_other(model, criterion, granularity, ratio, sparsity, expected):
    mask = mask_of(model, criterion=criterion, granularity=granularity, ratio=ratio(sparsity))
    if granularity == "filter":
        rows = [keep.flatten(1) for keep in mask.values()]
        assert all(torch.equal(row.any(1), row.all(1)) for row in rows)
        assert 1 - sum(int(row.any(1).sum()) for row in rows) / 14 == expected
    else:
        assert mask.sparsity == expected


@pytest.mark.parametrize("granularity", ["element", "filter"])
def test_within_an_earlier_mask_masks_nest_and_counts_stay_exact(model, granularity):
    first = mask_of(model, criterion=Random(seed=1), granularity=granularity, ratio=Uniform(0.25))
    second = mask_of(model, criterion=Random(seed=2), granularity=granularity, ratio=Uniform(0.5), within=first)
    assert second & first == second
    assert second.sparsity == 0.5


def test_normalised_filters_compare_across_layers(model):
    with torch.no_grad():
        model[0].weight.fill_(0.1)  # 27 weights a filter: norm 2.7
        model[3].weight.fill_(0.2)  # 8 weights a filter: norm 1.6
    plain = mask_of(model, granularity=Filter(), ratio=Global(4 / 12), layers=["0", "3"])
    fair = mask_of(model, granularity=Filter(normalise=True), ratio=Global(4 / 12), layers=["0", "3"])
    assert not plain["3.weight"].any()
    assert fair["3.weight"].all()


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"criterion": "magnitud"}, r"no criterion named 'magnitud'\. Did you mean magnitude\?"),
        ({"granularity": "filters"}, r"no granularity named 'filters'\. Did you mean filter\?"),
        ({"layers": ["1"]}, r"no convolution or linear layer named '1'"),
        ({"layers": []}, "left to prune"),
    ],
)
def test_unknown_names_are_refused(model, choices, message):
    with pytest.raises(ValueError, match=message):
        mask_of(model, **choices)


def test_scores_that_are_not_numbers_are_refused(model):
    with torch.no_grad():
        model[3].weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"score to 3\.weight that is not a number"):
        mask_of(model)


def test_a_shared_weight_is_pruned_once():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    assert list(mask_of(model)) == ["0.weight"]


class OddOut:
    """A pattern for a test: in each row of an even length, all but the lowest score stay."""

    def best(self, scores: torch.Tensor, p: float) -> torch.Tensor:
        if scores.shape[1] % 2:
            raise ValueError("rows of odd length.")
        return torch.ones(scores.shape, dtype=torch.bool).scatter(1, scores.argmin(1, keepdim=True), False)


def test_a_pattern_chooses_by_itself_and_stays_within_an_earlier_mask(model):
    first = mask_of(model, granularity=OddOut(), ratio=None, layers=["5"])
    assert first.counts() == {"5.weight": (6, 8)}
    second = mask_of(model, granularity=OddOut(), ratio=None, layers=["5"], within=first)
    assert second == first


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"granularity": OddOut()}, r"leave out the ratio Uniform\(sparsity=0\.5"),
        ({"ratio": None}, "Element.* needs a ratio"),
        ({"granularity": OddOut(), "ratio": None, "layers": ["0"]}, r"0\.weight of shape \[8, 3, 3, 3\]: rows of odd"),
    ],
)
def test_patterns_take_no_ratio_and_groups_need_one(model, choices, message):
    with pytest.raises(ValueError, match=message):
        mask_of(model, **choices)
