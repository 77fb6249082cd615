"""Whether weights and the tokenizer that a training would use belong together, as far as files tell it without torch.
The trainer checks the same again, with everything loaded.

    problem = base_problem(checked.config, checked.base)
    problem = teacher_problem(checked.config, checked.base, checked.teacher)
"""

from pathlib import Path

from minimind_platform.errors import Problem
from minimind_platform.preflight import tokenizer_file
from minimind_platform.weights import Base
from trainer.base_sizes import tokenizer_of
from trainer.configs import TrainConfig
from trainer.tokenizer_files import TOKENIZER, tokenizer_fingerprint, words


def base_problem(config: TrainConfig, base: Base | None) -> Problem | None:
    """Base weights of another tokenizer than the one that would be used."""
    if base is None or base.path is None:
        return None
    values = {"base": str(base.path)}
    if _unknown(base.path) and not config.tokenizer_path:
        text = (
            f"{base.path} does not tell which tokenizer it was trained with. Name the folder of its tokenizer here; "
            "for MiniMind's released weights that is MiniMind's own folder `model`."
        )
        return Problem("tokenizer_path", "tokenizer_unknown", text, values)
    if not _differ(tokenizer_file(config, base.folder).parent, base.path):
        return None
    if base.folder is not None:
        text = f"This is not the tokenizer of the base weights {base.path}. Leave it empty: the base brings its own."
        return Problem("tokenizer_path", "tokenizer_not_of_base", text, values)
    used = config.tokenizer_path or "the one that ships with MiniMind Platform"
    text = f"{base.path} was trained with another tokenizer than {used}. Name the folder of its tokenizer here."
    return Problem("tokenizer_path", "tokenizer_of_other_base", text, values)


def teacher_problem(config: TrainConfig, base: Base | None, teacher: Base | None) -> Problem | None:
    """A teacher with other words than the student: its opinion on token 17 is of no use."""
    if teacher is None or teacher.path is None:
        return None
    values = {"teacher": str(teacher.path)}
    if _unknown(teacher.path) and not config.tokenizer_path:
        text = (
            f"The teacher {teacher.path} does not tell which tokenizer it was trained with. Name the folder of its "
            "tokenizer in tokenizer_path, if it is the student's too."
        )
        return Problem("from_teacher_weight", "teacher_tokenizer_unknown", text, values)
    student = base.folder if base else None
    if student is not None and not (config.tokenizer_path or (student / TOKENIZER).is_file()):
        return None  # of a kind that only the trainer can read
    if not _differ(tokenizer_file(config, student).parent, teacher.path):
        return None
    text = (
        f"The teacher {teacher.path} has another tokenizer than the student. A student learns only from a teacher with "
        "its own tokenizer: choose another teacher or another student."
    )
    return Problem("from_teacher_weight", "teacher_tokenizer", text, values)


def _unknown(weights: Path) -> bool:
    """Whether nobody has noted what tokenizer a weight file belongs to; a folder brings its own."""
    return weights.is_file() and not tokenizer_of(weights)


def _differ(used: Path, weights: Path) -> bool:
    """Whether the tokenizer in a folder is surely not the one of some weights."""
    ours = tokenizer_fingerprint(used)
    theirs = tokenizer_of(weights) if weights.is_file() else tokenizer_fingerprint(weights)
    if ours and theirs:
        return ours != theirs
    if weights.is_file():
        return False
    mine, other = words(used), words(weights)
    return mine is not None and other is not None and mine != other
