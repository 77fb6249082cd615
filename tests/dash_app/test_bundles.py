"""Our scripts and styles come as one file each, whole, in order, and kept by browsers until they change."""

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import dash_app
from dash_app.bundles import Bundles

ASSETS = Path(dash_app.__file__).parent / "assets"


def test_files_stand_in_the_order_of_their_names_and_a_change_is_another_address(tmp_path: Path) -> None:
    for name, text in (("20-b.js", "b()"), ("10-a.js", "a() // no end of line"), ("00-boot.js", "boot()")):
        (tmp_path / name).write_text(text)
    first = Bundles(tmp_path, apart={"00-boot.js"})
    assert first.script.body.decode().split() == ["a()", "//", "no", "end", "of", "line", ";", "b()"]
    (tmp_path / "20-b.js").write_text("c()")
    assert Bundles(tmp_path, apart={"00-boot.js"}).script.url != first.script.url
    assert Bundles(tmp_path).style.body == b""


@pytest.mark.parametrize("kind", ["js", "css"])
def test_a_page_asks_for_each_kind_once_and_gets_all_of_it(client: TestClient, kind: str) -> None:
    page = client.get("/tasks").text
    ours = re.findall(rf'(?:src|href)="(/assets/[^"]+\.{kind}\?[^"]*)"', page)
    (url,) = [url for url in ours if "boot" not in url]
    answer = client.get(url)
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    files = sorted(path for path in ASSETS.glob(f"*.{kind}") if path.name != "00-boot.js")
    places = [answer.text.find(path.read_text(encoding="utf-8").strip()) for path in files]
    assert len(files) > 10
    assert -1 not in places
    assert places == sorted(places)
