import pytest
import torch
import torch.nn.functional as F
from torch import nn


class ConvNet(nn.Module):
    """Two convolutions with batch norm and ReLU, one ReLU a function, one a module that works in place."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2, self.bn2, self.relu = nn.Conv2d(4, 6, 3, stride=2, bias=False), nn.BatchNorm2d(6), nn.ReLU(True)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.head(self.relu(self.bn2(self.conv2(x))).mean((2, 3)))


class TokenNet(nn.Module):
    """Token ids int64 `[n, length]` → logits `[n, 3]`; its linear layers see `[n, length, width]`."""

    def __init__(self):
        super().__init__()
        self.embed, self.up, self.down, self.head = (
            nn.Embedding(11, 6),
            nn.Linear(6, 8),
            nn.Linear(8, 6),
            nn.Linear(6, 3),
        )

    def forward(self, ids):
        x = self.embed(ids)
        x = x + F.scaled_dot_product_attention(x, x, x)
        return self.head(torch.relu(self.down(torch.relu(self.up(x)))).mean(1))


@pytest.fixture
def convnet():
    torch.manual_seed(0)
    model = ConvNet()
    with torch.no_grad():
        for norm in (model.bn1, model.bn2):
            norm.weight.uniform_(-1.5, 1.5)
            norm.bias.uniform_(-0.5, 0.5)
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 1.5)
    return model


@pytest.fixture
def tokennet():
    torch.manual_seed(0)
    return TokenNet()


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(8, 3, 7, 7, generator=generator)
    return [(inputs[:6], torch.tensor([0, 1, 2, 0, 1, 2])), (inputs[6:], torch.tensor([2, 1]))]


@pytest.fixture
def sentences():
    generator = torch.Generator().manual_seed(1)
    return [(torch.randint(0, 11, (6, 5), generator=generator), torch.tensor([0, 1, 2, 0, 1, 2]))]
