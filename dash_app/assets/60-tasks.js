// The list of tasks.
(function () {
  "use strict";
  const { text, setText } = mm;
  const NUMBERS = ["loss", "speed", "time_left"];

  function start(root) {
    const list = root.querySelector("#task-list");
    if (!list) { return; }
    const type = document.getElementById("task-type-filter");
    const page = mm.list({
      list, search: document.getElementById("task-search"), chips: document.getElementById("state-chips"), banners: document.getElementById("task-banners"),
      api: "/api/tasks", items: "tasks", row: "data-task", extra: ["type"], counted: true,
      states: ["QUEUED", "STARTING", "RUNNING", "STOPPING", "FINISHED", "FAILED", "STOPPED"],
      columns: ["name", "state", "type", "progress", ...NUMBERS, "age", "device", "actions"], numbers: NUMBERS, label: text, tableClass: "task-table",
      shown: (page) => { type.value = page.filters.type || "all"; },
      path: (task) => `/tasks/${encodeURIComponent(task.id)}`, clone: (task) => `/new?clone=${encodeURIComponent(task.id)}`,
      update, names: mm.actions.possible, button: (name, task, done) => mm.actions.button(name, task, done, false),
      words: { none: "none_match", empty: "empty", icon: "inbox", begin: "/new", action: "empty_action", one: "total_one", several: "total", away: "scheduler_away" },
    });
    type.addEventListener("change", () => page.change({ type: type.value === "all" ? "" : type.value }));
  }

  function update(_page, row, task) {
    const progress = task.progress, running = task.state === "RUNNING", failed = task.state === "FAILED";
    setText(row.note, task.state === "QUEUED" ? mm.waits(task.waits_for) : failed ? task.error : "");
    row.note.className = failed ? "row-note bad" : "row-note";
    row.bar.hidden = !progress.total_steps;
    row.fill.style.width = `${(progress.fraction * 100).toFixed(1)}%`;
    setText(row.steps, progress.total_steps ? `${mm.whole(progress.step)} / ${mm.whole(progress.total_steps)}` : "–");
    setText(row.cells.loss, progress.reward === null ? mm.loss(progress.loss) : text("reward", { n: mm.loss(progress.reward) }));
    setText(row.cells.speed, running && progress.tokens_per_second !== null ? text("tokens_per_second", { n: mm.whole(progress.tokens_per_second) }) : "–");
    setText(row.cells.time_left, running ? mm.duration(progress.seconds_left) : "–");
    setText(row.cells.device, task.device || "–");
    for (const name of ["progress", ...NUMBERS, "device"]) { row.cells[name].toggleAttribute("data-empty", row.cells[name].textContent === "–"); }
  }

  mm.pages.push(start);
})();
