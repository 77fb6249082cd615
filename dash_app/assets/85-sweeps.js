// The list of sweeps.
(function () {
  "use strict";
  const { text, setText } = mm;
  const LABELS = { progress: "sweep_trials", best: "sweep_best" };

  function start(root) {
    const list = root.querySelector("#sweep-list");
    if (!list) { return; }
    mm.list({
      list, search: document.getElementById("sweep-search"), chips: document.getElementById("sweep-chips"), banners: document.getElementById("sweep-banners"),
      api: "/api/sweeps", items: "sweeps", row: "data-sweep",
      states: ["RUNNING", "PAUSED", "STOPPED", "FINISHED"],
      columns: ["name", "state", "type", "progress", "best", "age", "actions"], numbers: ["best"],
      label: (name) => text(LABELS[name] || name), tableClass: "task-table sweep-table",
      path: (sweep) => `/sweeps/${encodeURIComponent(sweep.id)}`, clone: (sweep) => `/sweeps/new?like=${encodeURIComponent(sweep.id)}`,
      update, names: (sweep) => mm.sweeps.possible(sweep).filter((name) => name !== "extend"),
      button: (name, sweep, done) => mm.sweeps.button(name, sweep, done, false),
      words: { none: "sweeps_none_match", empty: "sweeps_empty", icon: "sliders", begin: "/sweeps/new", action: "sweeps_empty_action", one: "sweep_total_one", several: "sweep_total", away: "sweep_scheduler_away" },
    });
  }

  function update(_page, row, sweep) {
    setText(row.note, sweep.state === "PAUSED" ? sweep.reason : "");
    row.fill.style.width = `${Math.min(100, 100 * sweep.done / sweep.planned).toFixed(1)}%`;
    const running = sweep.counts.RUNNING ? ` · ${text("sweep_running", { n: sweep.counts.RUNNING })}` : "";
    setText(row.steps, `${mm.whole(sweep.done)} / ${mm.whole(sweep.planned)}${running}`);
    const several = sweep.objectives.length > 1, values = sweep.best_values;
    setText(row.cells.best, !values.length ? "–" : several ? text("sweep_front", { n: values.length }) : mm.sweeps.number(values[0][0]));
    row.cells.best.title = sweep.objectives.map((goal) => goal.metric).join(", ");
    row.cells.best.toggleAttribute("data-empty", !values.length);
  }

  mm.pages.push(start);
})();
