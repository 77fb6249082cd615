// The list of tasks. One request every two seconds; rows are kept by id and only what changed is written, so focus,
// scroll and a half-made click survive. The filters are in the URL.
(function () {
  "use strict";
  const { text, h, icon, setText } = mm;
  const STATES = ["QUEUED", "STARTING", "RUNNING", "STOPPING", "FINISHED", "FAILED", "STOPPED"];
  const COLUMNS = ["name", "state", "type", "progress", "loss", "speed", "time_left", "age", "device", "actions"];
  const PAGE = 25;

  function start(root) {
    const list = root.querySelector("#task-list");
    if (!list) { return; }
    const page = {
      list, rows: new Map(), filters: readUrl(), types: JSON.parse(list.dataset.types), deleted: new Set(),
      search: document.getElementById("task-search"), type: document.getElementById("task-type-filter"),
      chips: document.getElementById("state-chips"), banners: document.getElementById("task-banners"), offline: false,
    };
    showFilters(page);
    page.search.addEventListener("input", debounce(() => change(page, { q: page.search.value.trim() }), 250));
    page.type.addEventListener("change", () => change(page, { type: page.type.value === "all" ? "" : page.type.value }));
    const fromUrl = () => { if (document.contains(list)) { page.filters = readUrl(); showFilters(page); page.loop.wake(); } };
    window.addEventListener("popstate", fromUrl);
    window.addEventListener("_dashprivate_pushstate", () => setTimeout(fromUrl));
    page.loop = mm.loop(list, 2, () => refresh(page));
  }

  function readUrl() {
    const query = new URLSearchParams(location.search);
    return { state: query.getAll("state"), type: query.get("type") || "", q: query.get("q") || "", page: Math.max(1, Number(query.get("page")) || 1) };
  }
  function queryOf(filters) {
    const query = new URLSearchParams();
    for (const state of filters.state) { query.append("state", state); }
    if (filters.type) { query.set("type", filters.type); }
    if (filters.q) { query.set("q", filters.q); }
    return query;
  }
  function change(page, next) {
    page.filters = Object.assign({}, page.filters, { page: 1 }, next);
    const query = queryOf(page.filters);
    if (page.filters.page > 1) { query.set("page", page.filters.page); }
    history.replaceState(history.state, "", location.pathname + (query.toString() ? `?${query}` : ""));
    showFilters(page);
    page.loop.wake();
  }
  function showFilters(page) {
    if (document.activeElement !== page.search) { page.search.value = page.filters.q; }
    page.type.value = page.filters.type || "all";
  }
  function debounce(act, pause) {
    let timer = null;
    return () => { clearTimeout(timer); timer = setTimeout(act, pause); };
  }

  async function refresh(page) {
    const query = queryOf(page.filters);
    query.set("limit", PAGE);
    query.set("offset", (page.filters.page - 1) * PAGE);
    const asked = query.toString();
    let answer;
    try { answer = await mm.api(`/api/tasks?${query}`); } catch (error) {
      mm.banner(page.banners, "offline", "warn", "cloud-slash", error.status === undefined ? text("offline") : error.message);
      return true;
    }
    const now = queryOf(page.filters);
    now.set("limit", PAGE); now.set("offset", (page.filters.page - 1) * PAGE);
    if (asked !== now.toString()) { page.loop.wake(); return true; }
    mm.banner(page.banners, "offline", "warn", "cloud-slash", "");
    mm.banner(page.banners, "scheduler", "warn", "exclamation-triangle-fill", answer.scheduler ? "" : text("scheduler_away"));
    show(page, answer);
    return true;
  }

  function show(page, answer) {
    const tasks = answer.tasks.filter((task) => !page.deleted.has(task.id));
    showChips(page, answer.counts);
    page.list.removeAttribute("aria-busy");
    if (!tasks.length) { showNothing(page); return; }
    let body = page.list.querySelector("tbody");
    if (!body) {
      page.list.replaceChildren(frame(page), h("div", { class: "pager" }));
      page.rows.clear();
      body = page.list.querySelector("tbody");
    }
    const wanted = new Set(tasks.map((task) => task.id));
    for (const [id, row] of page.rows) { if (!wanted.has(id)) { row.element.remove(); page.rows.delete(id); } }
    tasks.forEach((task, index) => {
      let row = page.rows.get(task.id);
      if (!row) { row = makeRow(page, task); page.rows.set(task.id, row); }
      updateRow(page, row, task);
      if (body.children[index] !== row.element) { body.insertBefore(row.element, body.children[index] || null); }
    });
    showPager(page, answer.total, tasks.length);
  }

  function frame(page) {
    const heads = COLUMNS.map((name) => h("th", { scope: "col", class: ["loss", "speed", "time_left"].includes(name) ? "number" : "" }, text(name)));
    return h("section", { class: "panel" }, h("div", { class: "list-wrap" },
      h("table", { class: "list task-table", "aria-label": page.list.dataset.label }, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}))));
  }

  function makeRow(page, task) {
    const cells = Object.fromEntries(COLUMNS.map((name) => [name, h("td", { class: `col-${name}`, "data-label": text(name) })]));
    const link = h("a", { href: `/tasks/${encodeURIComponent(task.id)}`, class: "task-link" });
    link.addEventListener("click", (event) => { if (!event.metaKey && !event.ctrlKey && !event.shiftKey && event.button === 0) { event.preventDefault(); visit(link.getAttribute("href")); } });
    const note = h("div", { class: "row-note" });
    cells.name.append(link, note);
    const pill = h("span", { class: "pill" });
    cells.state.append(pill);
    const fill = h("div", {}), bar = h("div", { class: "bar" }, fill), steps = h("span", { class: "row-steps" });
    cells.progress.append(bar, steps);
    const age = h("time", { "data-at": task.created_at });
    cells.age.append(age);
    const element = h("tr", { "data-task": task.id }, ...COLUMNS.map((name) => cells[name]));
    return { element, cells, link, note, pill, fill, bar, steps, actions: "" };
  }

  function updateRow(page, row, task) {
    const progress = task.progress;
    setText(row.link, task.name);
    setText(row.note, task.state === "QUEUED" ? mm.waits(task.waits_for) : task.state === "FAILED" ? task.error : "");
    row.note.title = row.note.textContent;
    row.note.className = task.state === "FAILED" ? "row-note bad" : "row-note";
    mm.pill(row.pill, task.state);
    setText(row.cells.type, page.types[task.type] || task.type);
    row.bar.hidden = !progress.total_steps;
    row.fill.style.width = `${(progress.fraction * 100).toFixed(1)}%`;
    row.bar.dataset.state = task.state;
    setText(row.steps, progress.total_steps ? `${mm.whole(progress.step)} / ${mm.whole(progress.total_steps)}` : "–");
    setText(row.cells.loss, progress.reward === null ? mm.loss(progress.loss) : text("reward", { n: mm.loss(progress.reward) }));
    const running = task.state === "RUNNING";
    setText(row.cells.speed, running && progress.tokens_per_second !== null ? text("tokens_per_second", { n: mm.whole(progress.tokens_per_second) }) : "–");
    setText(row.cells.time_left, running ? mm.duration(progress.seconds_left) : "–");
    setText(row.cells.device, task.device || "–");
    const names = mm.actions.possible(task);
    const key = `${names} ${task.state} ${task.name}`;
    if (key !== row.actions) {
      row.actions = key;
      const focused = row.cells.actions.contains(document.activeElement) ? document.activeElement.dataset.action : null;
      const done = (name, result) => after(page, name, task, result);
      const buttons = names.map((name) => mm.actions.button(name, task, done, false));
      const clone = h("a", { class: "btn btn-quiet btn-icon", href: `/new?clone=${encodeURIComponent(task.id)}`, title: text("clone"), "aria-label": `${text("clone")}: ${task.name}`, "data-action": "clone" }, icon(mm.actions.icons.clone));
      buttons.splice(names.includes("delete") ? names.length - 1 : names.length, 0, clone);
      row.cells.actions.replaceChildren(h("div", { class: "action-row" }, ...buttons));
      if (focused) { const same = row.cells.actions.querySelector(`[data-action=${focused}]`) || clone; same.focus(); }
    }
    for (const name of ["progress", "loss", "speed", "time_left", "device"]) { row.cells[name].toggleAttribute("data-empty", row.cells[name].textContent === "–"); }
    mm.moments(row.element);
  }

  function after(page, name, task) {
    if (name === "delete") { page.deleted.add(task.id); }
    if (name === "restore") { page.deleted.delete(task.id); }
    const row = page.rows.get(task.id);
    if (name === "delete" && row) { row.element.remove(); page.rows.delete(task.id); }
    page.loop.wake();
  }

  function showChips(page, counts) {
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    const wanted = [["", total], ...STATES.map((state) => [state, counts[state] || 0])];
    if (!page.chips.children.length) {
      page.chips.append(...wanted.map(([state]) => h("button", { class: "chip", type: "button", "data-state": state || "ALL", onclick: () => toggle(page, state) },
        h("span", {}, state ? text(`state.${state}`) : text("all")), h("span", { class: "count" }))));
    }
    wanted.forEach(([state, count], index) => {
      const chip = page.chips.children[index];
      const on = state ? page.filters.state.includes(state) : !page.filters.state.length;
      chip.setAttribute("aria-pressed", on);
      chip.hidden = Boolean(state) && !count && !on;
      setText(chip.lastElementChild, mm.whole(count));
    });
  }
  function toggle(page, state) {
    const chosen = page.filters.state;
    change(page, { state: !state ? [] : chosen.includes(state) ? chosen.filter((other) => other !== state) : [...chosen, state] });
  }

  function showNothing(page) {
    const filtered = page.filters.state.length || page.filters.type || page.filters.q || page.filters.page > 1;
    const kind = filtered ? "none_match" : "empty";
    if (page.list.dataset.nothing === kind && page.list.querySelector(".empty")) { return; }
    page.list.dataset.nothing = kind;
    const action = filtered
      ? h("button", { class: "btn btn-quiet", type: "button", id: "clear-filters", onclick: () => { page.search.value = ""; change(page, { state: [], type: "", q: "" }); } }, text("clear_filter"))
      : h("a", { class: "btn btn-primary", href: "/new" }, icon("plus-circle"), text("empty_action"));
    page.rows.clear();
    page.list.replaceChildren(h("div", { class: "empty" }, h("div", { class: "empty-icon" }, icon(filtered ? "search" : "inbox")), h("h2", {}, text(kind)), h("p", {}, text(`${kind}_hint`)), action));
  }

  function showPager(page, total, count) {
    const pager = page.list.querySelector(".pager");
    const first = (page.filters.page - 1) * PAGE + 1;
    const last = first + count - 1;
    if (!pager.children.length) {
      const turn = (by) => () => change(page, { page: page.filters.page + by });
      pager.append(h("span", {}),
        h("button", { class: "btn btn-quiet btn-icon", type: "button", "aria-label": text("previous"), onclick: turn(-1) }, icon("chevron-left")),
        h("button", { class: "btn btn-quiet btn-icon", type: "button", "aria-label": text("next"), onclick: turn(1) }, icon("chevron-right")));
    }
    const many = total > PAGE;
    setText(pager.children[0], many ? text("page", { from: mm.whole(first), to: mm.whole(last), n: mm.whole(total) }) : text(total === 1 ? "total_one" : "total", { n: mm.whole(total) }));
    pager.children[1].hidden = pager.children[2].hidden = !many;
    pager.children[1].disabled = first === 1;
    pager.children[2].disabled = last >= total;
  }

  // To another page without loading the application again.
  function visit(path) {
    history.pushState({}, "", path);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
  }

  mm.visit = visit;
  mm.pages.push(start);
})();
