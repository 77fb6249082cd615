"""A tiny model on tiny rows: everything real, nothing large."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.configs import TrainConfig, parse_config
from trainer.names import Env

RANK = Path(__file__).with_name("rank.py")
LIMIT_SECONDS = 240


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Models this small gain nothing from more, and lose much on a busy machine."""
    import torch

    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


class ListRows:
    """Rows from memory, with the interface of `trainer.data.Rows`."""

    weigh = None

    def __init__(self, rows: list[tuple[np.ndarray, np.ndarray]]) -> None:
        from trainer.data import DataReport

        self.rows = rows
        self.lengths = np.array([len(ids) for ids, _ in rows])
        self.report = DataReport("rows.jsonl", "f" * 64, len(rows), sum(len(i) for i, _ in rows), 0, 0, ())

    def __len__(self) -> int:
        return len(self.rows)

    def line(self, index: int) -> int:
        return index + 1

    def places(self, indices: list[int]) -> str:
        return f"line {', '.join(str(i + 1) for i in indices)} of rows.jsonl"

    def batch(self, *args: Any) -> Any:
        from trainer.batches import make_batch

        return make_batch(self, *args)  # type: ignore[arg-type]

    def get(self, index: int, epoch: int | None) -> tuple[np.ndarray, np.ndarray]:
        return self.rows[index]

    def changed(self) -> "ListRows":
        other = ListRows(self.rows)
        other.report = replace(self.report, sha256="0" * 64)
        return other


def random_rows(count: int, seed: int = 0, vocabulary: int = 64, masked: bool = True) -> ListRows:
    """Rows of 4 to 24 tokens; the first third carries no loss, as a prompt would."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        ids = random.integers(3, vocabulary, size=int(random.integers(4, 25)))
        labels = ids.copy()
        if masked:
            labels[: len(ids) // 3] = -100
        rows.append((ids, labels))
    return ListRows(rows)


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


def small_config(folder: Path, type_name: str = "pretrain", **values: Any) -> TrainConfig:
    small = {
        "data_path": "rows.jsonl",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "batch_size": 4,
        "accumulation_steps": 1,
        "learning_rate": 1e-2,
        "epochs": 2,
        "device": "cpu",
        "save_dir": str(folder / "out"),
        "from_weight": "none",
    }
    return parse_config(type_name, small | values)


def small_loop(
    folder: Path,
    name: str,
    data: ListRows,
    held_out: ListRows | None = None,
    adapt: Callable[[Any, Any], Any] = lambda _config, _model: None,
    objective: Callable[[Any], Any] | None = None,
    measure: Any = None,
    loop_class: Any = None,
    **values: Any,
) -> Any:
    """A real loop over a real model of about 20,000 weights; its session writes to `folder / name`. `adapt` may change
    the model, and returns what its checkpoints hold; `objective` makes what is minimised, from the config."""
    import torch
    from transformers import AutoModelForCausalLM

    from trainer.loop import Loop
    from trainer.losses import held_out_loss, next_token_loss
    from trainer.models import model_config
    from trainer.session import Session

    config = small_config(folder, **values)
    session = Session.open(config, folder / name, folder, name, tracked=False)
    torch.manual_seed(config.seed)
    model = AutoModelForCausalLM.from_config(model_config(config, 64), dtype=torch.float32)
    files = adapt(config, model)
    minimised = objective(config) if objective else next_token_loss
    parts: Any = (config, session, model, NoTokenizer(), data, held_out, minimised, files, measure or held_out_loss)
    return (loop_class or Loop)(*parts)


@contextmanager
def one_at_a_time(make_one: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Makes loops, of which each begins when the one before has ended; signals are handled as before in the end."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    loops: list[Any] = []

    def make(*args: Any, **values: Any) -> Any:
        for earlier in loops:  # as if its process had ended
            earlier.session.__exit__(None, None, None)
        loops.append(make_one(*args, **values))
        return loops[-1]

    yield make
    for loop in loops:
        loop.session.__exit__(None, None, None)
    for number, handler in handlers.items():
        signal.signal(number, handler)


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


class ListPairs:
    """Pairs from memory, with the interface of `trainer.pair_rows.PairRows`."""

    reference = None

    def __init__(self, answers: list[list[tuple[np.ndarray, np.ndarray]]]) -> None:
        from trainer.data import DataReport

        self.answers = answers
        self.lengths = np.array([sum(len(ids) for ids, _ in pair) for pair in answers])
        self.pairs = np.arange(len(answers))
        self.report = DataReport("pairs.jsonl", "f" * 64, len(answers), int(self.lengths.sum()), 0, 0, ())

    def __len__(self) -> int:
        return len(self.answers)

    def places(self, indices: list[int]) -> str:
        return f"line {', '.join(str(i + 1) for i in indices)} of pairs.jsonl"

    def answer(self, index: int, side: int) -> tuple[np.ndarray, np.ndarray]:
        return self.answers[index][side]

    def batch(self, indices: np.ndarray, _epoch: int | None, packed: bool, pad_id: int) -> Any:
        from trainer.pair_batches import make_pair_batch

        return make_pair_batch(self, indices, packed, pad_id)  # type: ignore[arg-type]


def random_pairs(count: int, seed: int = 0, vocabulary: int = 64) -> ListPairs:
    """Pairs with the same question: the chosen answer is of even tokens, the rejected one of odd ones."""
    random = np.random.default_rng(seed)
    pairs = []
    for _ in range(count):
        question, pair = random.integers(3, vocabulary, size=5), []
        for side in (0, 1):
            answer = 2 * random.integers(2, vocabulary // 2 - 1, size=int(random.integers(2, 12))) + side
            ids = np.concatenate([question, answer])
            pair.append((ids, np.concatenate([np.full(5, -100), answer])))
        pairs.append(pair)
    return ListPairs(pairs)


@pytest.fixture
def make_pairs() -> Callable[..., ListPairs]:
    return random_pairs


def preference(folder: Path, **values: Any) -> dict[str, Any]:
    """What `small_loop` needs for preference optimisation; its loops need `with_reference` too."""
    from trainer.preferences import Preference
    from trainer.recipes.dpo import PreferenceLoop, Watch

    values = {"type_name": "dpo", "from_weight": "x", "learning_rate": 1e-3, "epochs": 1} | values
    config: Any = small_config(folder, **values)
    watch = Watch(Preference(config.beta, config.dpo_form))
    return values | {"objective": lambda _: watch.preference, "measure": watch, "loop_class": PreferenceLoop}


def with_reference(loop: Any) -> Any:
    """The loop, when its rows have a reference."""
    from types import SimpleNamespace

    from trainer.references import add_reference

    resumed = loop.checkpoints.newest_good() is not None
    held = {"model": loop.model, "tokenizer": loop.tokenizer, "rows": loop.rows, "eval_rows": loop.eval_rows}
    parts: Any = SimpleNamespace(**held, resumed=resumed)
    assert add_reference(loop.config, loop.session, parts, loop.device)
    return loop


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


class NoTokenizer:
    """The loop only asks a tokenizer for its pad token and to save itself."""

    pad_token_id = 0
    bos_token_id = 1
    eos_token_id = 2

    def save_pretrained(self, folder: Path) -> None:
        (Path(folder) / "tokenizer.json").write_text("{}")


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


SUMS = [({"conversations": [{"role": "user", "content": f"{i} + {i} = ?"}], "gt": [str(2 * i)]}) for i in range(12)]
VOWELS = [{"kind": "regex", "pattern": "[aeiou]"}, {"kind": "length", "min_chars": 5, "max_chars": 20}]
OWN: dict[str, dict[str, Any]] = {
    "grpo": {"num_generations": 3},
    "spo": {"accumulation_steps": 2},
    "ppo": {"mini_batch_size": 2},
}


def prompts_in(folder: Path) -> Path:
    """Twelve sums without answers."""
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in SUMS))
    return path


def rollout_loop(folder: Path, kind: str, name: str = "task", held_out: int = 0, **values: Any) -> Any:
    """A real loop of a type that learns from rewards, with a model of 20,000 weights beside its embeddings and the
    shipped tokenizer; its session writes to `folder / name`."""
    import torch

    from trainer.bases import Base
    from trainer.grpo import GRPOLoop
    from trainer.models import model_config, new_model
    from trainer.ppo import PPOLoop
    from trainer.prompts import load_prompts
    from trainer.reference_model import keep_reference
    from trainer.session import Session
    from trainer.spo import SPOLoop
    from trainer.supervised import Parts
    from trainer.tokenization import load_tokenizer

    given = {"data_path": str(folder / "prompts.jsonl"), "from_weight": "base", "learning_rate": 3e-3, "max_gen_len": 8}
    given |= {"rollout_temperature": 1.0, "thinking_ratio": 0.3, "rewards": VOWELS, "samples_per_step": 2}
    config: Any = small_config(folder, kind, **given | OWN[kind] | values)
    tokenizer = load_tokenizer(None)
    session = Session.open(config, folder / name, folder, name, tracked=False)
    torch.manual_seed(3)
    model = new_model(model_config(config, len(tokenizer), tokenizer))
    rows = load_prompts(config.data_path, config, tokenizer)
    order = np.arange(len(rows))
    held = rows.subset(order[:held_out]) if held_out else None
    resumed = (folder / name / "reference").exists()
    parts: Any = Parts(model, tokenizer, rows.subset(order[held_out:]), held, resumed, Base("none"))  # type: ignore[arg-type]
    reference = None
    if getattr(config, config.ref_name):
        first = session.ranks.first
        reference = keep_reference(folder / name, model, tokenizer, resumed, config.packing, first)
    loops: dict[str, Any] = {"grpo": GRPOLoop, "spo": SPOLoop, "ppo": PPOLoop}
    return loops[kind](config, session, parts, reference)


@pytest.fixture
def make_prompts(tmp_path: Path) -> Callable[[], Path]:
    return lambda: prompts_in(tmp_path)


@pytest.fixture
def make_rollouts(tmp_path: Path, make_prompts: Callable[[], Path]) -> Iterator[Callable[..., Any]]:
    make_prompts()
    with one_at_a_time(partial(rollout_loop, tmp_path)) as make:
        yield make
