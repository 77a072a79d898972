"""Which images make a batch: orders, epochs, endless pieces, and the shares of several workers."""

import numpy as np
import pytest

from fullconv.lib.core.sampler import (
    SEED_RANGE,
    EndlessSampler,
    EpochSampler,
    Share,
    aspect_grouped_order,
    sample_seed,
    shuffled_order,
)


@pytest.mark.parametrize("count, batch", [(22, 4), (20, 4), (9, 1), (3, 4)])
def test_grouped_order_is_a_permutation_of_uniform_batches(count, batch):
    rng = np.random.RandomState(count)
    widths, heights = rng.randint(1, 9, count), rng.randint(1, 9, count)
    order = aspect_grouped_order(widths, heights, batch, rng)
    assert sorted(order) == list(range(count))
    wide = (widths >= heights)[order]
    mixed = [len(set(wide[list(b)])) == 2 for b in np.arange(count // batch * batch).reshape(-1, batch)]
    assert sum(mixed) <= 1, "only the batch at the boundary of wide and tall may mix them"


def test_grouped_order_mixes_whole_batches_where_the_original_did_not():
    widths, heights = np.r_[np.full(40, 2), np.full(40, 1)], np.r_[np.full(40, 1), np.full(40, 2)]
    fixed = aspect_grouped_order(widths, heights, 4, np.random.RandomState(0))
    quirk = aspect_grouped_order(widths, heights, 4, np.random.RandomState(0), original_quirk=True)
    assert set(quirk[:40]) == set(range(40)), "the original trains all wide images first"
    assert set(fixed[:40]) != set(range(40))


def epoch(count, **options):
    return EpochSampler(count, order=lambda rng: shuffled_order(count, rng), **options)


def indices(plans):
    return [index for plan in plans for index in plan.indices]


def test_an_epoch_uses_every_image_at_most_once_and_whole_updates_only():
    sampler = epoch(23, batch=2, share=Share(3))
    plans = sampler.plan(4)
    assert len(sampler) == len(plans) == 9  # 18 of 23 images: three updates of three batches of two
    assert len(set(indices(plans))) == 18 and {plan.epoch for plan in plans} == {4}
    assert [place for plan in plans for place in plan.places] == list(range(18))


def test_epochs_and_seeds_differ_and_repeat():
    orders = [indices(epoch(50, seed=seed).plan(number)) for seed in (1, 2) for number in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    assert indices(epoch(50, seed=2).plan(1)) == orders[3]


def test_seeds_of_samples_rarely_meet_and_fit_a_float():
    assert len({sample_seed(3, e, p) for e in range(20) for p in range(50)}) > 990
    assert all(0 <= sample_seed(s, 1, 1) < SEED_RANGE for s in range(100))


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("make", ["epoch", "endless"])
def test_workers_together_do_what_one_does(workers, make):
    """Update by update, the batches of all workers are those of one that takes as many."""

    def plans(share):
        if make == "epoch":
            return epoch(40, batch=2, share=share).plan(1)
        whole = lambda start, number: [(7 * i) % 40 for i in range(start, start + number)]  # noqa: E731
        return EndlessSampler(whole, 6 * share.batches // 2, 2, share).plan(1)

    alone = plans(Share(2 * workers))
    shared = [plans(Share(2, rank, workers)) for rank in range(workers)]
    merged = []
    for update in range(len(shared[0]) // 2):
        for part in shared:
            merged += part[2 * update : 2 * update + 2]
    assert merged == alone and len({len(part) for part in shared}) == 1


def test_too_few_images_for_an_update_are_refused():
    with pytest.raises(ValueError, match="5 training images are fewer than the 6 one update takes.*accumulate fewer"):
        EpochSampler(5, batch=2, share=Share(3))


def test_an_endless_order_goes_on_where_the_last_piece_ended():
    sampler = EndlessSampler(lambda start, number: list(range(start, start + number)), 3, 2)
    assert (
        len(sampler) == 3
        and indices(sampler.plan(0)) == list(range(6))
        and indices(sampler.plan(2)) == list(range(12, 18))
    )
    assert sampler.plan(2)[0].places == (12, 13)
    with pytest.raises(ValueError, match="at least one image, not 0"):
        EndlessSampler(lambda start, number: [], 3, 0)
