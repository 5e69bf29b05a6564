from itertools import islice

import numpy as np
import pytest
import torch

from fetalseg.data.augment import AugmentOptions, plain
from fetalseg.data.frames import AnnotatedFrame
from fetalseg.training.batches import BatchMaker, FrameSet, collate, prefetch

STILL = AugmentOptions().only()


def _flat(levels):
    """Frames without structures, told apart by their gray level."""
    return [AnnotatedFrame(np.full((64, 96), v, np.uint8), (), np.ones(17, bool), v, (64, 96)) for v in levels]


def _levels(maker, steps):
    return [[int(v) for v in maker.batch(step).images[:, 0, 32, 48]] for step in range(steps)]


def test_every_set_gives_its_share_of_the_frames(tiny):
    sets = [FrameSet("a", _flat([10]), 0.25), FrameSet("b", _flat([100]), 0.75)]

    seen = _levels(BatchMaker(sets, tiny, size=6, options=STILL, seed=0), 10)

    assert sum(batch.count(10) for batch in seen) == 15
    # 6 x 0.25 is one and a half: one frame or two in every batch.
    assert {batch.count(10) for batch in seen} == {1, 2}


def test_shares_that_were_rounded_lose_no_frame(tiny):
    sets = [FrameSet(name, _flat([level]), 0.3333332) for name, level in (("a", 10), ("b", 60), ("c", 120))]

    seen = _levels(BatchMaker(sets, tiny, size=6, options=STILL, seed=0), 3)

    assert [sorted(batch) for batch in seen] == [[10, 10, 60, 60, 120, 120]] * 3


def test_within_a_set_every_frame_comes_once_before_any_comes_again(tiny):
    maker = BatchMaker([FrameSet("a", _flat(range(0, 200, 20)), 1.0)], tiny, size=5, options=STILL, seed=0)

    seen = [level for batch in _levels(maker, 6) for level in batch]

    passes = [seen[0:10], seen[10:20], seen[20:30]]
    assert all(sorted(part) == list(range(0, 200, 20)) for part in passes)
    assert passes[0] != passes[1]


def test_a_batch_depends_on_seed_and_step_alone(tiny, frames):
    def maker(seed):
        return BatchMaker([FrameSet("a", frames, 1.0)], tiny, size=4, options=AugmentOptions(), seed=seed)

    assert torch.equal(maker(1).batch(5).images, maker(1).batch(5).images)
    assert not torch.equal(maker(1).batch(5).images, maker(2).batch(5).images)


def test_mosaics_join_frames_of_one_set_only(tiny):
    sets = [FrameSet("a", _flat([10, 20]), 0.5), FrameSet("b", _flat([100, 120]), 0.5)]
    options = AugmentOptions(mosaic_share=1).only("mosaic")

    images = BatchMaker(sets, tiny, size=16, options=options, seed=0).batch(0).images[:, 0].numpy()

    # One level in the upper left corner, others beside and below; black where a frame doesn't fill its part.
    levels = [set(np.unique(image)) - {0} for image in images]
    assert all(found <= {10, 20} or found <= {100, 120} for found in levels)
    assert any(len(found) == 2 for found in levels)


def test_prefetched_batches_come_in_order_from_any_step(tiny, frames):
    maker = BatchMaker([FrameSet("a", frames, 1.0)], tiny, size=2, options=AugmentOptions(), seed=0)

    stream = prefetch(maker, 3, threads=2)
    for step, batch in zip((3, 4, 5), islice(stream, 3), strict=True):
        assert torch.equal(batch.images, maker.batch(step).images)
    stream.close()


def test_gray_is_repeated_for_a_network_of_three_channels(tiny, frames):
    sample = plain(frames[0], tiny.input, tiny.prototype_shape)

    batch = collate([sample, sample], 3)

    assert batch.images.shape == (2, 3, 64, 96)
    assert torch.equal(batch.images[0, 0], batch.images[0, 2])
    assert batch.masks[0].shape == (2, *tiny.prototype_shape)
    assert batch.known.shape == (2, 17)


def test_an_empty_set_or_shares_that_miss_one_are_refused(tiny, frames):
    with pytest.raises(ValueError, match="no training frames in empty"):
        BatchMaker([FrameSet("empty", [], 1.0)], tiny, size=2, options=STILL, seed=0)
    with pytest.raises(ValueError, match=r"must add up to 1, got 0\.5"):
        BatchMaker([FrameSet("a", frames, 0.5)], tiny, size=2, options=STILL, seed=0)
