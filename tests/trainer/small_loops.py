"""Real loops over real models of about 20,000 weights, for the tests and for the processes that they start."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from small_rows import ListRows

from trainer.configs import TrainConfig, parse_config
from trainer.overrides import Overrides

SUMS = [({"conversations": [{"role": "user", "content": f"{i} + {i} = ?"}], "gt": [str(2 * i)]}) for i in range(12)]
VOWELS = [{"kind": "regex", "pattern": "[aeiou]"}, {"kind": "length", "min_chars": 5, "max_chars": 20}]
OWN: dict[str, dict[str, Any]] = {
    "grpo": {"num_generations": 3},
    "spo": {"accumulation_steps": 2},
    "ppo": {"mini_batch_size": 2},
}


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


class NoTokenizer:
    """The loop only asks a tokenizer for its pad token and to save itself."""

    pad_token_id = 0
    bos_token_id = 1
    eos_token_id = 2

    def save_pretrained(self, folder: Path) -> None:
        (Path(folder) / "tokenizer.json").write_text("{}")


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

    chosen = small_config(folder, **values)
    overrides = Overrides.of_this_attempt(chosen)
    config = overrides.applied(chosen)
    session = Session.open(config, folder / name, folder, name, tracked=False, overrides=overrides)
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
    chosen = small_config(folder, kind, **given | OWN[kind] | values)
    overrides = Overrides.of_this_attempt(chosen)
    config: Any = overrides.applied(chosen)
    tokenizer = load_tokenizer(None)
    session = Session.open(config, folder / name, folder, name, tracked=False, overrides=overrides)
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
