// The list of sweeps. One request every two seconds; rows are kept by id, so focus and scroll survive. The filters are
// in the URL.
(function () {
  "use strict";
  const { text, h, icon, setText } = mm;
  const STATES = ["RUNNING", "PAUSED", "STOPPED", "FINISHED"];
  const COLUMNS = ["name", "state", "type", "progress", "best", "age", "actions"];
  const LABELS = { progress: "sweep_trials", best: "sweep_best" };
  const PAGE = 25;
  const label = (name) => text(LABELS[name] || name);

  function start(root) {
    const list = root.querySelector("#sweep-list");
    if (!list) { return; }
    const page = {
      list, rows: new Map(), filters: readUrl(), types: JSON.parse(list.dataset.types), deleted: new Set(),
      search: document.getElementById("sweep-search"), chips: document.getElementById("sweep-chips"), banners: document.getElementById("sweep-banners"),
    };
    let timer = null;
    page.search.value = page.filters.q;
    page.search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => change(page, { q: page.search.value.trim() }), 250); });
    page.chips.append(...["", ...STATES].map((state) => h("button", { class: "chip", type: "button", "data-state": state || "ALL", onclick: () => toggle(page, state) }, h("span", {}, state ? text(`state.${state}`) : text("all")))));
    showChips(page);
    page.loop = mm.loop(list, 2, () => refresh(page));
  }

  function readUrl() {
    const query = new URLSearchParams(location.search);
    return { state: query.getAll("state"), q: query.get("q") || "", page: Math.max(1, Number(query.get("page")) || 1) };
  }
  function queryOf(filters) {
    const query = new URLSearchParams();
    for (const state of filters.state) { query.append("state", state); }
    if (filters.q) { query.set("q", filters.q); }
    return query;
  }
  function change(page, next) {
    page.filters = Object.assign({}, page.filters, { page: 1 }, next);
    const query = queryOf(page.filters);
    if (page.filters.page > 1) { query.set("page", page.filters.page); }
    history.replaceState(history.state, "", location.pathname + (query.toString() ? `?${query}` : ""));
    showChips(page);
    page.loop.wake();
  }
  function toggle(page, state) {
    const chosen = page.filters.state;
    change(page, { state: !state ? [] : chosen.includes(state) ? chosen.filter((other) => other !== state) : [...chosen, state] });
  }
  function showChips(page) {
    for (const chip of page.chips.children) {
      const state = chip.dataset.state;
      chip.setAttribute("aria-pressed", state === "ALL" ? !page.filters.state.length : page.filters.state.includes(state));
    }
  }

  async function refresh(page) {
    const query = queryOf(page.filters), asked = page.filters;
    query.set("limit", PAGE);
    query.set("offset", (page.filters.page - 1) * PAGE);
    let answer;
    try { answer = await mm.api(`/api/sweeps?${query}`); } catch (error) {
      mm.banner(page.banners, "offline", "warn", "cloud-slash", error.status === undefined ? text("offline") : error.message);
      return true;
    }
    if (asked !== page.filters) { page.loop.wake(); return true; }
    mm.banner(page.banners, "offline", "warn", "cloud-slash", "");
    mm.banner(page.banners, "scheduler", "warn", "exclamation-triangle-fill", answer.scheduler ? "" : text("sweep_scheduler_away"));
    show(page, answer);
    return true;
  }

  function show(page, answer) {
    const sweeps = answer.sweeps.filter((sweep) => !page.deleted.has(sweep.id));
    page.list.removeAttribute("aria-busy");
    if (!sweeps.length) { showNothing(page); return; }
    let body = page.list.querySelector("tbody");
    if (!body) {
      const heads = COLUMNS.map((name) => h("th", { scope: "col", class: name === "best" ? "number" : "" }, label(name)));
      page.list.replaceChildren(h("section", { class: "panel" }, h("div", { class: "list-wrap" }, h("table", { class: "list task-table sweep-table", "aria-label": page.list.dataset.label }, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {})))), h("div", { class: "pager" }));
      page.rows.clear();
      body = page.list.querySelector("tbody");
    }
    const wanted = new Set(sweeps.map((sweep) => sweep.id));
    for (const [id, row] of page.rows) { if (!wanted.has(id)) { row.element.remove(); page.rows.delete(id); } }
    sweeps.forEach((sweep, index) => {
      let row = page.rows.get(sweep.id);
      if (!row) { row = makeRow(sweep); page.rows.set(sweep.id, row); }
      updateRow(page, row, sweep);
      if (body.children[index] !== row.element) { body.insertBefore(row.element, body.children[index] || null); }
    });
    showPager(page, answer.total, sweeps.length);
  }

  function makeRow(sweep) {
    const cells = Object.fromEntries(COLUMNS.map((name) => [name, h("td", { class: `col-${name}`, "data-label": label(name) })]));
    const path = `/sweeps/${encodeURIComponent(sweep.id)}`;
    const link = h("a", { href: path, class: "task-link" });
    link.addEventListener("click", (event) => { if (!event.metaKey && !event.ctrlKey && !event.shiftKey && event.button === 0) { event.preventDefault(); mm.visit(path); } });
    const note = h("div", { class: "row-note" }), pill = h("span", { class: "pill" });
    cells.name.append(link, note);
    cells.state.append(pill);
    const fill = h("div", {}), bar = h("div", { class: "bar" }, fill), steps = h("span", { class: "row-steps" });
    cells.progress.append(bar, steps);
    cells.age.append(h("time", { "data-at": sweep.created_at }));
    return { element: h("tr", { "data-sweep": sweep.id }, ...COLUMNS.map((name) => cells[name])), cells, link, note, pill, fill, bar, steps, actions: "" };
  }

  function updateRow(page, row, sweep) {
    setText(row.link, sweep.name);
    setText(row.note, sweep.state === "PAUSED" ? sweep.reason : "");
    row.note.title = row.note.textContent;
    mm.pill(row.pill, sweep.state);
    setText(row.cells.type, page.types[sweep.type] || sweep.type);
    row.fill.style.width = `${Math.min(100, 100 * sweep.done / sweep.planned).toFixed(1)}%`;
    row.bar.dataset.state = sweep.state;
    const running = sweep.counts.RUNNING ? ` · ${text("sweep_running", { n: sweep.counts.RUNNING })}` : "";
    setText(row.steps, `${mm.whole(sweep.done)} / ${mm.whole(sweep.planned)}${running}`);
    const several = sweep.objectives.length > 1, values = sweep.best_values;
    setText(row.cells.best, !values.length ? "–" : several ? text("sweep_front", { n: values.length }) : mm.sweeps.number(values[0][0]));
    row.cells.best.title = sweep.objectives.map((goal) => goal.metric).join(", ");
    row.cells.best.toggleAttribute("data-empty", !values.length);
    const names = mm.sweeps.possible(sweep).filter((name) => name !== "extend"), key = `${names} ${sweep.name}`;
    if (key !== row.actions) {
      row.actions = key;
      const focused = row.cells.actions.contains(document.activeElement) ? document.activeElement.dataset.action : null;
      const changed = (name) => after(page, name, sweep);
      const buttons = names.map((name) => mm.sweeps.button(name, sweep, changed, false));
      const clone = h("a", { class: "btn btn-quiet btn-icon", href: `/sweeps/new?like=${encodeURIComponent(sweep.id)}`, title: text("clone"), "aria-label": `${text("clone")}: ${sweep.name}`, "data-action": "clone" }, icon("copy"));
      buttons.splice(names.includes("delete") ? names.length - 1 : names.length, 0, clone);
      row.cells.actions.replaceChildren(h("div", { class: "action-row" }, ...buttons));
      if (focused) { (row.cells.actions.querySelector(`[data-action=${focused}]`) || clone).focus(); }
    }
    mm.moments(row.element);
  }

  function after(page, name, sweep) {
    if (name === "delete") { page.deleted.add(sweep.id); }
    if (name === "restore") { page.deleted.delete(sweep.id); }
    const row = page.rows.get(sweep.id);
    if (name === "delete" && row) { row.element.remove(); page.rows.delete(sweep.id); }
    page.loop.wake();
  }

  function showNothing(page) {
    const filtered = page.filters.state.length || page.filters.q || page.filters.page > 1;
    const kind = filtered ? "sweeps_none_match" : "sweeps_empty";
    if (page.list.dataset.nothing === kind && page.list.querySelector(".empty")) { return; }
    page.list.dataset.nothing = kind;
    const action = filtered
      ? h("button", { class: "btn btn-quiet", type: "button", id: "clear-filters", onclick: () => { page.search.value = ""; change(page, { state: [], q: "" }); } }, text("clear_filter"))
      : h("a", { class: "btn btn-primary", href: "/sweeps/new" }, icon("plus-circle"), text("sweeps_empty_action"));
    page.rows.clear();
    page.list.replaceChildren(h("div", { class: "empty" }, h("div", { class: "empty-icon" }, icon(filtered ? "search" : "sliders")), h("h2", {}, text(kind)), h("p", {}, text(`${kind}_hint`)), action));
  }

  function showPager(page, total, count) {
    const pager = page.list.querySelector(".pager"), first = (page.filters.page - 1) * PAGE + 1, last = first + count - 1, many = total > PAGE;
    if (!pager.children.length) {
      const turn = (by) => () => change(page, { page: page.filters.page + by });
      pager.append(h("span", {}),
        h("button", { class: "btn btn-quiet btn-icon", type: "button", "aria-label": text("previous"), onclick: turn(-1) }, icon("chevron-left")),
        h("button", { class: "btn btn-quiet btn-icon", type: "button", "aria-label": text("next"), onclick: turn(1) }, icon("chevron-right")));
    }
    setText(pager.children[0], many ? text("page", { from: mm.whole(first), to: mm.whole(last), n: mm.whole(total) }) : text(total === 1 ? "sweep_total_one" : "sweep_total", { n: mm.whole(total) }));
    pager.children[1].hidden = pager.children[2].hidden = !many;
    pager.children[1].disabled = first === 1;
    pager.children[2].disabled = last >= total;
  }

  mm.pages.push(start);
})();
