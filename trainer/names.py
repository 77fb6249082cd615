"""Every name that leaves this process: metrics, tags, statuses, files. A literal elsewhere is a mistake."""

from enum import StrEnum


class Metric(StrEnum):
    """Keys of the series in MLflow. MLflow groups its charts by the part before the slash."""

    LOSS = "train/loss"
    LOSS_MIN = "train/loss_min"
    LOSS_MAX = "train/loss_max"
    AUX_LOSS = "train/aux_loss"
    CE_LOSS = "train/ce_loss"
    """Plain cross-entropy, where the loss is made of more."""
    KL_LOSS = "train/kl_loss"
    """Distance to the teacher, as it goes into the loss."""
    REWARD = "train/reward"
    """Weighted sum of the rewards of an answer, mean over the answers."""
    REWARD_STD = "train/reward_std"
    KL = "train/kl"
    """Distance to the reference model, per token."""
    APPROX_KL = "train/approx_kl"
    """Distance to the model that wrote the answers, per token."""
    POLICY_LOSS = "train/policy_loss"
    VALUE_LOSS = "train/value_loss"
    CLIP_FRACTION = "train/clip_fraction"
    """Share of the tokens whose change in probability was limited."""
    UPDATES = "train/updates"
    """Optimizer updates made from the answers of a step."""
    BASELINE = "train/baseline"
    """Reward that is expected of an answer."""
    ANSWER_LENGTH = "rollout/length"
    """Tokens of an answer."""
    TRUNCATED = "rollout/truncated"
    """Share of the answers that were cut at max_gen_len."""
    UNREWARDED = "rollout/unrewarded"
    """Share of the answers whose reward could not be computed, which are left out."""
    LOGP_GAP = "rollout/logp_gap"
    """Mean difference, without sign, of the log-probability that a token was drawn with and the one learned from."""
    ROLLOUT_SPEED = "rollout/tokens_per_second"
    DPO_ACCURACY = "dpo/accuracy"
    """Share of the pairs whose chosen answer has gained more on the reference than the rejected one."""
    DPO_MARGIN = "dpo/margin"
    DPO_CHOSEN_REWARD = "dpo/chosen_reward"
    """beta times how much more likely the chosen answer is than for the reference."""
    DPO_REJECTED_REWARD = "dpo/rejected_reward"
    DPO_CHOSEN_LOGP = "dpo/chosen_logp"
    """Mean log-probability a token of the chosen answers."""
    DPO_REJECTED_LOGP = "dpo/rejected_logp"
    LEARNING_RATE = "train/learning_rate"
    GRAD_NORM = "train/grad_norm"
    EPOCH = "train/epoch"
    TOKENS = "train/tokens"
    EVAL_LOSS = "eval/loss"
    EVAL_ACCURACY = "eval/accuracy"
    EVAL_MARGIN = "eval/margin"
    EVAL_CHOSEN_REWARD = "eval/chosen_reward"
    EVAL_REJECTED_REWARD = "eval/rejected_reward"
    EVAL_CHOSEN_LOGP = "eval/chosen_logp"
    EVAL_REJECTED_LOGP = "eval/rejected_logp"
    EVAL_REWARD = "eval/reward"
    TOKENS_PER_SECOND = "perf/tokens_per_second"
    STEP_SECONDS = "perf/step_seconds"
    MFU = "perf/mfu"
    ROLLOUT_SHARE = "perf/rollout_share"
    """Share of a step's time in which answers are written; the others likewise."""
    SCORING_SHARE = "perf/scoring_share"
    LEARNING_SHARE = "perf/learning_share"
    COMPILE_SECONDS = "perf/compile_seconds"
    CPU_PERCENT = "system/cpu_percent"
    MEMORY_MB = "system/memory_mb"
    GPU_MEMORY_MB = "system/gpu_memory_mb"
    GPU_PERCENT = "system/gpu_percent"
    """Share of the time in which the GPU computed; with several, their mean."""
    SWEEP_BEST = "sweep/best_value"
    """Of the run of a sweep, by the number of trials that have ended, as those below."""
    SWEEP_TRIALS = "sweep/trials"
    SWEEP_PRUNED = "sweep/pruned"
    SWEEP_FAILED = "sweep/failed"


HIGHER_IS_BETTER = frozenset({Metric.EVAL_REWARD, Metric.REWARD})
"""What the best checkpoint has the most of; of all else it has the least."""


def reward_metric(name: str, held_out: bool = False) -> str:
    """Key of the series of one reward."""
    return f"{'eval' if held_out else 'reward'}/{name}"


class Tag(StrEnum):
    """Tags on MLflow runs and model versions."""

    KIND = "minimind.kind"
    TYPE = "minimind.type"
    STATE = "minimind.state"
    ATTEMPT = "minimind.attempt"
    SUBMIT_KEY = "minimind.submit_key"
    PARENT = "minimind.parent"
    PARENT_RUN = "mlflow.parentRunId"
    """MLflow nests a run under this one."""
    TRIAL = "minimind.trial"
    """Number of a trial in its sweep."""
    TRIAL_STATE = "minimind.trial_state"
    TRIAL_REASON = "minimind.trial_reason"
    BEST_TRIAL = "minimind.best_trial"
    BEST_TASK = "minimind.best_task"
    BASE = "minimind.base"
    DATASET_SHA256 = "minimind.dataset_sha256"
    STEP = "minimind.step"
    TOKENS = "minimind.tokens"
    LOSS = "minimind.loss"
    EVAL_LOSS = "minimind.eval_loss"
    EVAL_REWARD = "minimind.eval_reward"
    BYTES = "minimind.bytes"
    SHA256 = "minimind.sha256"
    PARAMETERS = "minimind.parameters"
    TRAINABLE = "minimind.trainable_parameters"
    """Of a training that leaves part of the weights as they are."""
    LORA_RANK = "minimind.lora_rank"
    BASE_SHA256 = "minimind.base_sha256"
    TASK_NAME = "minimind.task_name"
    OVERRIDES = "minimind.overrides"
    """Settings that the newest attempt has instead of the run's parameters, as JSON."""


class Alias(StrEnum):
    """Movable names of model versions. MLflow reserves `latest`."""

    LAST = "last"
    BEST = "best"


class Rule(StrEnum):
    """What the watchdog looks for; `watch_…` in the settings says what happens then, an event of this name tells it."""

    NAN = "nan"
    LOSS_SPIKE = "loss_spike"
    STALLED_STEP = "stalled_step"
    NO_PROGRESS = "no_progress"
    """Seen by the scheduler, from outside."""
    IDLE_GPU = "idle_gpu"
    SLOW_DATA = "slow_data"
    LOW_DISK = "low_disk"


class RunStatus(StrEnum):
    """MLflow's five run statuses."""

    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class Outcome(StrEnum):
    """How a trainer process ended, as written to `result.json`."""

    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"


class ErrorClass(StrEnum):
    """Why a training failed; decides whether the scheduler may try again."""

    SETTINGS = "settings"
    """Settings that cannot work. Never retried."""
    DATA = "data"
    """A data file that is missing, broken or unusable. Never retried."""
    DATA_CHANGED = "data_changed"
    """The data is not what it was at the checkpoint. Resumed only when a person says so."""
    BASE = "base"
    """Base weights that are missing or do not fit. Never retried."""
    REWARD = "reward"
    """A reward that cannot be computed. Never retried."""
    DIVERGED = "diverged"
    """The loss became NaN or infinite. Retried once, from the last good checkpoint at half the rate."""
    OUT_OF_MEMORY = "out_of_memory"
    """The device had too little memory. Retried with fewer rows at once and as many a step."""
    DISK = "disk"
    """No space left, or the disk refused to write. Retried as a loss is."""
    LOST = "lost"
    """Its process vanished again and again, for reasons outside of it."""
    KILLED = "killed"
    """One of several processes was killed from outside. Tried again, as when the only one is."""
    WATCHDOG = "watchdog"
    """No failure: the watchdog has stopped it, as its settings say."""
    INTERNAL = "internal"
    """An exception that we did not foresee."""


BAD_INPUT = (ErrorClass.SETTINGS, ErrorClass.DATA, ErrorClass.DATA_CHANGED, ErrorClass.BASE)
"""Failures that a person's settings or data caused: exit code 2."""


class ExitCode:
    """Exit codes of `python -m trainer`. A process in between may hide them, so `result.json` is what counts."""

    FINISHED = 0
    FAILED = 1
    BAD_INPUT = 2
    STOPPED = 143


class TaskFile(StrEnum):
    """Files of a task directory `out/<run_id>/`."""

    CONFIG = "config.json"
    LOG = "log.txt"
    METRICS = "metrics.jsonl"
    OFFSET = "spool.offset"
    RESULT = "result.json"
    TEACHER = "teacher.json"
    SAMPLES = "samples.jsonl"
    """Answers that the model wrote while it learned from rewards."""
    REFERENCE = "reference.npz"
    CHECKPOINTS = "checkpoints"
    FORCE = "force"
    """In the folder of an attempt: it goes on even if the data has changed."""
    OVERRIDES = "overrides.json"
    """In the folder of an attempt: settings that it has instead of those of the task."""


class Env(StrEnum):
    """Environment variables that the runner sets for a trainer."""

    TRACKING_URI = "MLFLOW_TRACKING_URI"
    RUN_ID = "MLFLOW_RUN_ID"
    TASK_DIR = "MINIMIND_TASK_DIR"
    ARTIFACTS_DIR = "MINIMIND_ARTIFACTS_DIR"
    """Local folder behind MLflow's artifact store, if it is on this machine: checkpoints are hard-linked into it."""
    HOME = "MINIMIND_HOME"
    ATTEMPT = "MINIMIND_ATTEMPT"
    """Directory of the attempt, `…/attempt-N`; also marks the processes that belong to it."""

    FORCE = "MINIMIND_FORCE"
    """1: go on even if the data has changed since the checkpoint."""

    REWARD_MODULES = "MINIMIND_REWARD_MODULES"
    """Python modules that reward functions may come from, with commas between. Set by an administrator."""

    # What the launcher tells each of several processes
    RANK = "MINIMIND_RANK"
    RANKS = "MINIMIND_RANKS"
    """How many there are."""
    STORE_PORT = "MINIMIND_STORE_PORT"
    """Where they meet, on 127.0.0.1."""
    STORE_SOCKET = "MINIMIND_STORE_SOCKET"
    """The open socket of that port, for the first of them."""
    LAUNCHER = "MINIMIND_LAUNCHER"
    """Process that started them."""
