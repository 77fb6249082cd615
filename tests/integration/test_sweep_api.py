"""Sweeps as programs use them: the examples of docs/sweeps.md, on real servers and with real trainings, made tiny."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from minimind_platform import Platform, Settings, State, SweepState, TrialState
from minimind_platform.sweeps.service import Sweeps

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "sweeps.md"
TINY = {"epochs": 1, "hidden_size": 64, "num_hidden_layers": 1, "max_seq_len": 64, "device": "cpu"}
ROW = {"conversations": [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}]}


@pytest.fixture(scope="module")
def home(tracking, tmp_path_factory) -> Iterator[Path]:
    """A home folder with data, where a scheduler works."""
    home = tmp_path_factory.mktemp("home")
    (home / "dataset" / "samples").mkdir(parents=True)
    (home / "dataset" / "samples" / "sft.jsonl").write_text(f"{json.dumps(ROW)}\n" * 40)
    (home / "mlruns").mkdir()
    (home / "mlruns" / "artifacts").symlink_to(tracking.artifacts_dir)
    places = {"MINIMIND_HOME": str(home), "MINIMIND_TRACKING_PORT": str(tracking.tracking_port)}
    command = [sys.executable, "-m", "minimind_platform.scheduler"]
    environment = os.environ | places | {"MINIMIND_CPU_SLOTS": "2", "OMP_NUM_THREADS": "1"}
    with (home / "scheduler.log").open("w") as log:
        scheduler = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in places.items():
            patch.setenv(name, value)
        patch.chdir(home)
        patch.setattr(Sweeps, "create", made_tiny(Sweeps.create))
        patch.setattr(Sweeps, "extend", extended_little(Sweeps.extend))
        yield home
    for task in Platform(Settings(home=home, tracking_port=tracking.tracking_port)).tasks(states=["RUNNING"]).tasks:
        Platform(Settings(home=home, tracking_port=tracking.tracking_port)).stop(task.id)
    scheduler.terminate()
    scheduler.wait(20)


def made_tiny(create: Any) -> Any:
    """The same sweep with fewer, shorter trials."""

    def create_tiny(self: Sweeps, type: str, values: Any, search: Any, **more: Any) -> Any:  # noqa: A002
        more["options"] = {**more["options"], "n_trials": 2 if more["name"] == "second" else 1, "parallel": 2}
        return create(self, type, {**values, **TINY}, search, **more)

    return create_tiny


def extended_little(extend: Any) -> Any:
    """For one trial more, not for ten."""

    def extend_little(self: Sweeps, id: str, n_trials: int = 0, **more: Any) -> Any:  # noqa: A002
        return extend(self, id, n_trials=n_trials % 10, **more)

    return extend_little


@pytest.fixture(scope="module")
def examples(home, tracking) -> dict[str, Any]:
    """What the examples leave behind: they are run one after the other, in one program."""
    found: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        text = block.replace("http://127.0.0.1:5000/mlflow", tracking.tracking).replace("/data/minimind", str(home))
        text = text.replace("    Settings(\n", f"    Settings(\n        home=Path({str(home / 'away')!r}),\n")
        exec(compile(text, str(GUIDE), "exec"), found | {"Path": Path} if "Path" in text else found, found)
    return found


def test_the_best_model_of_an_example_is_a_model(examples, home):
    sweep = examples["platform"].open_sweep("second")
    assert sweep.state is SweepState.FINISHED
    with safe_open(home / "out" / "best" / "model.safetensors", "np") as weights:
        assert len(list(weights.keys())) > 5
    assert json.loads((home / "out" / "best" / "config.json").read_text())["hidden_size"] == 64
    assert sweep.best_model.version.task_id == sweep.best_trial.task_id


def test_from_elsewhere_it_is_the_same(examples, home):
    """The last example knows only the addresses of the servers: metrics and weights come from MLflow."""
    assert not (home / "away").exists()
    assert not (home / "mlflow.db").exists()
    there, here = examples["there"].open_sweep("second"), examples["platform"].open_sweep("second")
    task = here.best_trial.task_id
    assert there.dataframe().equals(here.dataframe())
    assert examples["there"].history(task, ["eval/loss"]).equals(examples["platform"].history(task, ["eval/loss"]))
    names = [sorted(path.name for path in (home / "out" / folder).iterdir()) for folder in ("best", "copy")]
    assert names[0] == names[1]
    weights = [(home / "out" / folder / "model.safetensors").read_bytes() for folder in ("best", "copy")]
    assert weights[0] == weights[1]


def test_tables_and_curves_hold_what_was_trained(examples):
    assert set(examples["frame"]["params.batch_size"]) <= set(range(8, 129))
    assert examples["frame"]["metrics.eval/loss"].gt(0).all()
    assert examples["curves"]["train/loss"].notna().any()


def test_the_best_one_in_full_goes_on_from_its_checkpoint(examples):
    platform = examples["platform"]
    promoted = platform.wait(examples["task"].id, timeout=300)
    before = platform.task(promoted.parent_id)
    assert (promoted.state, promoted.config["epochs"]) == (State.FINISHED, 2)
    assert promoted.progress.step == 2 * before.progress.step > 0
    assert platform.history(promoted.id, ["train/loss"]).index[0] > before.progress.step


def test_a_function_has_chosen(examples):
    sweep = examples["platform"].open_sweep("third")
    assert {trial.state for trial in sweep.trials} == {TrialState.COMPLETE}
    for trial in sweep.trials:
        config = examples["platform"].task(trial.task_id).config
        assert config["learning_rate"] == pytest.approx(trial.params["rate"] * config["batch_size"] / 8)
