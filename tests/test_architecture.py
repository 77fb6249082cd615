"""Who may import whom, and what must not be loaded where (the table in ARCHITECTURE.md)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "trainer": ROOT / "trainer",
    "minimind_platform": ROOT / "platform/minimind_platform",
    "dash_app": ROOT / "dash_app",
}
LIGHT = {
    "configs",
    "fields",
    "names",
    "errors",
    "presets",
    "rl_config",
    "starts",
    "reward_specs",
    "sizes",
    "rows",
    "row_formats",
    "pair_flaws",
    "advice",
    "samples",
    "sources",
    "spool",
    "streams",
    "fault_points",
    "uploads",
    "base_sizes",
    "checkpoints",
    "tokenizer_files",
    "hub_files",
    "rope",
    "problems",
    "shared_config",
}
NEVER = {
    "trainer": {"minimind_platform", "dash_app", "dash", "plotly", "optuna", "sqlalchemy"},
    "minimind_platform": {"dash_app", "dash", "plotly", "torch", "transformers", "peft"},
    "dash_app": {"trainer", "torch", "transformers", "optuna", "sqlalchemy", "mlflow"},
}


def imports(path: Path) -> set[str]:
    """Every module that a file imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_keep_to_their_imports(package: str) -> None:
    for path in PACKAGES[package].rglob("*.py"):
        tops = {name.partition(".")[0] for name in imports(path)}
        assert not tops & NEVER[package], f"{path.relative_to(ROOT)}: {tops & NEVER[package]}"


def test_the_platform_uses_only_the_light_modules_of_the_trainer() -> None:
    for path in PACKAGES["minimind_platform"].rglob("*.py"):
        used = {name.split(".")[1] for name in imports(path) if name.startswith("trainer.")}
        assert used <= LIGHT, f"{path.relative_to(ROOT)}: {used - LIGHT}"


def test_platform_is_a_folder_and_no_package() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_no_module_has_a_name_of_the_standard_library() -> None:
    for folder in PACKAGES.values():
        clashes = {p.stem for p in folder.rglob("*.py")} & (sys.stdlib_module_names - {"__init__", "__main__"})
        assert not clashes, f"{folder}: {clashes}"


@pytest.mark.parametrize(
    "module", [*sorted(f"trainer.{name}" for name in LIGHT), "minimind_platform.cli", "dash_app.app"]
)
def test_light_modules_leave_torch_unloaded(module: str) -> None:
    code = f"import sys, {module}; print(*(m for m in ('torch', 'transformers', 'peft') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_files_stay_readable() -> None:
    """A file of more than 400 lines is two things."""
    for folder in PACKAGES.values():
        for path in folder.rglob("*.py"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path.relative_to(ROOT)
