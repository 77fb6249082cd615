"""A tiny model on tiny rows: everything real, nothing large."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_loops import one_at_a_time, preference, prompts_in, rollout_loop, small_config, small_loop, with_reference
from small_rows import ListPairs, ListRows, random_pairs, random_rows

from trainer.configs import TrainConfig
from trainer.names import Env

RANK = Path(__file__).with_name("rank.py")
LIMIT_SECONDS = 240


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Models this small gain nothing from more, and lose much on a busy machine."""
    import torch

    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture
def rows() -> ListRows:
    return random_rows(40)


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., ListRows]:
    return random_rows


@pytest.fixture
def run_until() -> Callable[[Any, int], None]:
    """Runs a loop, and asks it to stop when so many steps are done."""
    from trainer.names import Outcome

    def run(loop: Any, step: int) -> None:
        update = loop._update

        def stopping(*work: Any) -> Any:
            result = update(*work)
            loop.session.stop_requested = loop.step + 1 >= step
            return result

        loop._update = stopping
        assert loop.run() is Outcome.STOPPED
        assert loop.step == step

    return run


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.compile follows the code, and runs what it found without making C++ of it, which takes a
    minute: what is made is tested with one loss."""
    import torch

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., TrainConfig]:
    return partial(small_config, tmp_path)


@pytest.fixture(scope="session")
def loops_in() -> Callable[[Path], Any]:
    """Makes small loops in a folder, one at a time, in a `with`."""
    return lambda folder: one_at_a_time(partial(small_loop, folder))


@pytest.fixture
def make_loop(tmp_path: Path, rows: ListRows) -> Iterator[Callable[..., Any]]:
    def one(name: str = "task", data: ListRows | None = None, held_out: ListRows | None = None, **values: Any) -> Any:
        return small_loop(tmp_path, name, data or rows, held_out, **values)

    with one_at_a_time(one) as make:
        yield make


@pytest.fixture
def distil(make_loop: Callable[..., Any], make_config: Callable[..., TrainConfig]) -> Callable[..., Any]:
    """Makes a loop of a student with a teacher of another shape."""
    import torch
    from transformers import AutoModelForCausalLM

    from trainer.attention import pack
    from trainer.distillation import Distillation
    from trainer.experts import use_grouped_experts
    from trainer.models import model_config

    def make(name: str = "task", teacher_moe: bool = False, teacher_layers: int = 3, **values: Any) -> Any:
        torch.manual_seed(7)
        sizes = make_config("pretrain", hidden_size=64, num_hidden_layers=teacher_layers, use_moe=teacher_moe)
        teacher = AutoModelForCausalLM.from_config(model_config(sizes, 64), dtype=torch.float32)
        with torch.no_grad():  # a fresh model has no opinion to learn
            teacher.get_input_embeddings().weight.mul_(20)
        teacher.eval().requires_grad_(False)
        if values.get("packing", True):
            pack(teacher)
        taught = lambda config: Distillation(teacher, config.alpha, config.temperature)  # noqa: E731
        loop = make_loop(name, type_name="distill", objective=taught, **values)
        use_grouped_experts(teacher.to(loop.device), loop.device, loop.config.dtype)
        return loop

    return make


@pytest.fixture
def make_pairs() -> Callable[..., ListPairs]:
    return random_pairs


@pytest.fixture
def prefer(make_loop: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Makes a loop of preference optimisation with its reference."""

    def make(name: str = "task", *, data: Any, held_out: Any = None, **values: Any) -> Any:
        return with_reference(make_loop(name, data, held_out, **preference(tmp_path, **values)))

    return make


@pytest.fixture
def reason(make_loop: Callable[..., Any], rows: ListRows) -> Callable[..., Any]:
    """Makes a loop over rows of which every seventh id weighs ten times as much."""
    from trainer.batches import IGNORE
    from trainer.losses import weighted_token_loss

    rows.weigh = lambda ids, labels: np.where((ids % 7 == 0) & (labels != IGNORE), 10, 1).astype(np.float32)

    def make(name: str = "task", **values: Any) -> Any:
        return make_loop(name, type_name="reason", objective=lambda _config: weighted_token_loss, **values)

    return make


def reward_model(folder: Path, labels: int = 1, scale: float = 1.0) -> None:
    """A small reward model with the shipped tokenizer."""
    import torch
    from transformers import Qwen3Config, Qwen3ForSequenceClassification

    from trainer.tokenization import load_tokenizer

    torch.manual_seed(0)
    tokenizer = load_tokenizer(None)
    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "head_dim": 8}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 64}
    config = Qwen3Config(vocab_size=len(tokenizer), num_labels=labels, pad_token_id=0, **sizes, **heads)
    model = Qwen3ForSequenceClassification(config)
    with torch.no_grad():
        model.score.weight.mul_(scale)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture
def make_judge() -> Callable[..., None]:
    """Writes a reward model to a folder."""
    return reward_model


def recorded(task_dir: Path, key: str) -> dict[int, float]:
    """One series of a spool: step to value."""
    from trainer.spool import read_records

    return {
        record["step"]: record["values"][key]
        for record, _ in read_records(task_dir / "metrics.jsonl")
        if record["kind"] == "metrics" and key in record["values"]
    }


@pytest.fixture
def series_of() -> Callable[[Path, str], dict[int, float]]:
    return recorded


@pytest.fixture
def series(tmp_path: Path) -> Callable[[str, str], dict[int, float]]:
    return lambda name, key="train/loss": recorded(tmp_path / name, key)


def run_together(folder: Path, runs: list[tuple[str, int, dict[str, Any]]], count: int = 2) -> None:
    """Do these runs with several processes."""
    runs = [(name, stop, {"num_processes": count} | values) for name, stop, values in runs]
    for name, *_ in runs:
        (folder / name).mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = {Env.STORE_PORT: str(server.getsockname()[1]), Env.STORE_SOCKET: str(server.fileno())}
        processes = [
            subprocess.Popen(
                [sys.executable, str(RANK), str(folder), json.dumps(runs)],
                env=os.environ | where | {Env.RANK: str(rank), Env.RANKS: str(count)},
                pass_fds=(server.fileno(),),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for rank in range(count)
        ]
    outputs = [process.communicate(timeout=LIMIT_SECONDS)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes), "\n".join(outputs)


@pytest.fixture(scope="session")
def together() -> Callable[..., None]:
    return run_together


@pytest.fixture
def make_prompts(tmp_path: Path) -> Callable[[], Path]:
    return lambda: prompts_in(tmp_path)


@pytest.fixture
def make_rollouts(tmp_path: Path, make_prompts: Callable[[], Path]) -> Iterator[Callable[..., Any]]:
    make_prompts()
    with one_at_a_time(partial(rollout_loop, tmp_path)) as make:
        yield make
