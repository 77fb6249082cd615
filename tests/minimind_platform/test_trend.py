"""The small picture of a curve: few numbers, whatever the length."""

import json
import math

import pytest

from minimind_platform.progress import ProgressReader
from minimind_platform.trend import MOST, Trend


@pytest.mark.parametrize("count", [1, 5, 31, 32, 33, 100, 4096, 5000])
def test_a_trend_has_few_numbers_that_mean_all_values(count):
    trend = Trend()
    for number in range(count):
        trend.add(number)
    values = trend.values()
    assert min(count, MOST // 2) <= len(values) <= MOST
    assert list(values) == sorted(values)
    assert values[0] <= count / 16 and values[-1] >= count - 1 - count / 16


def test_old_numbers_stay_while_new_ones_come():
    trend, seen = Trend(), {}
    for number in range(3000):
        trend.add(math.sin(number / 50))
        for place, value in enumerate(trend._means):
            assert seen.setdefault((trend._each, place), value) == value


def test_what_is_no_number_is_left_out():
    trend = Trend()
    for value in (1.0, None, math.nan, math.inf, 3.0):
        trend.add(value)
    assert trend.values() == (1.0, 3.0)


def write(folder, *records):
    with (folder / "metrics.jsonl").open("a") as file:
        for step, values in records:
            file.write(json.dumps({"kind": "metrics", "t": 1000, "step": step, "values": values}) + "\n")


def test_progress_has_the_trend_of_the_loss(tmp_path):
    reader = ProgressReader(tmp_path)
    write(tmp_path, (1, {"train/loss": 8.0}), (2, {"train/loss": 7.12345}), (2, {"eval/loss": 9.0}))
    assert reader.read().trend == (8.0, 7.123)
    write(tmp_path, (3, {"train/loss": 6.0}))
    assert reader.read().trend == (8.0, 7.123, 6.0) == ProgressReader(tmp_path).read().trend


def test_of_a_training_by_rewards_it_is_the_reward(tmp_path):
    write(tmp_path, (1, {"train/loss": 0.1}), (2, {"train/loss": 0.1, "train/reward": 0.5}), (3, {"train/reward": 0.7}))
    assert ProgressReader(tmp_path).read().trend == (0.5, 0.7)
