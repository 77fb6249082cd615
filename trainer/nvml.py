"""How busy a GPU is, asked of NVIDIA's own library: 25 microseconds a question, and no package to install.

meter = GpuMeter.of("b4fa99e7-e103-ee4a-06fd-e50b82ece523")
meter.percent() if meter else None
"""

import ctypes
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
"""Comes with the driver. Functions and structures: NVML API reference, nvmlDeviceGetUtilizationRates."""


class _Rates(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class GpuMeter:
    """One GPU."""

    def __init__(self, library: Any, handle: ctypes.c_void_p) -> None:
        self._library = library
        self._handle = handle

    @classmethod
    def of(cls, uuid: str) -> "GpuMeter | None":
        """The GPU with this id, as torch tells it; None where the library or the GPU is not found."""
        handle = ctypes.c_void_p()
        try:
            library = ctypes.CDLL(LIBRARY)
            failed = library.nvmlInit_v2() or library.nvmlDeviceGetHandleByUUID(
                f"GPU-{uuid}".encode(), ctypes.byref(handle)
            )
        except (OSError, AttributeError):
            return None
        return None if failed else cls(library, handle)

    def percent(self) -> float | None:
        """Share of the last moment in which it computed; None if it does not tell, as a part of a GPU (MIG)."""
        rates = _Rates()
        failed = self._library.nvmlDeviceGetUtilizationRates(self._handle, ctypes.byref(rates))
        return None if failed else float(rates.gpu)
