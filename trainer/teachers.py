"""The teacher of a distillation: found, checked against the student, frozen, and known again at a resume.

teacher = load_teacher(config, student, tokenizer, session.home)
keep_teacher(session.task_dir, config.from_teacher_weight, teacher, resumed=False)
"""

import json
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel

from trainer.base_sizes import tokenizer_of
from trainer.bases import Base, find_base, load_base, record_of
from trainer.checkpoints import keep_for_others
from trainer.configs import DistillConfig
from trainer.errors import BaseModelError
from trainer.names import TaskFile
from trainer.session import write_json
from trainer.tokenization import ChatTokenizer, load_tokenizer, tokenizer_hash


@dataclass(frozen=True)
class Teacher:
    """A model to learn from."""

    model: PreTrainedModel
    """In evaluation mode and without gradients."""
    sha256: str
    """Fingerprint of its weights."""


def load_teacher(config: DistillConfig, student: PreTrainedModel, tokenizer: ChatTokenizer, home: Path) -> Teacher:
    """The teacher, on the CPU.

    Args:
        config: names the teacher.
        student: the model that will learn from it.
        tokenizer: the student's.
        home: folder that relative paths start from.

    Raises:
        BaseModelError: there is no such teacher, or its words are not those of the student.
    """
    base = find_base(
        config.from_teacher_weight,
        config.teacher_hidden_size,
        config.teacher_use_moe,
        config.save_dir,
        home,
        option="from_teacher_weight",
    )
    path = base.path
    assert path is not None  # the settings say that there is a teacher
    keep_for_others(path)  # a resume needs it again
    _check_tokenizer(base, path, tokenizer, named=bool(config.tokenizer_path))
    model = load_base(base, tokenizer)
    _check_sizes(config, model, student, path)
    return Teacher(model.eval().requires_grad_(False), record_of(base, model, tokenizer).sha256)


def keep_teacher(task_dir: Path, name: str, teacher: Teacher, resumed: bool) -> None:
    """Note which teacher a task has, or at a resume see that it is still the same.

    Raises:
        BaseModelError: its weights have changed since the task began.
    """
    file, now = task_dir / TaskFile.TEACHER, teacher.sha256
    if resumed and file.is_file():
        was = json.loads(file.read_text(encoding="utf-8"))["sha256"]
        if was != now:
            raise BaseModelError(
                f"The teacher {name} has changed since this task began (SHA-256 {was[:12]}… then, {now[:12]}… now).",
                "Put the old weights back, or start a new task from the last checkpoint.",
            )
    else:
        write_json(file, {"from_teacher_weight": name, "sha256": now})


def _check_tokenizer(base: Base, path: Path, tokenizer: ChatTokenizer, named: bool) -> None:
    """The teacher's opinion on token 17 is of use only where token 17 is the same word for the student."""
    ours, count = tokenizer_hash(tokenizer), ""
    if base.tokenizer_folder is not None:
        own = load_tokenizer(str(base.tokenizer_folder))
        theirs, count = tokenizer_hash(own), f"{len(own)} entries, "
    else:
        theirs = tokenizer_of(path)
    if not theirs and not named:
        raise BaseModelError(
            f"The teacher {path} does not tell which tokenizer it was trained with.",
            "Name the folder of its tokenizer in tokenizer_path, if it is the student's too.",
        )
    if theirs and theirs != ours:
        raise BaseModelError(
            f"The teacher {path} has another tokenizer ({count}hash {theirs[:12]}) than the student "
            f"({tokenizer.name_or_path}, {len(tokenizer)} entries, hash {ours[:12]}).",
            "A student learns only from a teacher with its own tokenizer: choose another teacher or another student.",
        )


def _check_sizes(config: DistillConfig, teacher: PreTrainedModel, student: PreTrainedModel, path: Path) -> None:
    layers = teacher.config.num_hidden_layers
    if config.teacher_num_layers not in (0, layers):
        raise BaseModelError(
            f"The teacher {path} has {layers} layers, but teacher_num_layers says {config.teacher_num_layers}.",
            "Leave teacher_num_layers at 0, or choose another teacher.",
        )
    theirs = teacher.get_input_embeddings().num_embeddings  # type: ignore[union-attr]
    ours = student.get_input_embeddings().num_embeddings  # type: ignore[union-attr]
    if theirs < ours:  # type: ignore[operator]
        raise BaseModelError(
            f"The teacher {path} has {theirs} token embeddings, the student {ours}: it cannot judge all tokens.",
            "Choose a teacher with the student's tokenizer.",
        )
