"""Lottery tickets: train, prune, go back to the beginning, and train what is left from there.

The hypothesis (Frankle & Carbin 2019, arXiv 1803.03635): a dense network holds a subnetwork that,
trained alone from the same initial weights, comes as far in as many steps. Iterative magnitude
pruning finds it. Larger networks need to go back not to step 0 but to an early step k (Frankle et
al. 2020, arXiv 1912.05671): W_k is taken on the way of the first, dense training.

Two controls tell whether it is a ticket: the same mask with other initial weights, and a mask drawn
at random with the same count in each layer. Both should do worse.

Each training here runs the training loop's whole schedule. After rewinding to step k the paper goes
on with the learning rate of step k; here it starts anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from pruning.mask import Mask
from pruning.masking import MaskAt
from pruning.recovery.fine_tuning import Train
from pruning.schedules.iterative_pruning import sparsities
from pruning.schedules.schedule import Schedule

Initial = Callable[[], nn.Module] | Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Ticket:
    """A sparse network before its training.

    Attributes:
        state: the state dict from which the training starts, dense.
        mask: which weights take part.
    """

    state: Mapping[str, torch.Tensor]
    mask: Mask

    def load_(self, model: nn.Module) -> nn.Module:
        """Set `model` to this ticket, in place, and return it."""
        _load(model, self.state)
        return self.mask.apply_(model)

    def reinitialised(self, fresh: Initial) -> Ticket:
        """The first control: this mask with the weights of `fresh`, drawn anew."""
        return replace(self, state=_state_of(fresh))

    def shuffled(self, seed: int) -> Ticket:
        """The second control: these weights, and each tensor's mask with its places drawn at random."""
        return replace(self, mask=shuffled(self.mask, seed))


def lottery(
    model: nn.Module,
    mask_at: MaskAt,
    *,
    sparsity: float,
    train: Train,
    epochs: int,
    learning_rate: float | None = None,
    initial: Initial,
    rounds: int = 1,
    rewind_steps: int = 0,
) -> tuple[nn.Module, Mask]:
    """Find a ticket (see `find_ticket`) and train it: `rounds` + 1 trainings in all.

    Returns:
        The model, changed in place, and its mask.

    Raises:
        ValueError: see `find_ticket`.
    """
    ticket = find_ticket(
        model,
        mask_at,
        sparsity=sparsity,
        train=train,
        epochs=epochs,
        learning_rate=learning_rate,
        initial=initial,
        rounds=rounds,
        rewind_steps=rewind_steps,
    )
    model = train(ticket.load_(model), epochs=epochs, learning_rate=learning_rate, mask=ticket.mask)
    return model, ticket.mask


LOTTERY = Schedule(lottery, several=True, trains=True, takes_fresh=True)


def find_ticket(
    model: nn.Module,
    mask_at: MaskAt,
    *,
    sparsity: float,
    train: Train,
    epochs: int,
    learning_rate: float | None = None,
    initial: Initial,
    rounds: int = 1,
    rewind_steps: int = 0,
) -> Ticket:
    """Iterative magnitude pruning: in each round train from the beginning, prune, and go back.

    Each round removes the same share of what is left (`iterative.sparsities`, geometric).

    Args:
        model: the network to train; its weights are replaced by the initial ones.
        mask_at: `(model, sparsity, previous mask) → mask`, of the trained model; magnitude in the papers.
        initial: a newly initialised model (called once), or a state dict: where training begins.
        rounds: how often to prune; 1 is the papers' one-shot pruning.
        rewind_steps: go back to the weights after this many optimizer steps of the dense training
            (k); 0 for the initial ones.

    Raises:
        ValueError: fewer than one epoch, a number out of its range, `initial` of another
            architecture, or a training of fewer steps than `rewind_steps`.
    """
    if epochs < 1:
        raise ValueError(f"A ticket is found by training, so it takes 1 epoch or more, not {epochs}.")
    if rewind_steps < 0:
        raise ValueError(f"rewind_steps= must be 0 or more, not {rewind_steps}.")
    shares = sparsities(sparsity, rounds, "geometric")
    state = _state_of(initial)
    _load(model, state)
    copied = _CopyAt(rewind_steps)
    model = train(model, epochs=epochs, learning_rate=learning_rate, mask=copied if rewind_steps else None)
    if rewind_steps:
        if not copied.complete:
            raise ValueError(f"The training never came to step {rewind_steps}: train= must ask a moving mask.")
        state = copied.state
    mask = mask_at(model, shares[0], None)
    for share in shares[1:]:
        model = train(Ticket(state, mask).load_(model), epochs=epochs, learning_rate=learning_rate, mask=mask)
        mask = mask_at(model, share, mask) & mask
    return Ticket(state, mask)


def shuffled(mask: Mask, seed: int) -> Mask:
    """A mask that keeps as many weights of each tensor, at places drawn at random from `seed` alone."""
    generator = torch.Generator().manual_seed(seed)
    return Mask(
        {
            name: keep.flatten()[torch.randperm(keep.numel(), generator=generator)].reshape(keep.shape)
            for name, keep in mask.items()
        }
    )


@dataclass
class _CopyAt:
    """A moving mask that never masks: it copies the state of the model after `step` optimizer steps."""

    step: int
    state: dict[str, torch.Tensor] = field(default_factory=dict, init=False)
    complete: bool = field(default=False, init=False)

    def __call__(self, model: nn.Module, step: int, steps: int, /) -> None:
        if self.step >= steps:
            raise ValueError(f"rewind_steps={self.step} is not before the end of a training of {steps} steps.")
        if step == self.step - 1:  # one step early: by the next call the buffers have seen one batch more
            self.state = _copied(model.state_dict())
        if step == self.step:
            self.state.update(_copied(dict(model.named_parameters(remove_duplicate=False))))
            self.complete = True


def _state_of(initial: Initial) -> dict[str, torch.Tensor]:
    return _copied(initial if isinstance(initial, Mapping) else initial().state_dict())


def _copied(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def _load(model: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"The initial weights are not those of this architecture: {error}") from error
