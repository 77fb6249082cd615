"""A web app around the platform in memory."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_platform import FakePlatform
from fastapi.testclient import TestClient

from dash_app.app import create_app


@pytest.fixture
def platform(tmp_path: Path) -> FakePlatform:
    return FakePlatform.with_data(tmp_path)


@pytest.fixture
def client(platform: FakePlatform) -> Iterator[TestClient]:
    app = create_app(platform)  # type: ignore[arg-type]
    with TestClient(app, base_url="http://localhost:8050", follow_redirects=False) as client:
        yield client
