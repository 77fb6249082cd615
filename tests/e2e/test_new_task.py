"""The form of a new task in a real browser, against the platform in memory."""

import json
import re
import time

import pytest
from browser_site import Site, shown
from fake_data import HTML
from playwright.sync_api import Page, expect

from minimind_platform.views import Dataset

pytestmark = pytest.mark.browser
DATA = "dataset/samples/pretrain.jsonl"


def test_errors_stand_at_their_fields_all_at_once(page: Page) -> None:
    shown(page, "/new")
    page.locator("#field-epochs").fill("many")
    page.locator("#field-hidden_size").fill("100")
    expect(page.locator("#error-epochs")).to_contain_text("whole number")
    expect(page.locator("#error-data_path")).to_be_empty()
    page.locator("#submit-task").click()
    expect(page.locator("#error-data_path")).to_have_text("Required, but empty.")
    expect(page.locator("#error-hidden_size")).to_contain_text("multiple")
    expect(page.locator("#form-summary li")).to_have_count(3)
    expect(page.locator("#field-epochs")).to_have_attribute("aria-invalid", "true")
    page.locator("#form-summary a", has_text="Epochs").click()
    expect(page.locator("#field-epochs")).to_be_focused()
    page.locator("#field-epochs").fill("3")
    expect(page.locator("#error-epochs")).to_be_empty()
    expect(page.locator("#field-epochs")).to_be_focused()


@pytest.mark.fault("double click on submit")
def test_a_double_click_makes_one_task_and_leads_to_it(page: Page, site: Site) -> None:
    before = len(site.platform.all)
    shown(page, "/new")
    page.locator("#task-name").fill(HTML)
    page.locator(f"[data-value='{DATA}']").click()
    expect(page.locator("#field-data_path")).to_have_value(DATA)
    expect(page.locator("#plan-steps")).to_have_text("20,000")
    page.locator("#submit-task").dblclick()
    expect(page.locator("#task-state")).to_have_text("Queued")
    expect(page.locator("#task-name-text")).to_have_text(HTML)
    assert len(site.platform.all) == before + 1


def test_ctrl_enter_submits_what_was_just_typed(page: Page, site: Site) -> None:
    shown(page, "/new")
    page.locator("#field-data_path").fill(DATA)
    page.locator("#field-epochs").fill("9")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#task-state")).to_have_text("Queued")
    assert max(site.platform.all.values(), key=lambda t: t.created_at).config["epochs"] == 9


def test_type_and_preset_change_defaults_but_not_what_was_typed(page: Page) -> None:
    shown(page, "/new")
    page.locator("#field-batch_size").fill("7")
    page.locator("label", has_text="Supervised fine-tuning").click()
    expect(page.locator("#field-learning_rate")).to_have_value("1e-5")
    expect(page.locator("#field-batch_size")).to_have_value("7")
    page.locator("#preset label", has_text="tiny").click()
    expect(page.locator("#field-hidden_size")).to_have_value("128")
    page.locator("#field-hidden_size").fill("136")
    expect(page.locator("#preset input[value='']")).to_be_checked()
    expect(page.locator("#starts")).to_be_hidden()
    page.locator("#task-type input[value=grpo]").check()
    expect(page.locator("#presets")).to_be_hidden()
    expect(page.locator("#label-max_seq_len")).to_contain_text("Longest prompt")
    page.locator("#start").select_option("short-answers")
    expect(page.locator("#field-max_gen_len")).to_have_value("32")
    expect(page.locator(".reward-card")).to_have_count(1)
    page.locator("#field-num_generations").fill("4")
    expect(page.locator("#start")).to_have_value("")
    expect(page.locator("#field-max_gen_len")).to_have_value("32")


def test_from_rewards_to_samples(page: Page, site: Site) -> None:
    site.platform.data.append(Dataset("dataset/sums.jsonl", "sums.jsonl", 2_000, 20, "rlaif", time.time()))
    shown(page, "/new?data=dataset/sums.jsonl")
    expect(page.locator("#group-rewards")).to_be_hidden()
    page.locator("#task-type input[value=grpo]").check()
    expect(page.locator(".reward-card")).to_have_count(2)
    text = page.locator("#field-rewards")
    untouched = text.input_value()
    page.locator("#reward-add").press("Enter")
    expect(page.locator("#reward-3-kind")).to_be_focused()
    page.locator("#reward-3-kind").select_option("regex")
    expect(page.locator("#reward-3-pattern-error")).to_have_text("Required, but empty.")
    page.locator("#reward-3-pattern").fill("^yes")
    expect(page.locator("#reward-3-pattern-error")).to_be_empty()
    page.locator("#reward-1-remove").click()
    expect(page.locator("#reward-2-pattern")).to_have_value("^yes")
    page.locator(".toast-box button", has_text="Undo").click()
    expect(page.locator(".reward-card")).to_have_count(3)
    page.locator("#reward-3-remove").click()
    expect(text).to_have_value(untouched)
    page.locator("#reward-2-weight").fill("0.25")
    page.locator("#submit-task").click()
    expect(page.locator("#task-state")).to_have_text("Queued")
    page.locator("#tab-settings").click()
    expect(page.locator("#settings-table .changed", has_text="rewards")).to_contain_text("repetition ×0.25")

    page.locator("#tab-samples").click()
    expect(page.locator("#samples-rows")).to_contain_text("No samples yet")
    file = site.platform.samples_file(page.url.split("/")[-1].partition("#")[0])
    file.parent.mkdir(parents=True, exist_ok=True)
    sample = {"prompt": HTML, "completion": "word " * 99, "gt": ["4"], "rewards": {"answer": 1.0}, "advantage": 0.5}
    rows = [sample | {"step": step, "reward": step % 3, "tokens": 99, "ended": False} for step in range(1, 31)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    expect(page.locator("#samples-rows tbody tr")).to_have_count(20, timeout=10_000)
    first = page.locator("#samples-rows tbody tr").first
    expect(first).to_contain_text(HTML)
    first.locator(".sample-more").click()
    expect(first.locator(".sample-more")).to_have_attribute("aria-expanded", "true")
    page.locator("#samples-older").click()
    expect(page.locator("#samples-pager")).to_contain_text("steps 1–10")
    page.locator("#samples-order").select_option("most")
    page.locator("#samples-last_step").fill("9")
    expect(page.locator("#samples-rows tbody tr")).to_have_count(9)
    expect(first).to_contain_text("2")


def test_train_from_this_and_clone_fill_in_the_form(page: Page) -> None:
    shown(page, "/models")
    page.get_by_title("Train from minimind-pretrain / 7").click()
    expect(page.locator("#field-from_weight")).to_have_value("models:/minimind-pretrain/7")
    expect(page.locator("#task-type input[value=sft]")).to_be_checked()
    page.locator("[data-value='dataset/samples/sft.jsonl']").click()
    page.locator("#submit-task").click()
    expect(page.locator("#task-state")).to_have_text("Queued")
    shown(page, "/tasks/a2")
    page.locator("#action-clone").click()
    expect(page.locator("#task-name")).to_have_value("pretrain-512d-8l")
    expect(page.locator("#field-hidden_size")).to_have_value("512")


def test_form_and_yaml_are_the_same_settings(page: Page, site: Site) -> None:
    shown(page, f"/new?data={DATA}")
    page.locator("#written summary").click()
    area = page.locator("#written-yaml")
    expect(area).to_have_value(re.compile(f"type: pretrain\nsettings:\n  data_path: {DATA}\n"))
    page.locator("#field-epochs").fill("7")
    expect(area).to_have_value(re.compile("epochs: 7"))
    page.locator("#tab-command").click()
    expect(page.locator("#written-command")).to_have_text(f"minimind submit pretrain --data_path {DATA} --epochs 7")
    page.locator("#tab-python").click()
    expect(page.locator("#written-python")).to_contain_text("'epochs': 7")
    page.locator("#tab-yaml").click()

    text = "# mine\ntype: grpo\nname: by hand\npriority: 3\nsettings:\n  data_path: dataset/x.jsonl\n  epoch: 2\n"
    area.fill(text + "  batch_size: many\n  rewards:\n  - kind: length\n    weight: 2\n")
    expect(page.locator("#written-problems li")).to_have_count(3)
    expect(page.locator("#written-problems")).to_contain_text("Line 7 There is no setting 'epoch' in grpo.")
    expect(page.locator("#written-problems")).to_contain_text("Line 8 Prompts a batch: ")
    expect(page.locator("#task-type input[value=grpo]")).to_be_checked()
    expect(page.locator("#task-name")).to_have_value("by hand")
    expect(page.locator("#task-priority")).to_have_value("3")
    expect(page.locator("#field-batch_size")).to_have_value("many")
    expect(page.locator("#error-batch_size")).to_contain_text("whole number")
    expect(page.locator(".reward-card")).to_have_count(1)
    expect(page.locator("#field-epochs")).to_have_value("1")
    page.locator("#field-batch_size").fill("4")
    expect(page.locator("#written-kept")).to_be_visible()
    assert area.input_value().startswith("# mine")
    page.locator("#written-again").click()
    expect(area).to_have_value(re.compile("name: by hand\npriority: 3\n.*batch_size: 4", re.DOTALL))
    expect(page.locator("#written-problems li")).to_have_count(0)

    area.fill("type: [")
    expect(page.locator("#written-problems")).to_contain_text("Line 1 This is not YAML")
    expect(page.locator("#task-name")).to_have_value("by hand")
    with page.expect_file_chooser() as chooser:
        page.locator("#written-upload").click()
    content = json.dumps({"type": "pretrain", "config": {"data_path": DATA, "hidden_size": 128, "use_moe": True}})
    chooser.value.set_files({"name": "config.json", "mimeType": "application/json", "buffer": content.encode()})
    expect(page.locator("#field-hidden_size")).to_have_value("128")
    expect(page.locator("#field-use_moe")).to_be_checked()
    with page.expect_download() as download:
        page.locator("#written-download").click()
    assert download.value.suggested_filename == "pretrain.yaml"
    assert download.value.path().read_text() == content
    page.locator("#submit-task").click()
    expect(page.locator("#task-state")).to_have_text("Queued")
    assert max(site.platform.all.values(), key=lambda t: t.created_at).config["hidden_size"] == 128


def test_a_new_task_like_an_earlier_one_is_found_by_its_name(page: Page) -> None:
    shown(page, "/new")
    page.locator("#like summary").click()
    expect(page.locator("#like-found a")).to_have_count(8)
    page.locator("#like-words").fill("first")
    expect(page.locator("#like-found a")).to_have_count(1)
    page.locator("#like-found a").click()
    expect(page.locator("#task-name")).to_have_value("tiny-first-try")
    expect(page.locator("#field-hidden_size")).to_have_value("128")
