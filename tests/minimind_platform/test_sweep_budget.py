"""When a sweep ends, and when it pauses."""

import math

from minimind_platform.sweeps.budget import end_reason, pause_reason, trials_without_gain
from minimind_platform.sweeps.spec import read_spec
from minimind_platform.sweeps.study_trials import StudyTrial
from minimind_platform.sweeps.views import Sweep, SweepState, TrialState

DONE, PRUNED, FAILED, RUNS = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED, TrialState.RUNNING


def make_sweep(spent=0.0, objectives=(), **options):
    spec = read_spec("sft", {}, ["learning_rate"], options, objectives)
    return Sweep("1", "one", SweepState.RUNNING, spec, 0.0, spent_seconds=spent)


def make_trials(*states, **facts):
    """Trials that ended one after another; a number stands for a complete one with that value."""
    trials = []
    for number, state in enumerate(states):
        values = (state,) if isinstance(state, float) else ()
        state = DONE if isinstance(state, float) else state
        ended = None if state is RUNS else float(number)
        trials.append(StudyTrial(number, state, {}, values=values, ended_at=ended, **facts))
    return trials


def test_a_sweep_ends_when_its_trials_were_made_but_not_before_those_that_people_added() -> None:
    sweep = make_sweep(n_trials=3)
    assert end_reason(sweep, make_trials(1.0, PRUNED), 0) == ""
    assert end_reason(sweep, make_trials(1.0, PRUNED, RUNS), 0) == "3 trials were made"
    assert end_reason(sweep, make_trials(1.0, PRUNED, TrialState.WAITING), 0) == ""
    taken_back = make_trials(1.0, PRUNED, TrialState.WAITING, excluded=True)  # it is never asked for
    assert end_reason(sweep, taken_back, 0) == "3 trials were made"


def test_a_sweep_ends_when_its_time_is_over() -> None:
    assert end_reason(make_sweep(spent=3599, hours=1), [], 0) == ""
    assert end_reason(make_sweep(spent=3600, hours=1), [], 0) == "its 1 hours are over"
    assert end_reason(make_sweep(device_hours=0.5), [], 1799) == ""
    assert end_reason(make_sweep(device_hours=0.5), [], 1800).endswith("0.5 hours on their devices")


def test_a_sweep_ends_when_nothing_is_gained_any_more() -> None:
    trials = make_trials(5.0, 3.0, 4.0, FAILED, PRUNED, 3.0)
    assert trials_without_gain(make_sweep(), trials) == 3
    assert end_reason(make_sweep(patience=3), trials, 0) == "3 trials in a row gained nothing"
    assert end_reason(make_sweep(patience=4), trials, 0) == ""
    larger = make_sweep(objectives=[{"metric": "eval/loss", "direction": "maximize"}])
    assert trials_without_gain(larger, trials) == 4


def test_a_trial_over_a_limit_is_no_gain() -> None:
    trials = [*make_trials(5.0), *make_trials(FAILED, 3.0, feasible=False)[1:]]
    assert trials_without_gain(make_sweep(), trials) == 1


def test_three_quick_failures_in_a_row_pause() -> None:
    trials = make_trials(1.0, FAILED, FAILED, FAILED, reason="out of memory")
    assert pause_reason(trials, 0) == "3 trials in a row failed before they reached anything; out of memory"
    assert pause_reason(make_trials(FAILED, FAILED, 1.0, FAILED, reason="x"), 0) == ""


def test_failures_that_say_nothing_do_not_pause() -> None:
    assert pause_reason(make_trials(FAILED, FAILED, FAILED, reason="stopped by a person"), 0) == ""
    assert pause_reason(make_trials(FAILED, FAILED, FAILED, reason="late", intermediate={10: 1.0}), 0) == ""
    assert pause_reason(make_trials(FAILED, FAILED, FAILED, reason="nan", intermediate={10: math.nan}), 0) != ""


def test_what_failed_before_it_was_resumed_does_not_pause_it_again() -> None:
    trials = make_trials(FAILED, FAILED, FAILED, reason="x")
    assert pause_reason(trials, since=0.5) == ""
    missing = make_trials(FAILED, reason="It recorded no eval/los. It recorded eval/loss.")
    assert pause_reason(missing, 0).startswith("Trial 0 was trained to its end. It recorded no eval/los.")
    assert pause_reason(missing, since=1.0) == ""
