"""Shared by all tests: the reference files, which lie beside the project on the machines of its developers."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Reference figures and real data; skips where they are missing."""
    if not (SHARED / "fixtures" / "minimind").is_dir():
        pytest.skip(f"the reference files are not at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def minimind(shared_dir: Path) -> Path:
    """Reference weights, logits and losses of MiniMind."""
    return shared_dir / "fixtures" / "minimind"


@pytest.fixture(scope="session")
def real_data(shared_dir: Path) -> Path:
    """Small real data sets in MiniMind's formats."""
    return shared_dir / "data"
