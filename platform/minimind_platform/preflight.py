"""What a training will take, before it starts: parameters, rows, tokens, steps, time, memory and disk.

    preflight = estimate(plan, tasks=store.page(...).tasks)

The speed is that of the newest task like it on the same kind of device, of the same type if there is one. Before there
is any, it is a rule of thumb by floating-point operations, which can be off by a factor of three. How long a training
by rewards takes is told only after one like it.
"""

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

import trainer
from minimind_platform.devices import gpus
from minimind_platform.memory import Beside, memory_bytes
from minimind_platform.row_samples import RowSample
from minimind_platform.tasks import Task
from minimind_platform.views import Preflight
from trainer.base_sizes import base_sizes
from trainer.configs import DistillConfig, DPOConfig, LoRAConfig, TrainConfig, parse_config
from trainer.errors import SettingsError
from trainer.rl_config import PPOConfig, RolloutConfig
from trainer.sizes import (
    VOCAB_SIZE,
    ModelSizes,
    active_parameters,
    adapter_parameters,
    checkpoint_bytes,
    flops_per_token,
    parameters,
    sizes_of_config,
    sizes_of_folder,
)

SHIPPED_TOKENIZER = Path(trainer.__file__).parent / "tokenizer" / "tokenizer.json"
CPU_OPERATIONS, GPU_OPERATIONS = 20e9, 30e12
"""Rules of thumb: floating-point operations a second of a core, measured with small models, and of a GPU."""
MOST_CORES = 16
"""More of them do not make small models faster."""
ALIKE = 0.2
"""Largest relative difference of the parameters of tasks whose speeds are compared."""
FORWARD = 3
"""A teacher costs a third of a student of its size, as does a reference: neither has a backward pass, which is twice
the forward one."""
WEIGHT_BYTES = 4
"""On disk, of a parameter of the reference."""
START_SECONDS = 8.0
"""Until the first step: imports, model, data."""


@dataclass(frozen=True)
class Plan:
    """A training that is about to be started."""

    config: TrainConfig
    sizes: ModelSizes
    sample: RowSample
    teacher: ModelSizes | None = None
    """Of a distillation; None for none, or where its weights do not tell."""


def model_sizes(config: TrainConfig, base: Path | None, vocab_size: int = VOCAB_SIZE) -> ModelSizes:
    """The sizes of the model that will be trained: those of its base folder, if there is one, else the settings'."""
    if base is not None:
        try:
            return sizes_of_folder(json.loads((base / "config.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            pass  # another kind of model; the trainer will say whether it can be used
    return sizes_of_config(config, vocab_size)


def teacher_sizes(teacher: Path) -> ModelSizes | None:
    """The sizes of a teacher in a folder or a weight file, if its description tells them."""
    known = base_sizes(teacher)
    try:
        if teacher.is_dir():
            return sizes_of_folder(json.loads((teacher / "config.json").read_text(encoding="utf-8")))
        return sizes_of_config(parse_config("pretrain", {"data_path": "-"} | known)) if known else None
    except (OSError, ValueError, KeyError, TypeError, SettingsError):
        return None  # another kind of model; the trainer will say whether it can be used


def tokenizer_file(config: TrainConfig, base: Path | None) -> Path:
    """The `tokenizer.json` that the training will use."""
    folders = [Path(config.tokenizer_path)] if config.tokenizer_path else []
    folders += [base] if base is not None else []
    found = [folder / "tokenizer.json" for folder in folders if (folder / "tokenizer.json").is_file()]
    return found[0] if found else SHIPPED_TOKENIZER


def estimate(plan: Plan, tasks: Iterable[Task]) -> Preflight:
    """Work out what a plan takes. Tasks are those to learn the speed from, newest first."""
    config, count = plan.config, parameters(plan.sizes)
    if isinstance(config, RolloutConfig):
        return _of_rollouts(plan, config, tasks)
    held_out = _held_out(config, plan.sample.rows) / max(1, plan.sample.rows)
    tokens = plan.sample.tokens(config.max_seq_len)
    steps, all_steps = _steps(config, plan.sample.rows)
    trainable = (
        adapter_parameters(plan.sizes, config.lora_rank, config.lora_targets) if isinstance(config, LoRAConfig) else 0
    )
    speed, source = _speed(plan, tasks)
    trained = tokens * (1 - held_out) * config.epochs * steps / all_steps
    once = tokens / FORWARD if isinstance(config, DPOConfig) else 0.0
    a_batch = min(config.batch_size / config.num_processes, plan.sample.rows) * tokens / max(1, plan.sample.rows)
    return Preflight(
        parameters=count + trainable,
        rows=plan.sample.rows,
        tokens=tokens,
        steps=steps,
        seconds=START_SECONDS + (trained + once) / speed,
        disk_bytes=_kept(config, steps) * checkpoint_bytes(trainable or count),
        tokens_per_second=speed,
        estimated_from=source.id if source else "",
        estimated_name=source.name if source else "",
        trainable=trainable,
        memory_bytes=memory_bytes(config, plan.sizes, a_batch, Beside(plan.teacher)),
        device_bytes=device_bytes(config.device),
    )


def _held_out(config: TrainConfig, rows: int) -> int:
    """Rows that are kept for evaluation."""
    return 0 if config.eval_data_path else min(config.max_eval_rows, round(rows * config.eval_fraction))


def _steps(config: TrainConfig, rows: int) -> tuple[int, int]:
    """Steps that are made, and those of all epochs."""
    trained = max(1, rows - _held_out(config, rows))
    all_steps = math.ceil(trained / (config.batch_size * config.accumulation_steps)) * config.epochs
    return (min(all_steps, config.max_steps) if config.max_steps else all_steps), all_steps


def _kept(config: TrainConfig, steps: int) -> int:
    """Checkpoints that there will be at most, those that stay for good among them."""
    for_good = steps // math.lcm(config.keep_every, config.save_interval or 1) if config.keep_every else 0
    return config.keep_checkpoints + config.keep_best + for_good


def _of_rollouts(plan: Plan, config: RolloutConfig, tasks: Iterable[Task]) -> Preflight:
    """Of a training by rewards. Nobody knows how long answers will get; only a training like it tells the time."""
    count, sample = parameters(plan.sizes), plan.sample
    fitting = [length for length in sample.lengths if length <= config.max_seq_len]
    prompts = round(sample.rows * len(fitting) / max(1, len(sample.lengths)))
    a_step = min(config.batch_size * config.accumulation_steps, max(1, prompts - _held_out(config, prompts)))
    answers = a_step * config.answers_per_prompt
    trained = 2 * count if config.has_critic else count
    kept = count if config.has_reference else 0
    steps = _steps(config, prompts)[0]
    seconds, source = _seconds_a_step(plan, config, tasks)
    prompt = sum(fitting) / max(1, len(fitting))
    learned = min(answers, _learned_at_once(config)) * (prompt + config.max_gen_len) / config.num_processes
    beside = Beside(answers=math.ceil(answers / config.num_processes), answer_tokens=round(prompt) + config.max_gen_len)
    return Preflight(
        parameters=count,
        rows=prompts,
        tokens=round(prompts * prompt),
        steps=steps,
        seconds=START_SECONDS + seconds * steps if source else None,
        disk_bytes=_kept(config, steps) * checkpoint_bytes(trained) + WEIGHT_BYTES * kept,
        tokens_per_second=None,
        estimated_from=source.id if source else "",
        estimated_name=source.name if source else "",
        answers_a_step=answers,
        written_a_step=answers * config.max_gen_len,
        memory_bytes=memory_bytes(config, plan.sizes, learned, beside),
        device_bytes=device_bytes(config.device),
    )


def _learned_at_once(config: RolloutConfig) -> int:
    """Answers that go through the model together, with a backward pass."""
    return config.mini_batch_size if isinstance(config, PPOConfig) else config.batch_size * config.answers_per_prompt


def _seconds_a_step(plan: Plan, config: RolloutConfig, tasks: Iterable[Task]) -> tuple[float, Task | None]:
    """Time of a step of the newest finished task of this type, size and amount of answers, or None."""
    kind, wanted = device_kind(config.device), _work(plan.sizes, None)
    written = config.batch_size * config.accumulation_steps * config.answers_per_prompt * config.max_gen_len
    for task in tasks:
        begin, end, steps = task.started_at, task.ended_at, task.progress.step
        if task.type != config.type or not (begin and end and steps) or _kind_of(task) != kind or task.attempt > 1:
            continue
        try:
            had = parse_config(task.type, task.config)
        except SettingsError:
            continue  # of an older version of the settings
        assert isinstance(had, RolloutConfig)
        answers = had.batch_size * had.accumulation_steps * had.answers_per_prompt * had.max_gen_len
        work = _work(_sizes_of(had), None)
        if abs(work - wanted) <= ALIKE * wanted and abs(answers - written) <= ALIKE * written:
            return max(0.0, end - begin - START_SECONDS) / steps, task
    return 0.0, None


def _kind_of(task: Task) -> str:
    return device_kind(task.device or task.config.get("device", "auto"))


def device_bytes(device: str) -> int:
    """Memory of what a training with this setting computes on: a GPU's, of several the smallest, or the machine's."""
    if device_kind(device) == "cpu":
        return psutil.virtual_memory().total
    found = [gpu for gpu in gpus() if device in ("auto", "cuda", gpu.slot)]
    return min((gpu.memory_mb for gpu in found), default=0) << 20


def device_kind(device: str) -> str:
    """What a training with this setting, or in this slot, computes on: cpu or cuda."""
    if device == "auto":
        return "cuda" if gpus() else "cpu"
    return device.partition(":")[0]


def _speed(plan: Plan, tasks: Iterable[Task]) -> tuple[float, Task | None]:
    """Tokens a second, and the task that they were seen in, rather one of the same type than a newer one."""
    kind = device_kind(plan.config.device)
    wanted = _work(plan.sizes, plan.teacher)
    for task in sorted(tasks, key=lambda task: task.type != plan.config.type):
        speed = task.progress.tokens_per_second
        if not speed or _kind_of(task) != kind:
            continue
        try:
            config = parse_config(task.type, task.config)
        except SettingsError:
            continue  # of an older version of the settings
        had = _work_of(config, plan)
        if had is not None and abs(had - wanted) <= ALIKE * wanted:
            return speed, task
    length = min(
        plan.config.max_seq_len, max(1, plan.sample.tokens(plan.config.max_seq_len) // max(1, plan.sample.rows))
    )
    cores = min(MOST_CORES, os.cpu_count() or 1)
    operations = GPU_OPERATIONS if kind == "cuda" else CPU_OPERATIONS * cores
    a_token = flops_per_token(plan.sizes, length)
    if plan.teacher is not None:
        a_token += flops_per_token(plan.teacher, length) / FORWARD
    return operations / a_token, None


def _work_of(config: TrainConfig, plan: Plan) -> float | None:
    """What a token cost in an earlier task, or None if that does not compare: the model wrote most of them itself, or
    the sizes of its teacher are not known."""
    if isinstance(config, RolloutConfig):
        return None
    sizes = _sizes_of(config)
    if not isinstance(config, DistillConfig):
        return _work(sizes, None)
    ours = plan.config.from_teacher_weight if isinstance(plan.config, DistillConfig) else ""
    same = config.from_teacher_weight == ours
    teacher = plan.teacher if same else teacher_sizes(Path(config.from_teacher_weight))
    return None if teacher is None else _work(sizes, teacher)


def _sizes_of(config: TrainConfig) -> ModelSizes:
    """The sizes of an earlier task's model."""
    return model_sizes(config, Path(config.from_weight) if config.from_weight.startswith("/") else None)


def _work(sizes: ModelSizes, teacher: ModelSizes | None) -> float:
    """What a token costs, in parameters that are trained on it; those of a teacher only go forward."""
    return active_parameters(sizes) + (active_parameters(teacher) / FORWARD if teacher else 0)
