"""White-box distillation: a small student learns from the answers and from a larger teacher's probabilities."""

from trainer.attention import pack
from trainer.configs import DistillConfig
from trainer.distillation import Distillation
from trainer.experts import use_grouped_experts
from trainer.loop import Loop
from trainer.names import Outcome
from trainer.session import Session
from trainer.supervised import export_minimind, prepare
from trainer.teachers import keep_teacher, load_teacher


def train(config: DistillConfig, session: Session) -> Outcome:
    """The teacher sees the same packed rows as the student, in the same precision, and is never trained.

    Evaluation is the student's cross-entropy alone.
    """
    parts = prepare(config, session)
    with session.ranks.in_turn():
        teacher = load_teacher(config, parts.model, parts.tokenizer, session.home)
        keep_teacher(session.task_dir, config.from_teacher_weight, teacher, parts.resumed)
    if config.packing:
        pack(teacher.model)
    objective = Distillation(teacher.model, config.alpha, config.temperature)
    loop = Loop(config, session, parts.model, parts.tokenizer, parts.rows, parts.eval_rows, objective)
    use_grouped_experts(teacher.model.to(loop.device), loop.device, config.dtype)  # type: ignore[arg-type]
    outcome = loop.run()
    if outcome is Outcome.FINISHED:
        export_minimind(config, session, parts)
    return outcome
