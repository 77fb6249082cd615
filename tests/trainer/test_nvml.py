"""A machine without the GPU that is meant, or without any."""

from trainer.nvml import GpuMeter


def test_a_gpu_that_is_not_there_is_none() -> None:
    assert GpuMeter.of("00000000-0000-0000-0000-000000000000") is None
