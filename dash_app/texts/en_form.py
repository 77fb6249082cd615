"""The settings of a new task as text, and earlier tasks to begin with, in English."""

TEXTS: dict[str, str] = {
    "new.plan_of": "{n} of {there}",
    "new.plan_no_memory": "This may need more memory than the device has. Lower batch_size or max_seq_len, or set "
    "gradient_checkpointing.",
    "new.plan_no_disk": "The kept checkpoints do not fit on the disk. Lower keep_checkpoints, or free some space.",
    "like.title": "Like an earlier task",
    "like.search": "Search earlier tasks",
    "like.found": "Earlier tasks",
    "js.like_none": "No task has these words.",
    "written.title": "As YAML, command line and Python",
    "written.hint": "the same settings to keep, to change or to copy",
    "written.tabs": "Ways to write the settings",
    "written.tab_yaml": "YAML",
    "written.tab_command": "Command line",
    "written.tab_python": "Python",
    "written.yaml_help": "Settings that differ from the defaults. Changes here and in the form above are the same.",
    "written.command_help": "Submits the same training from a shell.",
    "written.python_help": "Submits the same training from Python.",
    "written.copy": "Copy",
    "written.upload": "Upload",
    "written.download": "Download",
    "written.kept": "The text stays as you wrote it, because it holds something that the form has no place for. ",
    "written.from_form": "Take that of the form",
    "js.written_line": "Line {n}",
    "js.written_copied": "Copied.",
    "js.written_large": "That file is too large for settings.",
}

PROBLEMS: dict[str, str] = {}
"""The platform says them in English already."""
