"""torch.compile for the loss of a step: made once for sizes, kept on disk for the runs that follow."""

import os
import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch._dynamo.utils import counters


def compiled(function: Callable[..., Any], cache: Path) -> Any:
    """A compiled function that takes batches of any size without compiling anew.

    Args:
        function: takes the model and a batch.
        cache: folder that compiled code is kept in; TORCHINDUCTOR_CACHE_DIR wins over it.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache.absolute()))
    return torch.compile(function, dynamic=True)


def missing_for_kernels() -> str:
    """What building GPU kernels needs and this machine lacks, as the packages of Debian and Ubuntu; "" for nothing."""
    found = {
        "gcc": os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang"),
        "python3-dev": (Path(sysconfig.get_path("include", "posix_prefix")) / "Python.h").exists(),
    }
    return " and ".join(package for package, there in found.items() if not there)


def compiled_graphs() -> int:
    """How many graphs this process has compiled so far; a step that raises it spent its time on compiling."""
    return counters["stats"]["unique_graphs"]
