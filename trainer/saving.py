"""When a loop saves: the checkpoint, its announcement to the registry, which old ones go, and what to do without room.

saver = Saver(loop)
saver.save(evaluate=True)
"""

import logging
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel

from trainer.checkpoints import Checkpoint, Checkpoints
from trainer.errors import DiskError
from trainer.model_files import WholeModel
from trainer.models import trainable_count
from trainer.names import Metric, Rule, Tag
from trainer.room import WAY_OUT, Room
from trainer.state import collect_state, save_state

if TYPE_CHECKING:
    from trainer.loop import Loop

log = logging.getLogger("trainer")
EVAL_TAGS = {Metric.EVAL_LOSS: Tag.EVAL_LOSS, Metric.EVAL_REWARD: Tag.EVAL_REWARD}
MOST_SKIPPED = 3
"""Checkpoints in a row for which there was no room, after which the training fails rather than work in vain."""
BYTES = 4
MOMENTS = 2


class Saver:
    """The checkpoints of a loop."""

    def __init__(self, loop: "Loop") -> None:
        config = loop.config
        self._loop = loop
        self.checkpoints = Checkpoints(
            loop.session.task_dir, config.keep_checkpoints, config.keep_best, config.keep_every
        )
        self.saved_step = 0
        self._skipped = 0
        self._room = Room(self.checkpoints, _first_guess(loop))

    @property
    def waits_for_room(self) -> bool:
        """Whether the newest checkpoint was skipped, so that the next occasion is to be taken."""
        return self._skipped > 0

    def save(self, evaluate: bool, must: bool = False) -> None:
        """Write a checkpoint, by all processes together. Without room for it, it is skipped with a word.

        Args:
            evaluate: measure the held-out rows first.
            must: write it in any case: nothing comes after it.

        Raises:
            DiskError: the disk refused one that must be, or several in a row.
        """
        loop = self._loop
        held_out = loop._evaluate() if evaluate else None
        problem = None if must else self._room.problem()
        before = replace(loop.session.best)
        if loop.ranks.all(problem is None):
            problem = self._save(held_out, evaluate)
            if loop.ranks.all(problem is None):
                self._skipped = 0
                return
            loop.session.best = before
        self._skip(problem or DiskError("Another process found no room on the disk.", WAY_OUT), must)

    def _save(self, held_out: float | None, evaluated: bool) -> DiskError | None:
        """Write it; what the disk said if it refused."""
        loop = self._loop
        name, value = (loop.train_metric, loop.last_value) if held_out is None else (loop.eval_metric, held_out)
        given_up = held_out is None and loop.eval_rows is not None and len(loop.eval_rows) > 0
        counts = evaluated and not given_up
        best = counts and loop.session.best.better(str(name), value, loop.step)
        began = time.perf_counter()
        model, state = loop.parallel.whole(), collect_state(loop)
        if loop.ranks.first:
            measured = {"metric": str(name), "value": value} if counts and math.isfinite(value) else {}
            try:
                self._write(model, state, held_out, best, measured)
            except DiskError as error:
                return error
        self.saved_step = loop.step
        seconds = time.perf_counter() - began
        loop.window.leave_out(seconds)
        log.info("Checkpoint of step %d written in %.1f s.", loop.step, seconds)
        return None

    def _write(
        self,
        model: PreTrainedModel,
        state: dict[str, Any],
        held_out: float | None,
        best: bool,
        measured: dict[str, Any],
    ) -> None:
        loop = self._loop

        def write_files(folder: Path) -> None:
            loop.files.save(model, loop.tokenizer, folder)
            save_state(loop, state, folder)

        about = {"tokens": loop.tokens_seen, "loss": loop.last_loss} | measured
        checkpoint = self.checkpoints.save(loop.step, write_files, about)
        self._announce(checkpoint, held_out, best)
        for old in self.checkpoints.surplus(loop.session.best.step if loop.session.best.name else None):
            self._remove(old)
        if warning := self._room.saved(checkpoint):
            loop.session.alarm(Rule.LOW_DISK, warning)

    def _announce(self, checkpoint: Checkpoint, held_out: float | None, best: bool) -> None:
        loop = self._loop
        tags = {
            Tag.TYPE: loop.config.type,
            Tag.TOKENS: str(loop.tokens_seen),
            Tag.LOSS: f"{loop.last_loss:.6g}",
            Tag.BYTES: str(sum(file.stat().st_size for file in checkpoint.path.glob("*.safetensors"))),
            Tag.PARAMETERS: str(loop.parameters),
            Tag.BASE: loop.config.from_weight,
            Tag.DATASET_SHA256: loop.rows.report.sha256,
        } | loop.files.tags(loop.model)
        if held_out is not None:
            tags[EVAL_TAGS[loop.eval_metric]] = f"{held_out:.6g}"
        loop.session.spool.write(
            "checkpoint",
            step=loop.step,
            path=checkpoint.relative,
            tags={str(k): v for k, v in tags.items()},
            best=best,
        )

    def _skip(self, problem: DiskError, must: bool) -> None:
        self._skipped += 1
        if must or self._skipped >= MOST_SKIPPED:
            raise problem
        kept = self.checkpoints.all()
        last = f"the last one is that of step {kept[-1].step}" if kept else "there is none yet"
        text = f"The checkpoint of step {self._loop.step} is skipped, {last}: {problem.message} {problem.hint}"
        self._loop.session.event("checkpoint_skipped", text, notify=self._loop.session.notifies(Rule.LOW_DISK))

    def drop_damaged(self, checkpoint: Checkpoint, damage: str) -> None:
        """A damaged checkpoint must not count among those that are kept."""
        name = checkpoint.path.name
        text = f"Checkpoint {name} is damaged ({damage}); going back to the one before."
        self._loop.session.event("checkpoint_fallback", text)
        self._remove(checkpoint)

    def _remove(self, checkpoint: Checkpoint) -> None:
        self.checkpoints.remove(checkpoint)
        self._loop.session.spool.write("checkpoint_removed", step=checkpoint.step, path=checkpoint.relative)


def _first_guess(loop: "Loop") -> int:
    """Bytes of a checkpoint: the weights that are saved, and two moments of those that are trained."""
    trained = trainable_count(loop.model)
    saved = loop.parameters if isinstance(loop.files, WholeModel) else trained
    return BYTES * (saved + MOMENTS * trained)
