"""The documentation says what the code does."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
READMES = ("README.md", "README_zh.md")


def test_configuration_is_up_to_date() -> None:
    sys.path.insert(0, str(ROOT))
    from docs.generate import configuration

    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == configuration(), "run `make docs`"


@pytest.mark.parametrize("name", [*READMES, "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_links_lead_to_files(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if "://" not in t]
    missing = [t for t in targets if not (ROOT / t).exists()]
    assert not missing
    assert targets


@pytest.mark.parametrize("name", READMES)
def test_the_tree_in_the_readme_names_every_source_file(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for folder in ("trainer", "platform/minimind_platform", "dash_app"):
        for path in (ROOT / folder).glob("*.py"):
            if path.name not in ("__init__.py", "__main__.py"):
                assert path.name in text, f"{path.relative_to(ROOT)} is not in {name}"


@pytest.mark.parametrize("name", READMES)
def test_commands_in_the_readme_exist(name: str) -> None:
    from minimind_platform.cli import _parser

    blocks = re.findall(r"```\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)
    text = "\n".join(blocks)
    used = set(re.findall(r"^minimind (\w[\w-]*)", text, re.MULTILINE))
    known = next(a.choices for a in _parser([])._actions if isinstance(a.choices, dict))
    assert used and used <= set(known)
    targets = set(re.findall(r"^make (\w+)", text, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text()
    assert targets and all(re.search(rf"^{t}:", makefile, re.MULTILINE) for t in targets)
