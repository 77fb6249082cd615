"""What to tell a person about an exception that is not one of ours.

message, hint, error_class = explain(error, config)
"""

import errno
import resource
import sys

from trainer.configs import TrainConfig
from trainer.names import ErrorClass


def explain(error: Exception, config: TrainConfig) -> tuple[str, str, ErrorClass]:
    """Sentence, hint and class."""
    if device := _short_of_memory(error):
        return _memory_sentence(device), _memory_hint(config), ErrorClass.OUT_OF_MEMORY
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"The disk is full: {error}", "Free some space, then resume.", ErrorClass.DISK
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"[:500], "The log has the details.", ErrorClass.INTERNAL


def _short_of_memory(error: Exception) -> str:
    """Whose memory did not suffice: GPU, machine, or "" if that was not it."""
    if type(error).__name__ == "OutOfMemoryError" or "CUDA out of memory" in str(error):
        return "GPU"
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):  # torch's own way to say so
        return "machine"
    return ""


def _memory_sentence(device: str) -> str:
    if device == "GPU":
        import torch

        if torch.cuda.is_available():
            peak, total = torch.cuda.max_memory_allocated(), torch.cuda.get_device_properties().total_memory
            return f"Out of memory: the training used up to {peak / 1e9:.1f} of the GPU's {total / 1e9:.1f} GB."
        return "Out of memory on the GPU."
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return f"Out of memory: the training used up to {peak / 1e9:.1f} GB, and the machine refused more."


def _memory_hint(config: TrainConfig) -> str:
    """Which setting to lower; with the same result where that is possible."""
    half = config.batch_size // 2
    if half >= config.num_processes:
        more = config.accumulation_steps * 2
        return (
            f"Lower batch_size from {config.batch_size} to {half} and raise accumulation_steps from "
            f"{config.accumulation_steps} to {more}, which trains the same; "
            f"or lower max_seq_len ({config.max_seq_len})."
        )
    if not config.gradient_checkpointing:
        return f"Set gradient_checkpointing to true, or lower max_seq_len ({config.max_seq_len})."
    return f"Lower max_seq_len ({config.max_seq_len}), or take a smaller model."
