// The table of a sweep's trials: rows are kept by number, only what changed is written, any column sorts.
(function () {
  "use strict";
  const { text, h, icon, setText } = mm;

  function create(page) {
    const place = page.element.querySelector("#trial-list"), goals = page.told.goals.map((goal) => goal.metric), space = page.told.space;
    const columns = [
      { key: "number", label: text("trial_number"), of: (trial) => trial.number },
      { key: "state", label: text("state"), of: (trial) => trial.state },
      ...goals.map((metric, index) => ({ key: `value-${index}`, label: metric, number: true, of: (trial) => trial.values[index] })),
      ...space.map((param) => ({ key: `param-${param.name}`, label: param.label, number: true, mono: true, of: (trial) => trial.params[param.name] })),
      { key: "steps", label: text("trial_steps"), number: true, of: (trial) => trial.step },
      { key: "time", label: text("trial_time"), number: true, of: (trial) => trial.seconds },
      { key: "reason", label: text("trial_reason"), of: (trial) => trial.reason },
    ];
    const state = { page, place, columns, rows: new Map(), sort: { key: "number", down: true } };
    const add = page.element.querySelector("#trial-add");
    add.hidden = page.told.function;
    add.addEventListener("click", () => {
      const best = page.sweep && page.trials.get(page.sweep.best[0]);
      mm.sweeps.addTrial(page.sweep || { id: page.id, name: page.told.name }, page.told, best, () => page.loop.wake());
    });
    return { update: (changed) => update(state, changed) };
  }

  function update(state, changed) {
    const { page, place } = state;
    if (!page.trials.size) {
      if (!place.querySelector(".empty")) { place.replaceChildren(h("div", { class: "empty" }, h("div", { class: "empty-icon" }, icon("hourglass-split")), h("h2", {}, text("trials_empty")), h("p", {}, text("trials_empty_hint")))); }
      return;
    }
    if (!place.querySelector("table")) { frame(state); }
    for (const trial of changed) {
      let row = state.rows.get(trial.number);
      if (!row) { row = makeRow(state, trial.number); state.rows.set(trial.number, row); }
      fillRow(state, row, trial);
    }
    const best = new Set(page.sweep.best);
    for (const [number, row] of state.rows) { row.best.hidden = !best.has(number); }
    arrange(state);
  }

  function frame(state) {
    const heads = state.columns.map((column) => {
      const button = h("button", { class: "sort", type: "button", "aria-label": text("sort_by", { name: column.label }), onclick: () => sort(state, column.key) }, column.label, h("span", { class: "sort-mark", "aria-hidden": "true" }));
      return h("th", { scope: "col", class: column.number ? "number" : "", "data-key": column.key }, button);
    });
    heads.push(h("th", { scope: "col" }, text("actions")));
    state.body = h("tbody", {});
    state.head = h("tr", {}, ...heads);
    state.place.replaceChildren(h("div", { class: "list-wrap" }, h("table", { class: "list trial-table", id: "trial-table", "aria-label": text("sweep_trials") }, h("thead", {}, state.head), state.body)));
  }

  function makeRow(state, number) {
    const cells = new Map(state.columns.map((column) => [column.key, h("td", { class: `col-${column.key.split("-")[0]} ${column.number ? "number" : ""} ${column.mono ? "mono" : ""}`, "data-label": column.label })]));
    const link = h("a", { class: "task-link" }), best = h("span", { class: "tag tag-best" }, text("trial_best")), marks = h("span", {}), pill = h("span", { class: "pill" });
    link.addEventListener("click", (event) => { if (!event.metaKey && !event.ctrlKey && !event.shiftKey && event.button === 0) { event.preventDefault(); mm.visit(link.getAttribute("href")); } });
    cells.get("number").append(link, best, marks);
    cells.get("state").append(pill);
    const actions = h("td", { class: "col-actions", "data-label": text("actions") });
    return { element: h("tr", { "data-trial": number }, ...cells.values(), actions), cells, link, best, marks, pill, actions, key: "", trial: null };
  }

  function fillRow(state, row, trial) {
    row.trial = trial;
    setText(row.link, `#${trial.number}`);
    if (trial.task_id) { row.link.setAttribute("href", `/tasks/${encodeURIComponent(trial.task_id)}`); }
    row.link.title = trial.task_id ? text("sweep_open_task") : text("trial_no_task");
    mm.pill(row.pill, trial.state);
    row.element.classList.toggle("trial-out", trial.excluded || !trial.feasible);
    const marks = [["trial_excluded", trial.excluded], ["trial_infeasible", !trial.feasible], ["trial_by_hand", trial.by_hand]].filter((mark) => mark[1]).map((mark) => mark[0]);
    if (row.marks.dataset.marks !== String(marks)) { row.marks.dataset.marks = String(marks); row.marks.replaceChildren(...marks.map((mark) => h("span", { class: "tag" }, text(mark)))); }
    for (const column of state.columns) {
      const cell = row.cells.get(column.key), value = column.of(trial);
      if (column.key.startsWith("value-")) { setText(cell, mm.sweeps.number(value)); }
      else if (column.key.startsWith("param-")) { setText(cell, mm.sweeps.shown(value) || "–"); }
      else if (column.key === "steps") { setText(cell, trial.total_steps ? `${mm.whole(trial.step)} / ${mm.whole(trial.total_steps)}` : "–"); }
      else if (column.key === "time") { setText(cell, mm.duration(value)); }
      else if (column.key === "reason") { setText(cell, value); cell.title = value; }
      cell.toggleAttribute("data-empty", ["–", ""].includes(cell.textContent));
    }
    const key = `${trial.excluded} ${trial.state}`;
    if (key !== row.key) { row.key = key; actions(state, row, trial); }
  }

  function actions(state, row, trial) {
    const focused = row.actions.contains(document.activeElement) ? document.activeElement.dataset.action : null;
    const out = trial.excluded ? "include" : "exclude", made = [];
    const wake = () => state.page.loop.wake();
    const button = (name, iconName, act) => {
      const told = text(`${name}_of`, { n: trial.number });
      const element = h("button", { class: "btn btn-quiet btn-icon", type: "button", "data-action": name === "promote" ? name : "exclude", title: told, "aria-label": told, onclick: () => act(element) }, icon(iconName));
      made.push(element);
    };
    if (["COMPLETE", "PRUNED"].includes(trial.state)) { button("promote", "play-fill", () => mm.sweeps.promote(state.page.sweep, state.page.told, row.trial)); }
    if (!["WAITING", "RUNNING"].includes(trial.state) || trial.excluded) { button(out, trial.excluded ? "arrow-counterclockwise" : "x-lg", (element) => mm.sweeps.exclude(state.page.sweep, row.trial, wake, element)); }
    row.actions.replaceChildren(h("div", { class: "action-row" }, ...made));
    if (focused) { const same = row.actions.querySelector(`[data-action=${focused}]`); if (same) { same.focus(); } }
  }

  function sort(state, key) {
    state.sort = { key, down: state.sort.key === key ? !state.sort.down : false };
    arrange(state);
  }

  // Rows in their order; those without a value come last.
  function arrange(state) {
    const { key, down } = state.sort, column = state.columns.find((one) => one.key === key);
    const rows = [...state.rows.values()].map((row) => ({ row, value: column.of(row.trial) }));
    const absent = (value) => value === undefined || value === null || value === "";
    rows.sort((one, other) => {
      if (absent(one.value) || absent(other.value)) { return absent(one.value) - absent(other.value) || other.row.trial.number - one.row.trial.number; }
      const order = typeof one.value === "number" && typeof other.value === "number" ? one.value - other.value : String(one.value).localeCompare(String(other.value));
      return (down ? -order : order) || one.row.trial.number - other.row.trial.number;
    });
    rows.forEach(({ row }, index) => { if (state.body.children[index] !== row.element) { state.body.insertBefore(row.element, state.body.children[index] || null); } });
    for (const cell of state.head.children) {
      const on = cell.dataset.key === key;
      if (on) { cell.setAttribute("aria-sort", down ? "descending" : "ascending"); } else { cell.removeAttribute("aria-sort"); }
    }
  }

  mm.trials = { create };
})();
