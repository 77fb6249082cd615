// The list of tasks.
(function () {
  "use strict";
  const { text, h, icon, setText, complain } = mm;
  const NUMBERS = ["loss", "time"];
  const SHOWN_DIFFERENCES = 2;
  const SORTS = { name: ["name", "asc"], state: ["state", "asc"], type: ["type", "asc"], progress: ["progress", "desc"], loss: ["loss", "asc"], time: ["duration", "desc"], age: ["created", "desc"] };
  const LABELS = { time: "duration", select: "choose_row" };
  const FIRST = { ...Object.fromEntries(Object.values(SORTS)), started: "desc", priority: "desc", turn: "asc" };

  function start(root) {
    const list = root.querySelector("#task-list");
    if (!list) { return; }
    const get = (id) => document.getElementById(id);
    const type = get("task-type-filter"), sort = get("task-sort"), order = get("task-order"), trials = get("trials-filter"), archived = get("archived-filter");
    const page = mm.list({
      list, search: get("task-search"), chips: get("state-chips"), banners: get("task-banners"),
      api: "/api/tasks", items: "tasks", row: "data-task", extra: ["type", "trials", "archived", "sweep"], counted: true,
      states: ["QUEUED", "STARTING", "RUNNING", "STOPPING", "FINISHED", "FAILED", "STOPPED"], sorts: SORTS,
      columns: ["select", "name", "state", "type", "progress", ...NUMBERS, "age", "actions"], numbers: NUMBERS, label: (name) => text(LABELS[name] || name), tableClass: "task-table",
      active: (answer) => ["QUEUED", "STARTING", "RUNNING", "STOPPING"].some((state) => answer.counts[state]),
      select: (page) => mm.selection(page, { actions: mm.bulkActions(page, () => Boolean(page.filters.archived)), name: (task) => task.name }),
      question, shown: (page) => {
        type.value = page.filters.type || "all";
        sort.value = page.filters.sort;
        order.firstElementChild.className = `bi bi-sort-${page.filters.order === "asc" ? "up" : "down"}`;
        order.title = text(page.filters.order === "asc" ? "ascending" : "descending");
        order.setAttribute("aria-label", order.title);
        trials.setAttribute("aria-pressed", Boolean(page.filters.trials || page.filters.sweep));
        archived.setAttribute("aria-pressed", Boolean(page.filters.archived));
      },
      path: (task) => `/tasks/${encodeURIComponent(task.id)}`, clone: (task) => `/new?clone=${encodeURIComponent(task.id)}`,
      update, names: mm.actions.possible, button: (name, task, done) => mm.actions.button(name, task, done, false),
      words: { none: "none_match", empty: "empty", icon: "inbox", begin: "/new", action: "empty_action", one: "total_one", several: "total", away: "scheduler_away" },
    });
    type.addEventListener("change", () => page.change({ type: type.value === "all" ? "" : type.value }));
    sort.addEventListener("change", () => page.change({ sort: sort.value, order: FIRST[sort.value] }));
    order.addEventListener("click", () => page.change({ order: page.filters.order === "asc" ? "desc" : "asc" }));
    trials.addEventListener("click", () => page.change(page.filters.trials || page.filters.sweep ? { trials: "", sweep: "" } : { trials: "1" }));
    archived.addEventListener("click", () => page.change({ archived: page.filters.archived ? "" : "1" }));
    mm.dragQueue(page);
  }

  // Trials of sweeps would drown the others, so that they are asked for; so are archived tasks.
  function question(query, filters) {
    query.set("trials", Boolean(filters.trials));
    query.set("archived", Boolean(filters.archived));
    query.set("sort", filters.sort);
    query.set("descending", filters.order !== "asc");
    query.delete("order");
  }

  function update(_page, row, task) {
    const progress = task.progress, running = task.state === "RUNNING", failed = task.state === "FAILED", queued = task.state === "QUEUED";
    if (!row.extras) { row.extras = extras(row); }
    const { trend, loss, place, place_text, took, left } = row.extras;
    const speed = running && progress.tokens_per_second !== null ? text("tokens_per_second", { n: mm.whole(progress.tokens_per_second) }) : "";
    const placed = mm.inLine(task.waits_for); // the place in the queue stands beside it
    setText(row.note, queued && !placed ? mm.waits(task.waits_for) : failed ? task.error : running ? [task.device, speed].filter(Boolean).join(" · ") : "");
    row.note.className = failed ? "row-note bad" : "row-note";
    differences(row, task);
    sweepLink(row, task);
    place.hidden = !queued;
    setText(place_text, queued ? text(task.priority ? "turn_priority" : "turn", { n: mm.whole(task.turn), p: task.priority }) : "");
    row.element.toggleAttribute("data-queued", queued);
    row.bar.hidden = !progress.total_steps;
    row.fill.style.width = `${(progress.fraction * 100).toFixed(1)}%`;
    setText(row.steps, progress.total_steps ? `${mm.whole(progress.step)} / ${mm.whole(progress.total_steps)}` : "–");
    setText(loss, progress.reward === null ? mm.loss(progress.loss) : text("reward", { n: mm.loss(progress.reward) }));
    trend.draw(task.trend);
    const until = task.ended ? task.ended_at : queued ? null : Date.now() / 1000;
    setText(took, task.started_at && until ? mm.duration(until - task.started_at) : "–");
    setText(left, running && progress.seconds_left !== null ? text("left", { time: mm.duration(progress.seconds_left) }) : "");
    for (const name of ["progress", ...NUMBERS]) { row.cells[name].toggleAttribute("data-empty", row.cells[name].textContent === "–"); }
  }

  function extras(row) {
    const part = (tag, name) => h(tag, { class: name });
    const made = { trend: mm.sparkline(), loss: part("span", "loss-value"), place_text: h("span", {}), took: h("div", {}), left: part("div", "cell-more"), diff: part("div", "row-diff"), sweep: h("a", { class: "tag row-sweep", hidden: true }) };
    made.place = h("div", { class: "cell-more row-turn" }, made.place_text);
    row.link.after(made.sweep);
    row.note.after(made.diff);
    row.cells.state.append(made.place);
    row.cells.loss.append(h("div", { class: "loss-cell" }, made.trend.element, made.loss));
    row.cells.time.append(h("div", {}, made.took, made.left));
    return made;
  }

  // What was changed against the task that this one was made from: the first few, the rest on demand.
  function differences(row, task) {
    const { diff } = row.extras, key = JSON.stringify(task.differs);
    if (diff.dataset.key === key) { return; }
    diff.dataset.key = key;
    const items = task.differs.map(({ name, before, after }, at) => h("span", { class: "diff", title: `${name} ${before} → ${after}`, hidden: at >= SHOWN_DIFFERENCES }, h("span", { class: "diff-name" }, name), ` ${before} → `, h("span", { class: "diff-after" }, after)));
    const rest = items.slice(SHOWN_DIFFERENCES);
    diff.replaceChildren(...items);
    if (!rest.length) { return; }
    const more = h("button", { class: "diff-more", type: "button", "aria-expanded": "false", title: rest.map((item) => item.title).join("\n"), onclick: () => {
      const open = more.getAttribute("aria-expanded") !== "true";
      more.setAttribute("aria-expanded", open);
      setText(more, open ? text("diff_less") : text("diff_more", { n: rest.length }));
      for (const item of rest) { item.hidden = !open; }
    } }, text("diff_more", { n: rest.length }));
    diff.append(more);
  }

  function sweepLink(row, task) {
    const { sweep } = row.extras;
    sweep.hidden = !task.sweep_id;
    if (task.sweep_id && !sweep.hasAttribute("href")) {
      const path = `/sweeps/${encodeURIComponent(task.sweep_id)}`;
      sweep.setAttribute("href", path);
      sweep.append(icon("sliders"), text("trial_of", { n: task.trial }));
      sweep.addEventListener("click", (event) => { if (!event.metaKey && !event.ctrlKey && !event.shiftKey && event.button === 0) { event.preventDefault(); mm.visit(path); } });
    }
  }

  // Sorted by turn, queued rows can be dragged to another place; the buttons of the queue do the same by keyboard.
  mm.dragQueue = (page) => {
    const draggable = () => page.filters.sort === "turn" && page.filters.order === "asc";
    let dragged = null;
    const rowOf = (event) => event.target.closest("tbody tr[data-queued]");
    page.list.addEventListener("pointerdown", (event) => {
      const row = rowOf(event);
      if (row) { row.draggable = draggable() && event.pointerType === "mouse" && !event.target.closest("a, button, input"); }
    });
    page.list.addEventListener("dragstart", (event) => { dragged = rowOf(event); if (dragged) { event.dataTransfer.effectAllowed = "move"; event.dataTransfer.setData("text/plain", dragged.dataset.task); dragged.classList.add("dragged"); } });
    const mark = (row) => { for (const other of page.list.querySelectorAll(".drop-here")) { other.classList.remove("drop-here"); } if (row) { row.classList.add("drop-here"); } };
    page.list.addEventListener("dragover", (event) => { const row = rowOf(event); if (dragged && row && row !== dragged) { event.preventDefault(); mark(row); } });
    page.list.addEventListener("dragend", () => { if (dragged) { dragged.classList.remove("dragged"); } dragged = null; mark(null); });
    page.list.addEventListener("drop", async (event) => {
      const row = rowOf(event), moved = dragged;
      if (!row || !moved || row === moved) { return; }
      event.preventDefault();
      try { await mm.setOrder({ id: moved.dataset.task }, { before: row.dataset.task }); } catch (error) { complain(error); }
      page.wake(true);
    });
  };

  mm.pages.push(start);
})();
