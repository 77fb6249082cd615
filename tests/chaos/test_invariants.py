"""The checker finds each violation when there is one: a story that is whole, and then with one thing wrong in it."""

import itertools
import json
from dataclasses import replace

import pytest

from chaos import invariants
from chaos.watcher import Sighting
from minimind_platform.tasks import Progress, State, Task, TaskEvent
from trainer.checkpoints import Checkpoints
from trainer.spool import Spool

TASK = Task("a", "first", "sft", State.FINISHED, {}, 0.0, attempt=2, progress=Progress(step=3, total_steps=3))
LIVE = Sighting(frozenset({("a", 1), ("b", 1)}), frozenset({("cpu:0", "a", 1), ("cpu:1", "b", 1)}), {"a": 1})
STATES = ["", "QUEUED", "STARTING", "RUNNING", "LOST", "QUEUED", "STARTING", "RUNNING", "FINISHED"]


def history(*states):
    return [
        TaskEvent(number, 1 if number < 4 else 2, before, after, "")
        for number, (before, after) in enumerate(itertools.pairwise(states))
    ]


@pytest.fixture
def folder(tmp_path):
    """What a task leaves: a result, a record of an attempt, three steps and a checkpoint."""
    (tmp_path / "result.json").write_text(json.dumps({"outcome": "finished"}))
    (tmp_path / "attempt-2").mkdir()
    (tmp_path / "attempt-2" / "exit.json").write_text('{"rc": 0}')
    save(tmp_path, 2)
    save(tmp_path, 3)
    record(tmp_path, 1, 2, 3)
    return tmp_path


def save(folder, step):
    Checkpoints(folder, 2).save(step, lambda path: (path / "weights").write_text("w" * 100), {})


def record(folder, *steps):
    spool = Spool(folder)
    for step in steps:
        spool.write("metrics", step=step, values={"train/loss": 9.0 - step})
    spool.close()


STORED = [(1, 8.0), (2, 7.0), (3, 6.0)]


def test_nothing_is_found_in_a_story_that_is_whole(folder):
    events = history(*STATES)
    assert invariants.one_attempt_a_task([LIVE]) == []
    assert invariants.one_attempt_a_slot([LIVE]) == []
    assert invariants.only_known_moves(TASK, events) == []
    assert invariants.ends_have_evidence(TASK, events, folder) == []
    assert invariants.no_process_left([TASK], {7: "/out/b/attempt-1"}) == []
    assert invariants.a_good_checkpoint_stays([LIVE, replace(LIVE, good={"a": 2})], TASK, folder) == []
    assert invariants.steps_without_gap(TASK, folder, STORED) == []
    assert invariants.accepted_is_kept(["a"], [TASK], {"first": "a"}) == []
    assert invariants.same_losses({"plain": {"a": STORED, "b": list(STORED)}}) == []


def test_1_a_task_that_runs_twice():
    twice = replace(LIVE, live=LIVE.live | {("a", 2)})
    assert invariants.one_attempt_a_task([LIVE, twice]) == ["a ran 2 times at once"]


def test_2_a_slot_that_two_hold_and_an_attempt_without_one():
    twice = replace(LIVE, leases=LIVE.leases | {("cpu:0", "b", 1)})
    assert invariants.one_attempt_a_slot([twice]) == ["cpu:0 was held by 2 attempts at once"]
    without = replace(LIVE, leases=frozenset({("cpu:0", "a", 1)}))
    assert invariants.one_attempt_a_slot([without]) == ["b, attempt 1, ran without a slot"]
    of_before = replace(LIVE, live=frozenset({("a", 1), ("b", 2)}))
    assert invariants.one_attempt_a_slot([of_before]) == ["b, attempt 2, ran without a slot"]


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (["QUEUED", "STARTING"], "a has no beginning"),
        (["", "QUEUED", "RUNNING", "FINISHED"], "a moved from QUEUED to RUNNING"),
        ([*STATES, "QUEUED"], "a moved from FINISHED to QUEUED"),
        (STATES[:-1], "a is FINISHED, its history says RUNNING"),
    ],
)
def test_3_a_move_that_there_is_not(states, said):
    assert said in invariants.only_known_moves(TASK, history(*states))


def test_3_a_history_with_a_hole():
    events = history(*STATES)
    del events[3]
    assert invariants.only_known_moves(TASK, events) == ["a was RUNNING and moved from LOST"]


def test_4_an_end_of_which_nothing_is_known(folder):
    (folder / "result.json").write_text("{}")
    assert invariants.ends_have_evidence(TASK, history(*STATES), folder) == [
        "a is FINISHED without a result that says so"
    ]
    failed, events = replace(TASK, state=State.FAILED), history(*STATES[:-1], "FAILED")
    assert invariants.ends_have_evidence(failed, events, folder) == []
    (folder / "attempt-2" / "exit.json").unlink()
    assert invariants.ends_have_evidence(failed, events, folder) == ["a is FAILED, and nothing shows why"]
    assert invariants.ends_have_evidence(replace(TASK, state=State.LOST), events, folder) == [
        "a is LOST and has not ended"
    ]


def test_5_a_process_that_is_left():
    found = invariants.no_process_left([TASK], {7: "/out/a/attempt-1"})
    assert found == ["process 7 of /out/a/attempt-1 lives"]


def test_6_a_good_checkpoint_that_went_away(folder):
    worse = [replace(LIVE, good={"a": 2}), LIVE, replace(LIVE, good={"a": 3})]
    assert invariants.a_good_checkpoint_stays(worse, TASK, folder) == [
        "a had a good checkpoint of step 2 and then none newer than 1"
    ]
    (folder / "checkpoints" / "step_000003" / "weights").write_text("x" * 100)
    assert "is damaged: weights has changed" in invariants.a_good_checkpoint_stays([], TASK, folder)[0]
    longer = replace(TASK, progress=Progress(step=4, total_steps=4))
    assert "a ended at step 4, its newest checkpoint is of 3" in invariants.a_good_checkpoint_stays([], longer, folder)


@pytest.mark.parametrize("more", [(2,), (5,)])
def test_7_a_step_that_comes_twice_or_is_missing(folder, more):
    record(folder, *more)
    found = invariants.steps_without_gap(TASK, folder, STORED)
    assert "a has recorded its steps with gaps, twice or out of order" in found


@pytest.mark.parametrize("stored", [STORED[:-1], [*STORED, (3, 6.0)], [*STORED[:-1], (3, 5.0)]])
def test_7_mlflow_with_other_numbers(folder, stored):
    assert len(invariants.steps_without_gap(TASK, folder, stored)) == 1


def test_7_a_training_that_ended_before_its_end(folder):
    longer = replace(TASK, progress=Progress(step=4, total_steps=4))
    assert invariants.steps_without_gap(longer, folder, STORED) == ["a has recorded 3 of 4 steps"]


def test_8_a_submit_that_was_lost_or_doubled():
    assert invariants.accepted_is_kept(["a", "z"], [TASK], {}) == ["z was accepted and is not there"]
    doubled = [TASK, replace(TASK, id="b")]
    assert invariants.accepted_is_kept(["a"], doubled, {"first": "a"}) == ["'first' is there 2 times"]


def test_trainings_with_other_losses_than_the_calm_one():
    curves = {"plain": {"calm": STORED, "a": STORED, "b": [*STORED[:-1], (3, 6.1)]}}
    assert invariants.same_losses(curves) == ["b (plain) has other losses"]
