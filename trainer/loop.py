"""The training loop, the same for every supervised type: steps, evaluation, records, checkpoints, stop and resume.

Loop(config, session, model, tokenizer, rows, eval_rows, objective).run()
"""

import logging
import math
import time
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trainer.attention import pack
from trainer.batches import Batch, StepPlan
from trainer.compiling import compiled, compiled_graphs
from trainer.configs import TrainConfig
from trainer.data import Rows
from trainer.devices import autocast, finished_at, pick_device
from trainer.errors import DivergedError
from trainer.experts import use_grouped_experts
from trainer.losses import Measure, Objective, evaluate, held_out_loss, next_token_loss
from trainer.model_files import ModelFiles, WholeModel
from trainer.models import parameter_count, trainable_count
from trainer.names import Metric, Outcome, Rule, Tag
from trainer.optim import learning_rate, make_optimizer, peak_share
from trainer.parallel import Parallel
from trainer.saving import Saver
from trainer.session import Session
from trainer.state import load_state
from trainer.system import SystemSampler, gpu_busy
from trainer.watchdog import Watchdog
from trainer.window import StepResult, Window

log = logging.getLogger("trainer")
MAX_POINTS = 10_000
"""Points of a curve that a run aims at."""
MAX_SKIPPED = 100
"""Bad steps in a row after which skipping is given up."""


class Loop:
    """One run of one model over one set of rows."""

    eval_metric, train_metric = Metric.EVAL_LOSS, Metric.LOSS
    """What tells the best checkpoint: the first, or the second where nothing is held out."""
    update_name = "Step {step}"

    def __init__(
        self,
        config: TrainConfig,
        session: Session,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        rows: Rows,
        eval_rows: Rows | None,
        objective: Objective = next_token_loss,
        files: ModelFiles | None = None,
        measure: Measure = held_out_loss,
    ) -> None:
        self.measure = measure
        self.config, self.session, self.tokenizer = config, session, tokenizer
        self.files = files or WholeModel()
        self.rows, self.eval_rows = rows, eval_rows
        self.ranks = session.ranks
        self.device = pick_device(config.device, self.ranks)
        if config.packing:
            pack(model)
        if config.gradient_checkpointing:
            model.gradient_checkpointing_enable()
        self.parameters = parameter_count(model)
        self.model = model
        use_grouped_experts(model, self.device, config.dtype)
        # The loss is compiled together with the model, so that the logits need no passes of their own.
        cache = session.task_dir.parent / ".cache" / "compile"
        self.objective: Any = compiled(objective, cache) if config.compile else objective
        self.parallel = Parallel(model, self.objective, config, self.ranks, self.device)
        if self.ranks.rank:
            self.seed(0)
        self.optimizer = make_optimizer(self.model, config)
        self.scaler = torch.amp.GradScaler(enabled=self.device.type == "cuda" and config.dtype == "float16")
        chosen = config.model_copy(update=session.overrides.chosen)
        self.plan = StepPlan(
            len(rows),
            chosen.batch_size,
            chosen.accumulation_steps,
            config.epochs,
            config.seed,
            config.max_steps,
            at_once=config.batch_size,
        )
        total = self.plan.total_steps
        self.log_interval = config.log_interval or max(1, total // MAX_POINTS)
        self.eval_interval = config.eval_interval or math.ceil(total / 10)
        self.save_interval = config.save_interval or 2 * math.ceil(total / 10)
        self._share_of_peak = peak_share(model, rows.report, self.device, self.ranks)
        self.saver = Saver(self)
        self.checkpoints = self.saver.checkpoints
        self.pad_id = int(tokenizer.pad_token_id or 0)  # type: ignore[arg-type]
        self.step = 0
        self.tokens_seen = 0
        self.window = Window(self.scaler.is_enabled())
        self._skipped = 0
        self._last_line = time.monotonic()
        self._tokens_at_line = 0
        self.last_loss = self.last_value = float("nan")
        self.watch = Watchdog(session, self.eval_metric is Metric.EVAL_LOSS, gpu_busy(self.device))
        self._told_nan = False

    # The run --------------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Train to the end, or until asked to stop."""
        resumed = self._resume()
        parameters = self.parameters
        total = self.plan.total_steps
        log.info(
            "%s %d rows, %d steps, %.2fM parameters on %s.",
            f"Going on at step {self.step}:" if resumed else "Training",
            len(self.rows),
            total,
            parameters / 1e6,
            self.device,
        )
        trainable = trainable_count(self.model)
        if trainable != parameters:
            log.info("%d of %d parameters are trained (%.2f %%).", trainable, parameters, 100 * trainable / parameters)
        self.session.begin(total, self.config.epochs, parameters, str(self.device), self.step)
        self.session.spool.write("tags", values={Tag.PARAMETERS: str(parameters)} | self.files.tags(self.model))
        self.model.train()
        with SystemSampler(self.session, self.device), self.watch:
            self.window.restart_clock()
            self._last_line, self._tokens_at_line = time.monotonic(), self.tokens_seen
            while self.step < total and self._one_step():
                pass
        if self.step < total:
            self._record()
            if self.step != self.saver.saved_step:
                self.saver.save(evaluate=False, must=True)
            log.info("Stopped at step %d of %d; a resume goes on from here.", self.step, total)
            return Outcome.STOPPED
        log.info("Finished %d steps.", total)
        return Outcome.FINISHED

    def seed(self, step: int) -> None:
        """Random numbers of this process's own."""
        torch.manual_seed(hash((self.config.seed, self.ranks.rank, step)) % 2**63)

    def more_values(self) -> dict[str, float]:
        """What a training type records of the last window beside the means of its steps."""
        return {}

    def own_state(self) -> dict[str, Any]:
        """What a training type needs to go on beside weights and optimizer: tensors and numbers."""
        return {}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Put back what `own_state` gave."""

    def _one_step(self) -> bool:
        """Do a step and what is due after it; False instead if any process was asked to stop."""
        with self.watch.step():
            if not self._step_and_record():
                return False
        last = self.step == self.plan.total_steps
        saving = last or self.step % self.save_interval == 0 or self.session.save_requested
        self.session.save_requested = False
        evaluating = self.step % self.eval_interval == 0
        if saving or (evaluating and self.saver.waits_for_room):
            self.saver.save(evaluate=True, must=last)
        elif evaluating:
            self._evaluate()
        return True

    def _step_and_record(self) -> bool:
        graphs, began = compiled_graphs(), time.perf_counter()
        result = self._learn()
        if result is None:
            return False
        self.step += 1
        if compiled_graphs() > graphs:
            self._compiled(time.perf_counter() - began)
        self.session.step = self.step
        self.tokens_seen += result.tokens
        self.window.add(result)
        if self._due():
            self._record()
        return True

    def _due(self) -> bool:
        """Whether a record is to be made after this step; before each planned checkpoint there is one."""
        intervals = (self.save_interval, self.log_interval)
        return self.step == self.plan.total_steps or any(self.step % each == 0 for each in intervals)

    def _compiled(self, seconds: float) -> None:
        """The step that compiled is no measure of the speed."""
        log.info("Compiling took %.0f s; the next run of this model finds it in the cache.", seconds)
        self.session.spool.system(self.step, {str(Metric.COMPILE_SECONDS): seconds})
        self.window.leave_out(seconds)
        self._last_line += seconds

    # One step -------------------------------------------------------------------------------------------------------

    def _learn(self) -> StepResult | None:
        """One optimizer step; None instead if any process was asked to stop."""
        with self.watch.loading():
            batches = self._batches()
        sums = [sum(b.count for b in batches), sum(b.tokens for b in batches), self.session.stop_requested]
        count, tokens, stop = map(int, self.ranks.totals(sums))
        return None if stop else self._update(batches, count, tokens)

    def _batches(self) -> list[Batch]:
        """This process's part of the batches of the next step."""
        epoch = self.plan.epoch_of(self.step)
        return [self._batch(self.rows, indices, epoch) for indices in self.plan.step_rows(self.step)]

    def _batch(self, rows: Rows, indices: np.ndarray, epoch: int | None) -> Batch:
        mine = self.ranks.part(indices, rows.lengths) if self.ranks.count > 1 else indices
        if len(mine):
            return rows.batch(mine, epoch, self.config.packing, self.pad_id)
        return rows.batch(indices[:1], epoch, self.config.packing, self.pad_id).empty()

    def _update(self, batches: list[Batch], count: int, tokens: int) -> StepResult:
        """One optimizer step: all that its batches count, on all processes, weighs the same."""
        loss, sums = self._backward(batches, count)
        return StepResult(self.step + 1, loss, self._apply(loss), count, tokens, sums)

    def _backward(self, batches: list[Batch], count: int) -> tuple[torch.Tensor, dict[Metric, torch.Tensor]]:
        """Gradients of the mean loss over `count`; this process's share of that mean and of its parts."""
        loss = torch.zeros((), device=self.device)
        sums: dict[Metric, torch.Tensor] = {}
        for batch in batches:
            with self.parallel.adding_up(last=batch is batches[-1]):
                with autocast(self.device, self.config.dtype):
                    result = self.parallel.loss(batch.to(self.device))
                share = result.total / count
                loss += share.detach()
                parts = {name: value / count for name, value in result.parts.items()}
                if result.aux is not None:
                    weighted = result.aux * (batch.count / count)
                    parts[Metric.AUX_LOSS] = weighted.detach()
                    share = share + weighted
                self.scaler.scale(share * self.parallel.scale).backward()
            for name, value in parts.items():
                sums[name] = sums[name] + value if name in sums else value
        return loss, sums

    def _apply(self, loss: torch.Tensor) -> torch.Tensor:
        """Clip, and take the step unless it would do harm."""
        self.scaler.unscale_(self.optimizer)
        limit = self.config.grad_clip or float("inf")
        norm = self._clip(limit)
        rate = learning_rate(self.config, self.plan, self.step + 1)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        # On the CPU, and where bad steps are to be skipped, look before the weights are touched. Else the window looks
        # when it closes, so that a GPU never waits for the host.
        looks = self.device.type == "cpu" or self.config.nan_policy == "skip"
        if not looks or self.ranks.all(bool(torch.isfinite(loss) & torch.isfinite(norm))):
            self.scaler.step(self.optimizer)
            self._skipped = 0
        elif self.config.nan_policy == "skip":
            self._skipped += 1
            what = self.update_name.format(step=self.step + 1)
            self.session.event("step_skipped", f"{what} skipped: its loss or gradient is not finite.")
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def _clip(self, limit: float) -> torch.Tensor:
        """Scale the gradients down to a norm; the norm before."""
        return self.parallel.clip(limit)

    # Records --------------------------------------------------------------------------------------------------------

    def _record(self) -> None:
        if not len(self.window):
            return
        closed = self.window.close(self.ranks)
        rate = learning_rate(self.config, self.plan, self.step)
        epoch = self.plan.batches_done(self.step) / self.plan.batches_per_epoch
        values = closed.values | {
            str(Metric.LEARNING_RATE): rate,
            str(Metric.EPOCH): epoch,
            str(Metric.TOKENS): float(self.tokens_seen),
        }
        if self._share_of_peak is not None:
            values[str(Metric.MFU)] = closed.values[Metric.TOKENS_PER_SECOND] * self._share_of_peak
        values |= self.more_values()
        self.session.spool.metrics(self.step, values)
        self.last_loss, self.last_value = closed.values[Metric.LOSS], closed.values[self.train_metric]
        self._log_line(values)
        if closed.bad is not None:
            self._bad_step(closed.bad)
        elif math.isfinite(self.last_loss):
            self.watch.recorded(self.last_loss)
        if self.scaler.is_enabled() and self.scaler.get_scale() < 1:
            raise DivergedError(
                f"The gradients up to step {self.step} overflow float16 again and again.",
                "Set dtype to bfloat16 or float32, or lower learning_rate.",
            )

    def _log_line(self, values: dict[str, float]) -> None:
        """At most one line a second, so that a fast run does not fill the disk."""
        now = time.monotonic()
        if now - self._last_line < 1 and self.step != self.plan.total_steps:
            return
        speed = (self.tokens_seen - self._tokens_at_line) / (now - self._last_line)
        self._last_line, self._tokens_at_line = now, self.tokens_seen
        reward = f" reward={values[Metric.REWARD]:.4f}" if Metric.REWARD in values else ""
        log.info(
            "step=%d/%d epoch=%.2f loss=%.4f%s lr=%.3e grad_norm=%.3f tok/s=%.0f",
            self.step,
            self.plan.total_steps,
            values[Metric.EPOCH],
            values[Metric.LOSS],
            reward,
            values[Metric.LEARNING_RATE],
            values[Metric.GRAD_NORM],
            speed,
        )

    def _bad_step(self, bad: StepResult) -> None:
        if not self._told_nan:
            text = f"The loss of step {bad.step} is not finite (loss {float(bad.loss):g})."
            self.session.alarm(Rule.NAN, text)
            self._told_nan = True
        if self.config.nan_policy == "skip" and self._skipped < MAX_SKIPPED:
            return
        used = np.concatenate(self.plan.step_rows(bad.step - 1)).tolist()
        rows = ("first " if len(used) > 8 else "") + self.rows.places(used[:8])
        kept = self.checkpoints.all()
        where = f"the checkpoint of step {kept[-1].step} is good" if kept else "no checkpoint was written yet"
        raise DivergedError(
            f"The loss of step {bad.step} is not finite (loss {float(bad.loss):g}, gradient norm "
            f"{float(bad.grad_norm):g}); the step used {rows}.",
            f"Lower learning_rate or grad_clip and look at those rows; {where}.",
        )

    # Evaluation -----------------------------------------------------------------------------------------------------

    def _evaluate(self) -> float | None:
        """Measure the held-out rows, and return what tells the best checkpoint. Leaves no trace in the training."""
        rows, size = self.eval_rows, self.config.batch_size
        if rows is None or not len(rows):
            return None
        began = finished_at(self.device)
        groups = (np.arange(first, min(first + size, len(rows))) for first in range(0, len(rows), size))
        batches = (self._batch(rows, indices, None) for indices in groups)
        found = evaluate(self.measure, self.model, batches, self.device, self.config.dtype, self.ranks)
        self.session.spool.metrics(self.step, {str(name): value for name, value in found.items()})
        log.info("step=%d %s", self.step, " ".join(f"{n.replace('/', '_')}={v:.4f}" for n, v in found.items()))
        self.window.leave_out(finished_at(self.device) - began)
        return found[self.eval_metric]

    # Resume ---------------------------------------------------------------------------------------------------------

    def _resume(self) -> bool:
        found = self.checkpoints.newest_good(self.saver.drop_damaged) if self.ranks.first else None
        [step] = map(int, self.ranks.totals([found.step if found else -1 if self.ranks.first else 0]))
        if step < 0:
            return False
        load_state(self, self.checkpoints.at(step).path)
        self.saver.saved_step = self.step
        return True
