"""docs/fault-table.md and the tests agree: each row is shown by the tests that it names, or says why not yet."""

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "fault-table.md"
NOT_YET = "Not applicable yet: "
"""How the third column begins where nothing can be tested; the reason follows."""


def rows() -> dict[str, str]:
    """Fault to what stands in its column of tests."""
    lines = [line.strip().strip("|").split(" | ") for line in TABLE.read_text(encoding="utf-8").splitlines()]
    cells = [[cell.strip() for cell in line] for line in lines if len(line) == 3]
    return {fault: tests for fault, _, tests in cells if fault not in ("fault", "---")}


def marked() -> dict[str, set[str]]:
    """Fault to the tests that carry its mark, as `tests/file.py::test_name`."""
    found = defaultdict(set)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault":
                        for fault in mark.args:
                            assert node.name.startswith("test_")
                            found[ast.literal_eval(fault)].add(f"{path.relative_to(ROOT).as_posix()}::{node.name}")
    return found


def test_every_row_is_shown_by_the_tests_that_carry_its_mark() -> None:
    told, found = rows(), marked()
    assert len(told) >= 30
    assert not found.keys() - told.keys(), "marks of no row"
    for fault, tests in told.items():
        if tests.startswith(NOT_YET):
            assert len(tests) > len(NOT_YET) + 20, f"{fault}: say why"
            assert fault not in found, f"{fault} has tests"
        else:
            named = re.findall(r"\[(\w+)\]\(\.\./(tests/[\w/]+\.py)\)", tests)
            assert {f"{path}::{name}" for name, path in named} == found[fault], fault
            assert named, f"{fault} has neither a test nor a reason"
