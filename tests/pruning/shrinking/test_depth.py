import pytest
import torch
from torch import nn

from pruning.shrinking.depth import block_importance, removable_blocks, remove_blocks


class Times(nn.Module):
    """A residual block that multiplies its input; called with a further argument, as transformers do."""

    def __init__(self, factor, turn=False):
        super().__init__()
        self.inner = nn.Linear(2, 2, bias=False)
        nn.init.eye_(self.inner.weight)
        with torch.no_grad():
            self.inner.weight.mul_(factor - 1)
            if turn:
                self.inner.weight.copy_(torch.tensor([[-1.0, -1.0], [1.0, -1.0]]))  # x + Wx is x turned by 90°

    def forward(self, x, unused=None):
        return x + self.inner(x)


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([Times(2), Times(-1), Times(0, turn=True), Times(1)])
        self.wider = nn.Sequential(nn.Sequential(nn.Linear(2, 4), nn.ReLU()), nn.Sequential(nn.Linear(4, 4)))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x, unused=x[..., :1])
        return self.wider(x)


DATA = [(torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.zeros(2)), (torch.tensor([[0.0, 0.0]]), torch.zeros(1))]


def test_influence_worked_by_hand():
    """Twice the input: no turn, 0. Its opposite: 2. At right angles: 1. The same: 0. Zero stays zero: equal."""
    names = [f"layers.{i}" for i in range(4)]
    scores = block_importance(Stack(), names, DATA)
    assert list(scores.values()) == pytest.approx([0, 2 * 2 / 3, 2 / 3, 0])


def test_blocks_of_equal_shape_are_removable():
    assert removable_blocks(Stack(), DATA[0][0]) == [*(f"layers.{i}" for i in range(4)), "wider.1"]


def test_a_block_that_changes_nothing_can_go_exactly():
    model = Stack().train()
    x = torch.randn(5, 2)
    small = remove_blocks(model, ["layers.3"], x)
    assert torch.equal(small(x), model(x))
    assert len(list(small.parameters())) == len(list(model.parameters())) - 1
    assert small.training and small.layers[3].training
    shallow = remove_blocks(model, ["layers.0", "layers.1"])
    assert torch.allclose(shallow(x), model.wider(model.layers[3](model.layers[2](x))))
    assert "layers.2.inner.weight" in shallow.state_dict() and len(model.layers[0].state_dict()) == 1


def test_features_of_images_are_compared_by_pixel():
    class Swap(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Conv2d(2, 2, 1, bias=False)
            self.inner.weight.data = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).view(2, 2, 1, 1)

        def forward(self, x):
            return self.inner(x)

    image = torch.tensor([[1.0, 1.0], [0.0, 1.0]]).view(1, 2, 1, 2)  # pixels (1, 0) → (0, 1) and (1, 1) → (1, 1)
    scores = block_importance(nn.Sequential(Swap()), ["0"], [(image, torch.zeros(1))])
    assert scores["0"] == pytest.approx(0.5)


def test_bad_names_and_data_are_refused():
    model = Stack()
    with pytest.raises(ValueError, match=r"no block named 'layers\.9'"):
        remove_blocks(model, ["layers.9"])
    with pytest.raises(ValueError, match=r"wider\.0 cannot be skipped"):
        remove_blocks(model, ["wider.0"], DATA[0][0])
    with pytest.raises(ValueError, match="part of wider"):
        remove_blocks(model, ["wider.1", "wider"])
    with pytest.raises(ValueError, match="there is none"):
        block_importance(model, ["layers.0"], [])
    with pytest.raises(ValueError, match=r"output of wider\.0 has not the shape"):
        block_importance(model, ["wider.0"], DATA)
    unused = Stack()
    unused.spare = nn.ModuleList([Times(2)])
    with pytest.raises(ValueError, match=r"do not pass through spare\.0"):
        block_importance(unused, ["spare.0"], DATA)
    assert not any(module._forward_hooks for module in unused.modules())
