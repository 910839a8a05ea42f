from __future__ import annotations

import numpy as np
import pytest
import torch

from harness.data.dataset import Samples
from harness.data.images import Augmentation, ImageLoader, augmented, to_input

MEAN, STD = (0.5, 0.25, 0.75), (0.2, 0.3, 0.4)


def images(n: int, side: int = 8) -> Samples:
    """Random pixels; the label says which image it is."""
    pixels = np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    return Samples(pixels, np.arange(n, dtype=np.uint8))


def loader(n: int = 40, batch_size: int = 8, seed: int = 5, augment: Augmentation | None = None) -> ImageLoader:
    return ImageLoader(images(n), MEAN, STD, batch_size=batch_size, augment=augment, seed=seed)


def views(image: np.ndarray, padding: int) -> list[bytes]:
    """Every crop of the reflected image, then the mirror image of each."""
    side = image.shape[0]
    wide = np.pad(image, ((padding, padding), (padding, padding), (0, 0)), mode="reflect")
    places = range(2 * padding + 1)
    crops = [wide[y : y + side, x : x + side] for y in places for x in places]
    return [view.tobytes() for view in crops] + [view[:, ::-1].tobytes() for view in crops]


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("padding", [0, 2])
def test_augmented_images_are_crops_and_mirror_images_of_their_originals(padding: int, flip: bool) -> None:
    data = images(60)
    how = Augmentation(padding, flip)
    out = augmented(torch.from_numpy(data.inputs), how, np.random.default_rng(1), seed=3, epoch=0).numpy()
    found = [views(data.inputs[i], padding).index(out[i].tobytes()) for i in range(60)]
    crops = (2 * padding + 1) ** 2
    assert any(place >= crops for place in found) == flip
    assert len(set(found)) > (10 if padding else 1 if flip else 0)


def test_every_image_shows_both_sides_in_two_epochs_in_a_row() -> None:
    data, how = torch.from_numpy(images(30).inputs), Augmentation(crop_padding=0, flip=True)
    first, second, third = (augmented(data, how, np.random.default_rng(e), seed=9, epoch=e) for e in (0, 1, 2))
    assert torch.equal(first.flip(2), second)
    assert torch.equal(first, third)


def test_an_epoch_depends_on_seed_and_number_alone() -> None:
    unbroken, resumed = loader(augment=Augmentation()), loader(augment=Augmentation())
    epochs = [torch.cat([inputs for inputs, _ in unbroken]) for _ in range(3)]
    resumed.epoch = 2
    assert torch.equal(torch.cat([inputs for inputs, _ in resumed]), epochs[2])
    assert not torch.equal(epochs[0], epochs[1])
    other = torch.cat([inputs for inputs, _ in loader(seed=6, augment=Augmentation())])
    assert not torch.equal(epochs[0], other)


def test_training_takes_each_sample_once_and_leaves_the_incomplete_batch_out() -> None:
    training = loader(n=43, batch_size=8, augment=Augmentation())
    batches = [labels for _, labels in training]
    assert [len(b) for b in batches] == [8] * 5
    assert len(training) == 5
    assert training.sample_count == 40
    seen = torch.cat(batches).tolist()
    assert len(set(seen)) == 40
    assert seen != sorted(seen)


def test_without_augmentation_all_samples_come_in_their_order() -> None:
    plain = loader(n=43, batch_size=8)
    for _ in range(2):
        inputs, labels = (torch.cat(part) for part in zip(*plain, strict=True))
        assert labels.tolist() == list(range(43))
        assert torch.equal(inputs, to_input(plain.images, MEAN, STD))
    assert (len(plain), plain.sample_count) == (6, 43)


def test_inputs_are_normalised_per_channel_and_stay_channels_last() -> None:
    pixels = torch.tensor([[[[255, 0, 51]]]], dtype=torch.uint8)
    assert torch.allclose(to_input(pixels, MEAN, STD).flatten(), torch.tensor([2.5, -0.25 / 0.3, -0.55 / 0.4]))
    inputs = to_input(loader().images, MEAN, STD)
    assert inputs.shape == (40, 3, 8, 8)
    assert inputs.dtype == torch.float32
    assert inputs.is_contiguous(memory_format=torch.channels_last)
