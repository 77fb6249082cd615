"""Curves in buckets, against numpy."""

import numpy as np
import pytest

from minimind_platform.curves.buckets import MOST_BUCKETS, MOST_NANS, Buckets, CurvePart


def curve(steps, values, width=1):
    buckets = Buckets(width)
    for step, value in zip(steps, values, strict=True):
        buckets.add(int(step), float(value), float(step))
    return buckets


def whole(buckets: Buckets) -> CurvePart:
    part = buckets.part()
    assert part is not None
    return part


@pytest.mark.parametrize("order", ["in order", "shuffled"])
@pytest.mark.parametrize(("count", "stride"), [(1_024, 1), (1_025, 1), (5_000, 3), (20_000, 1), (3_000, 1_000)])
def test_buckets_are_what_numpy_says(count, stride, order):
    random = np.random.default_rng(count)
    steps = np.arange(count) * stride + 7
    values = random.normal(size=count)
    taken = random.permutation(count) if order == "shuffled" else np.arange(count)
    part = whole(curve(steps[taken], values[taken]))
    assert part.width & (part.width - 1) == 0
    assert len(part.steps) <= MOST_BUCKETS
    assert (part.width == 1) == (count <= MOST_BUCKETS)
    groups = steps // part.width
    edges = np.flatnonzero(np.diff(groups, prepend=-1))
    np.testing.assert_array_equal(part.steps, steps[edges])
    np.testing.assert_array_equal(part.last, steps[np.append(edges[1:], count) - 1])
    np.testing.assert_array_equal(part.low, np.minimum.reduceat(values, edges))
    np.testing.assert_array_equal(part.high, np.maximum.reduceat(values, edges))
    np.testing.assert_allclose(part.mean, np.add.reduceat(values, edges) / np.diff(np.append(edges, count)))
    assert sum(part.count) == count
    if order == "in order":
        assert part.times == part.last


def test_old_buckets_stay_where_they_are_while_a_curve_grows():
    buckets = curve(range(5_000), range(5_000))
    before = whole(buckets)
    for step in range(5_000, 5_100):
        buckets.add(step, step, step)
    after = whole(buckets)
    assert after.width == before.width
    assert after.steps[: len(before.steps)] == before.steps
    assert after.high[: len(before.steps) - 1] == before.high[:-1]


def joined(known: CurvePart, news: CurvePart) -> list[tuple[int, float, float]]:
    """What an asker does: joins its own buckets to the new width, then replaces all from `begin` on."""
    groups: dict[int, tuple[int, float, float]] = {}
    for step, low, high in zip(known.steps, known.low, known.high, strict=True):
        group = groups.get(step // news.width, (step, low, high))
        groups[step // news.width] = (group[0], min(group[1], low), max(group[2], high))
    kept = [row for group, row in groups.items() if group * news.width < news.begin]
    return [*kept, *zip(news.steps, news.low, news.high, strict=True)]


@pytest.mark.parametrize("seen", [1, 700, 1_024, 1_500, 4_095, 4_999])
@pytest.mark.parametrize("told", ["last step", "begin of the bucket"])
def test_an_asker_that_gets_only_the_end_knows_all(seen, told):
    values = np.random.default_rng(seen).normal(size=5_000)
    buckets = curve(range(seen), values[:seen])
    known = whole(buckets)
    for step in range(seen, 5_000):
        buckets.add(step, values[step], step)
    step = known.last[-1] if told == "last step" else known.last[-1] // known.width * known.width
    news = buckets.part((known.width, step))
    assert news is not None
    everything = whole(buckets)
    assert joined(known, news) == list(zip(everything.steps, everything.low, everything.high, strict=True))
    assert len(news.steps) <= (5_000 - seen) // news.width + 2


def test_who_has_all_gets_nothing_and_who_has_wider_buckets_gets_everything():
    buckets = curve(range(3_000), range(3_000))
    assert buckets.part((4, 2_999)) is None
    assert buckets.part((8, 2_999)) == whole(buckets)
    assert Buckets().part() is None


def test_what_is_no_number_is_told_by_step_and_leaves_no_trace_in_the_numbers():
    buckets = Buckets(4)
    for step, value in enumerate([1.0, None, float("nan"), 3.0, float("inf"), None, -1.8e308, 1.797e308, 5.0]):
        buckets.add(step, value, step)
    part = whole(buckets)
    assert part.nans == [1, 2, 4, 5, 6, 7]
    assert (part.steps, part.low, part.high, part.mean, part.count) == ([0, 8], [1, 5], [3, 5], [2, 5], [2, 1])
    buckets.add(9, None, 9)
    news = buckets.part((4, 8))
    assert news is not None and news.nans == [9]


def test_only_so_many_steps_without_a_number_are_kept():
    buckets = Buckets()
    for step in range(MOST_NANS + 10):
        buckets.add(step, None, step)
    assert len(whole(buckets).nans) == MOST_NANS
    assert whole(buckets).steps == []


def test_two_points_of_one_step_are_one():
    buckets = curve([5, 5, 6], [1.0, 3.0, 7.0])
    assert (whole(buckets).steps, whole(buckets).mean, whole(buckets).high) == ([5, 6], [2, 7], [3, 7])


def test_the_end_is_cut_by_buckets():
    buckets = curve(range(3_000), range(3_000))
    buckets.add(3_000, None, 0)
    buckets.cut(2_001)
    assert whole(buckets).last[-1] == 1_999 == buckets.newest
    assert whole(buckets).nans == []
