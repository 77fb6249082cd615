"""The training loop of the types that learn from rewards: the model answers prompts, the answers are rewarded, and it
learns to give the better ones.

A step has three phases, whose shares of its time are recorded: rollout, scoring (rewards and the reference), learning.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from transformers import PreTrainedModel

from trainer.advantages import Spread
from trainer.batches import Batch
from trainer.devices import finished_at
from trainer.errors import RewardError
from trainer.experience import Answer, answer_batch
from trainer.experts import use_grouped_experts
from trainer.loop import Loop
from trainer.losses import Objective
from trainer.names import Metric, reward_metric
from trainer.policy import frozen_scores
from trainer.prompts import Prompt, Prompts
from trainer.rewards import Rewards, Sample
from trainer.rl_config import RolloutConfig
from trainer.rollouts import Completion, GivenUp, RolloutEngine
from trainer.sample_log import SampleLog
from trainer.sampling import Sampling, draws
from trainer.session import Session
from trainer.supervised import Parts
from trainer.window import StepResult

log = logging.getLogger("trainer")
SHARES = {"rollout": Metric.ROLLOUT_SHARE, "scoring": Metric.SCORING_SHARE, "learning": Metric.LEARNING_SHARE}
EVALUATED_AT_ONCE = 64
"""Held-out prompts."""


class RolloutLoop(Loop, ABC):
    """What GRPO, SPO and PPO share. A subclass says how answers become updates."""

    eval_metric, train_metric = Metric.EVAL_REWARD, Metric.REWARD
    generations = 1
    """Answers to each prompt."""

    def __init__(
        self,
        config: RolloutConfig,
        session: Session,
        parts: Parts,
        reference: PreTrainedModel | None,
        objective: Objective,
    ) -> None:
        super().__init__(config, session, parts.model, parts.tokenizer, parts.rows, parts.eval_rows, objective)
        self.settings = config
        self.prompts, self.eval_prompts = cast(Prompts, parts.rows), cast(Prompts | None, parts.eval_rows)
        self.reference = reference
        if reference is not None:
            use_grouped_experts(reference.to(self.device), self.device, config.dtype)  # type: ignore[arg-type]
        self.rewards = Rewards(config.rewards, session.home, self.device, config.dtype, config.reward_errors)
        cache = session.task_dir.parent / ".cache" / "compile" / "triton"
        self.engine = RolloutEngine(self.model, _ends(parts), self.pad_id, self.device, config.dtype, cache)
        self.sampling = Sampling(config.max_gen_len, config.rollout_temperature, config.top_k, config.top_p)
        self.samples = SampleLog(session.task_dir)
        self._share_of_peak = None  # most of the work is no matrix product over a batch
        self._seconds: dict[str, float] = defaultdict(float)
        self._written = 0

    # One step -------------------------------------------------------------------------------------------------------

    def _learn(self) -> StepResult | None:
        if self.step == 0:
            self._evaluate()  # where it starts from
        if self._stopping():
            return None
        began = finished_at(self.device)
        try:
            groups = self._answers()
        except GivenUp:
            groups = []
        if self.ranks.totals([not groups])[0]:
            return None
        began = self._phase("rollout", began)
        parts = self._judge([answer for group in groups for answer in group])
        usable = [[answer for answer in group if not np.isnan(answer.reward)] for group in groups]
        batches = self.prepare(usable)
        began = self._phase("scoring", began)
        result = self.improve(batches)
        self._phase("learning", began)
        self._keep(groups)
        return replace(result, parts=result.parts | parts)

    def _stopping(self) -> bool:
        """Whether any process was asked to stop. Called by all of them."""
        return bool(self.ranks.totals([self.session.stop_requested])[0])

    @abstractmethod
    def prepare(self, groups: list[list[Answer]]) -> list[Any]:
        """What to learn from, made of the answers of each batch; their advantages are set."""

    def improve(self, prepared: list[Any]) -> StepResult:
        """Update the model."""
        batches = cast(list[Batch], prepared)
        count, tokens = map(int, self.ranks.totals([sum(b.count for b in batches), sum(b.tokens for b in batches)]))
        return self._update(batches, max(count, 1), tokens)

    def _phase(self, name: str, began: float) -> float:
        now = finished_at(self.device)
        self._seconds[name] += now - began
        return now

    # Answers --------------------------------------------------------------------------------------------------------

    def _answers(self) -> list[list[Answer]]:
        """This process's answers to the prompts of the step, a list for each batch; those to one prompt together."""
        epoch, batches = self.plan.epoch_of(self.step), self.plan.step_rows(self.step)
        place = {int(row): i for i, row in enumerate(np.concatenate(batches))}
        mine = [[int(row) for row in self.ranks.part(rows, self.prompts.lengths)] for rows in batches]
        each, limit = self.generations, self.settings.max_gen_len
        asked = [(row, self.prompts.get(row, epoch)) for rows in mine for row in rows]
        noise = [draws(self.config.seed, self.step, place[row] * each, each, limit) for row, _ in asked]
        written = iter(self._complete([p for _, p in asked for _ in range(each)], noise))
        found = iter(
            [Answer(place[row] * each + i, prompt, next(written)) for i in range(each)] for row, prompt in asked
        )
        groups = [[answer for _ in rows for answer in next(found)] for rows in mine]
        for group in groups:
            for answer in group:
                answer.text = self._text(answer.completion)
        return groups

    def _complete(self, prompts: list[Prompt], noise: list[np.ndarray]) -> list[Completion]:
        self.engine.refresh()
        if not prompts:
            return []
        noises = np.concatenate(noise)
        found = self.engine.generate([p.ids for p in prompts], self.sampling, noises, self._asked)
        self._written += sum(len(c.ids) for c in found)
        return found

    def _asked(self) -> bool:
        return self.session.stop_requested

    def _text(self, completion: Completion) -> str:
        ids = completion.ids[:-1] if completion.ended else completion.ids
        return str(self.tokenizer.decode(ids, skip_special_tokens=False))

    def batch_of(self, answers: Sequence[Answer], columns: Mapping[str, Sequence[np.ndarray]]) -> Batch:
        """A batch of answers with more numbers for each token; one that counts for nothing if there are none."""
        if answers:
            return answer_batch(answers, columns, self.config.packing, self.pad_id)
        nothing = Completion(np.array([self.pad_id]), np.zeros(1, dtype=np.float32), ended=False)
        one = [Answer(0, self.prompts.get(0, None), nothing)]
        return self.batch_of(one, {name: [np.zeros(1)] for name in columns}).empty()

    def compared(self, answers: Sequence[Answer], columns: Mapping[str, Sequence[np.ndarray]]) -> Batch:
        """As `batch_of`, with the log-probabilities of the reference and of the policy that wrote the answers; without
        the latter where they were drawn from some of the tokens only."""
        if not self.settings.truncated:
            columns = {**columns, "old": [a.completion.logps for a in answers]}
        batch = self.batch_of(answers, columns)
        if self.reference is not None:
            batch.extras["reference"] = self.scores(self.reference, batch)
        return batch

    def advantage_batches(self, groups: list[list[Answer]]) -> list[Batch]:
        """A batch of the answers of each group; all tokens of an answer have its advantage."""
        return [self.compared(a, {"advantage": [np.full(len(x), x.advantage) for x in a]}) for a in groups]

    def spread(self, values: Sequence[np.ndarray]) -> Spread:
        """How the numbers of all processes are spread."""
        own = Spread.of(values)
        return Spread(*self.ranks.totals([own.count, own.total, own.squares]))

    def scores(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Log-probabilities that a model gives to the tokens of answers, [tokens], on the CPU."""
        return frozen_scores(model, batch, self.settings.rollout_temperature, self.device, self.config.dtype)

    # Rewards --------------------------------------------------------------------------------------------------------

    def _judge(self, answers: list[Answer]) -> dict[Any, torch.Tensor]:
        """Reward the answers; this process's share of the means over all of them.

        Raises:
            RewardError: a reward failed, or all of them did.
        """
        scores, total, problems = self._rewarded(answers)
        failed = int(self.ranks.totals([len(problems)])[0])
        if failed:
            text = problems[0] if problems else "A reward failed in another process."
            more = f" ({failed - 1} more in this step)" if failed > 1 else ""
            self.session.event("reward_failed", f"Step {self.step + 1}: {text}{more}")
        cut = [not answer.completion.ended for answer in answers]
        columns = scores | {
            Metric.REWARD: total,
            Metric.ANSWER_LENGTH: np.array([len(a) for a in answers], dtype=float),
            Metric.TRUNCATED: np.array(cut, dtype=float),
            Metric.UNREWARDED: np.isnan(total).astype(float),
        }
        means = self._means({Metric.REWARD_STD: total**2} | columns)
        if np.isnan(means[Metric.REWARD]):
            raise RewardError(f"No answer of step {self.step + 1} could be rewarded.", "Correct the rewards.")
        means[Metric.REWARD_STD] = max(means[Metric.REWARD_STD] - means[Metric.REWARD] ** 2, 0.0) ** 0.5
        mine = 1.0 if self.ranks.first else 0.0  # the window adds the shares of all processes up
        return {name: torch.tensor(mine * value) for name, value in means.items()}

    def _rewarded(self, answers: list[Answer]) -> tuple[dict[str, np.ndarray], np.ndarray, list[str]]:
        table = self.rewards(
            [
                Sample(a.prompt.messages, a.text, a.prompt.gt, a.prompt.thinking, a.completion.ended, len(a))
                for a in answers
            ]
        )
        for index, answer in enumerate(answers):
            answer.scores = {name: float(each[index]) for name, each in table.scores.items()}
            answer.reward = float(table.total[index])
            if np.isnan(answer.reward):
                answer.problem = next((p for p in table.problems if f"sample {index + 1} of" in p), "no reward")
        return {reward_metric(name): each for name, each in table.scores.items()}, table.total, table.problems

    def _means(self, columns: dict[Any, np.ndarray]) -> dict[Any, float]:
        """The mean of each column over all processes, NaN left out."""
        sums = [value for each in columns.values() for value in (np.nansum(each), np.count_nonzero(~np.isnan(each)))]
        totals = self.ranks.totals([float(value) for value in sums])
        pairs = zip(columns, totals[::2], totals[1::2], strict=True)
        return {name: total / count if count else float("nan") for name, total, count in pairs}

    # Records --------------------------------------------------------------------------------------------------------

    def more_values(self) -> dict[str, float]:
        """Shares of the phases, and how fast answers were written by all processes."""
        whole = sum(self._seconds.values())
        values = {str(metric): self._seconds[name] / whole for name, metric in SHARES.items()} if whole else {}
        [written] = self.ranks.totals([self._written])
        if self._seconds["rollout"]:
            values[str(Metric.ROLLOUT_SPEED)] = written / self._seconds["rollout"]
        self._seconds.clear()
        self._written = 0
        return values

    def _keep(self, groups: list[list[Answer]]) -> None:
        if self.ranks.first and self.settings.samples_per_step:
            answers = [answer for group in groups for answer in group]
            self.samples.write(self.step + 1, answers[: self.settings.samples_per_step])

    def _resume(self) -> bool:
        resumed = super()._resume()
        if self.ranks.first:
            self.samples.forget_after(self.step)
        return resumed

    # Evaluation -----------------------------------------------------------------------------------------------------

    def _evaluate(self) -> float | None:
        """Answer the held-out prompts with the likeliest tokens, and record the mean rewards."""
        prompts = self.eval_prompts
        if prompts is None or not len(prompts):
            return None
        began = time.perf_counter()
        self.engine.refresh()
        answers: list[Answer] = []
        together = EVALUATED_AT_ONCE * self.ranks.count
        for first in range(0, len(prompts), together):
            given_up = False
            some = np.arange(first, min(first + together, len(prompts)))
            try:
                answers += self._likeliest(prompts, self.ranks.part(some, prompts.lengths))
            except GivenUp:
                given_up = True
            if self.ranks.totals([given_up or self.session.stop_requested])[0]:
                return None  # a stop must not wait for all of it
        scores, total, _ = self._rewarded(answers)
        names = {reward_metric(spec.key): reward_metric(spec.key, held_out=True) for spec in self.settings.rewards}
        means = self._means({Metric.EVAL_REWARD: total} | {names[key]: each for key, each in scores.items()})
        self.session.spool.metrics(self.step, {str(name): value for name, value in means.items()})
        log.info("step=%d %s", self.step, " ".join(f"{n.replace('/', '_')}={v:.4f}" for n, v in means.items()))
        self.window.leave_out(time.perf_counter() - began)
        return means[Metric.EVAL_REWARD]

    def _likeliest(self, prompts: Prompts, rows: np.ndarray) -> list[Answer]:
        """The answers to some prompts with the likeliest tokens."""
        some = [prompts.get(int(row), None) for row in rows]
        greedy = replace(self.sampling, temperature=0.0, top_k=0, top_p=1.0)
        noise = np.zeros((len(some), greedy.max_new_tokens))
        written = self.engine.generate([p.ids for p in some], greedy, noise, self._asked)
        return [Answer(0, p, c, self._text(c)) for p, c in zip(some, written, strict=True)]


def _ends(parts: Parts) -> set[int]:
    """Tokens that end an answer: what the tokenizer and the model say."""
    given = getattr(parts.model.generation_config, "eos_token_id", None)
    ends = [parts.tokenizer.eos_token_id, *(given if isinstance(given, list) else [given])]
    return {end for end in ends if isinstance(end, int)}
