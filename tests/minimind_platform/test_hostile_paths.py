"""Every field of a form that takes a path refuses what leads outside, whatever type of training it belongs to."""

import pytest

from minimind_platform.errors import SettingsError
from trainer.configs import TRAINING_TYPES

PATHS = (
    "/etc/passwd", "../../etc/passwd", "dataset/../../secret", "..\\..\\secret", "dataset/%2e%2e/%2e%2e/etc/passwd",
    "file:///etc/passwd", "~root/x", "/dev/zero", "/proc/self/environ", "dataset/p.jsonl\0", "a\nb",
)  # fmt: skip
FIELDS = ("data_path", "eval_data_path", "tokenizer_path", "save_weight", "from_weight", "from_teacher_weight")


@pytest.mark.fault("malicious path", "argument injection")
@pytest.mark.parametrize("type_name", TRAINING_TYPES)
def test_every_field_with_a_path_refuses_what_leads_outside(platform, type_name):
    known = TRAINING_TYPES[type_name].model_fields
    fields = [name for name in FIELDS if name in known]
    assert {"data_path", "from_weight", "save_weight"} <= set(fields)
    before = sorted(platform.settings.home.rglob("*"))
    for text in PATHS:
        for field in fields:
            found = [
                problem.field for problem in platform.check(type_name, {"data_path": "s.jsonl", field: text}).problems
            ]
            assert field in found, (field, text)
        with pytest.raises(SettingsError):
            platform.submit(type_name, dict.fromkeys(fields, text))
    assert sorted(platform.settings.home.rglob("*")) == before


@pytest.mark.fault("argument injection")
@pytest.mark.parametrize("name", ["--help", "-c", ";id", "$(id)", "a b", "a\nb", "../x", "x" * 300])
def test_names_of_files_are_plain(platform, name):
    problems = platform.check("pretrain", {"data_path": "p.jsonl", "save_weight": name}).problems
    assert "save_weight" in [problem.field for problem in problems]
