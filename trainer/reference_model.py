"""The model that a training by rewards must stay close to: the base as it was, kept in the task directory, so that a
resume does not depend on what becomes of the base.

reference = keep_reference(task_dir, model, tokenizer, resumed=False, first=True)
"""

import copy
import shutil
from pathlib import Path

from transformers import PreTrainedModel

from trainer.attention import pack
from trainer.errors import BaseModelError
from trainer.models import load_folder, save_folder
from trainer.tokenization import ChatTokenizer

FOLDER = "reference"


def keep_reference(
    task_dir: Path, model: PreTrainedModel, tokenizer: ChatTokenizer, resumed: bool, packing: bool, first: bool
) -> PreTrainedModel:
    """A copy of the base, without gradients, in evaluation mode.

    Args:
        task_dir: where it is kept.
        model: the base, not trained yet; at a resume its weights do not count.
        tokenizer: of the base.
        resumed: whether to take what is kept.
        packing: whether rows are packed.
        first: whether this process writes.

    Raises:
        BaseModelError: a resume, and it is gone or has another size.
    """
    folder = task_dir / FOLDER
    if resumed:
        if not (folder / "config.json").is_file():
            raise BaseModelError(
                f"The reference model of this task is no longer at {folder}.",
                "Put it back, or start a new task from the last checkpoint.",
            )
        reference = load_folder(folder)
        _check_sizes(reference, model, folder)
    else:
        reference = copy.deepcopy(model)
        if first:
            _write(reference, tokenizer, folder)
    if packing:
        pack(reference)
    return reference.eval().requires_grad_(False)


def _check_sizes(reference: PreTrainedModel, model: PreTrainedModel, folder: Path) -> None:
    def sizes(of: PreTrainedModel) -> dict[str, tuple[int, ...]]:
        return {name: tuple(weight.shape) for name, weight in of.named_parameters()}

    theirs, ours = sizes(reference), sizes(model)
    wrong = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    if wrong:
        raise BaseModelError(
            f"The reference model in {folder} has another size than the model: {wrong[0]} is "
            f"{theirs.get(wrong[0], 'missing')}, and {ours.get(wrong[0], 'missing')} in the model.",
            "Put the right one back, or start a new task from the last checkpoint.",
        )


def drop_reference(task_dir: Path) -> None:
    """Remove it when it is needed no more."""
    shutil.rmtree(task_dir / FOLDER, ignore_errors=True)


def _write(model: PreTrainedModel, tokenizer: ChatTokenizer, folder: Path) -> None:
    temporary = folder.with_name(f".{FOLDER}.tmp")
    for left in (temporary, folder):
        shutil.rmtree(left, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_folder(model, tokenizer, temporary)
    temporary.rename(folder)
