"""Pruning without the benchmark: a network of your own, in your own training loop."""

import torch
from torch import nn

from pruning import prune_filters, prune_n_m

torch.manual_seed(0)
inputs = torch.randn(64, 3, 12, 12)
labels = inputs.mean((1, 2, 3)).gt(0).long()


def train(model: nn.Module, steps: int = 20, after_step=lambda model: None) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
        after_step(model)


model = nn.Sequential(
    nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
    nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 2),
)  # fmt: skip
train(model)

# Half of the filters, taken out for good: a smaller network.
pruned = prune_filters(model.eval(), inputs[:2], sparsity=0.5, multiple_of=8)
print([type(m).__name__ + str(tuple(m.weight.shape)) for m in pruned.model if hasattr(m, "weight")])
print(pruned.left_out)  # layer → why it was left as it is
train(pruned.model.train())

# Or two of every four weights, the shape that sparse tensor cores take: held at zero after each step.
sparse = prune_n_m(model.eval(), 2, 4)
train(sparse.model.train(), after_step=sparse.mask.apply_)
print(sparse.mask.sparsity, sparse.left_out)
