// A live list with filters: that of tasks, and that of sweeps. One request every two seconds, every one while something
// is active; rows are kept by id and only what changed is written, so focus, scroll and a half-made click survive. What
// the server says has not changed is not sent again. Filters, order and page are in the URL.
//
// mm.list({ list, search, chips, banners,        elements of the page
//   api, items, row,                             path of the request, key of the answer, data attribute of a row
//   states, columns, numbers, label, tableClass, extra (filters with one value), shown(page) after a change of filters
//   update(page, row, item), names(item), button(name, item, done), clone(item), path(item), words,
//   sorts ({ column: [order, direction of a first click] }), question(query, filters), active(answer), select(page) })
(function () {
  "use strict";
  const { text, h, icon, setText } = mm;
  const PAGE = 25;

  mm.list = (spec) => {
    const page = { ...spec, home: location.pathname, extra: spec.extra || [], rows: new Map(), types: JSON.parse(spec.list.dataset.types), gone: new Map(), counts: null, sorts: spec.sorts || {}, shownItems: [], known: {}, now: true, active: spec.active || (() => false) };
    page.filters = readUrl(page);
    page.change = (next) => change(page, next);
    page.wake = (fresh) => { page.now = true; page.fresh = page.fresh || Boolean(fresh); page.loop.wake(); };
    page.selection = spec.select ? spec.select(page) : null;
    showFilters(page);
    page.search.addEventListener("input", debounce(() => page.change({ q: page.search.value.trim() }), 250));
    const fromUrl = () => { if (document.contains(page.list)) { page.filters = readUrl(page); page.gone.clear(); showFilters(page); page.wake(); } };
    window.addEventListener("popstate", fromUrl);
    window.addEventListener("_dashprivate_pushstate", () => setTimeout(fromUrl));
    page.loop = mm.loop(page.list, 1, () => round(page));
    return page;
  };

  function readUrl(page) {
    const query = new URLSearchParams(location.search);
    const single = Object.fromEntries([...page.extra, "q"].map((name) => [name, query.get(name) || ""]));
    const order = query.get("order") === "asc" ? "asc" : "desc";
    return { state: query.getAll("state"), ...single, sort: query.get("sort") || "created", order, page: Math.max(1, Number(query.get("page")) || 1), until: query.get("until") || "" };
  }
  function queryOf(page) {
    const query = new URLSearchParams();
    for (const state of page.filters.state) { query.append("state", state); }
    for (const name of [...page.extra, "q"]) { if (page.filters[name]) { query.set(name, page.filters[name]); } }
    if (page.filters.sort !== "created" || page.filters.order !== "desc") { query.set("sort", page.filters.sort); query.set("order", page.filters.order); }
    if (page.filters.page > 1) { query.set("page", page.filters.page); if (page.filters.until) { query.set("until", page.filters.until); } }
    return query;
  }
  // What was typed is taken a moment later: by then another page may be shown, and its address is not ours to write.
  function change(page, next) {
    if (location.pathname !== page.home) { return; }
    page.filters = Object.assign({}, page.filters, { page: 1 }, next);
    page.gone.clear();
    const query = queryOf(page);
    history.replaceState(history.state, "", location.pathname + (query.toString() ? `?${query}` : ""));
    showFilters(page);
    page.wake();
  }
  function showFilters(page) {
    if (document.activeElement !== page.search) { page.search.value = page.filters.q; }
    if (page.shown) { page.shown(page); }
    if (page.counts || !page.counted) { showChips(page); }
  }
  function debounce(act, pause) {
    let timer = null;
    return () => { clearTimeout(timer); timer = setTimeout(act, pause); };
  }

  // Of two rounds one rests while nothing is active.
  let rests = 0;
  async function round(page) {
    if (!page.now && !page.busy && rests++ % 2 === 0) { return true; }
    page.now = false;
    return refresh(page);
  }

  async function refresh(page) {
    const query = queryOf(page), asked = page.filters;
    query.delete("page");
    if (page.question) { page.question(query, asked); }
    query.set("limit", PAGE);
    query.set("offset", (asked.page - 1) * PAGE);
    let answer;
    try { answer = await ask(page, `${page.api}?${query}`); } catch (error) {
      mm.banner(page.banners, "offline", "warn", "cloud-slash", error.status === undefined ? text("offline") : error.message);
      return true;
    }
    if (asked !== page.filters) { page.wake(); return true; }
    mm.banner(page.banners, "offline", "warn", "cloud-slash", "");
    mm.banner(page.banners, "scheduler", "warn", "exclamation-triangle-fill", answer.scheduler ? "" : text(page.words.away));
    page.busy = page.active(answer);
    show(page, answer);
    return true;
  }

  // The same answer is not sent twice: the server is told which one is here.
  async function ask(page, url) {
    const headers = { Accept: "application/json" };
    if (page.known.url === url && page.known.mark) { headers["If-None-Match"] = page.known.mark; }
    if (page.fresh) { headers["Cache-Control"] = "no-cache"; page.fresh = false; }
    const response = await fetch(url, { headers });
    page.asOf = response.headers.get("X-As-Of");
    if (response.status === 304) { return page.known.answer; }
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) { throw Object.assign(new Error(answer.error || text("failed")), { status: response.status }); }
    page.known = { url, mark: response.headers.get("ETag"), answer };
    return answer;
  }

  function show(page, answer) {
    const items = answer[page.items].filter((item) => !page.gone.has(item.id));
    page.shownItems = items;
    if (page.counted) { page.counts = answer.counts; showChips(page); }
    page.list.removeAttribute("aria-busy");
    if (!items.length) { showNothing(page); if (page.selection) { page.selection.shown(items); } return; }
    let body = page.list.querySelector("tbody");
    if (!body) {
      page.list.replaceChildren(frame(page), h("div", { class: "pager" }));
      page.rows.clear();
      body = page.list.querySelector("tbody");
    }
    const wanted = new Set(items.map((item) => item.id));
    for (const [id, row] of page.rows) { if (!wanted.has(id)) { row.element.remove(); page.rows.delete(id); } }
    items.forEach((item, index) => {
      let row = page.rows.get(item.id);
      if (!row) { row = makeRow(page, item); page.rows.set(item.id, row); }
      updateRow(page, row, item);
      if (body.children[index] !== row.element) { body.insertBefore(row.element, body.children[index] || null); }
    });
    showSort(page);
    showPager(page, answer.total, items.length);
    if (page.selection) { page.selection.shown(items); }
  }

  function showSort(page) {
    for (const [column, [sort, first]] of Object.entries(page.sorts)) {
      const head = page.list.querySelector(`th[data-column=${column}]`), on = page.filters.sort === sort;
      const order = on ? page.filters.order : "";
      head.setAttribute("aria-sort", { asc: "ascending", desc: "descending" }[order] || "none");
      head.dataset.next = on ? (order === "asc" ? "desc" : "asc") : first;
    }
  }

  function frame(page) {
    return h("section", { class: "panel" }, h("div", { class: "list-wrap" },
      h("table", { class: `list ${page.tableClass}`, "aria-label": page.list.dataset.label }, h("thead", {}, h("tr", {}, ...page.columns.map((name) => headOf(page, name)))), h("tbody", {}))));
  }

  function headOf(page, name) {
    const head = h("th", { scope: "col", class: `${page.numbers.includes(name) ? "number" : ""} th-${name}`, "data-column": name });
    if (name === "select") { head.append(page.selection.head); return head; }
    if (!page.sorts[name]) { head.append(page.label(name)); return head; }
    const [sort] = page.sorts[name];
    head.append(h("button", { class: "sort", type: "button", title: text("sort_by", { name: page.label(name) }), onclick: () => page.change({ sort, order: head.dataset.next }) },
      h("span", {}, page.label(name)), h("span", { class: "sort-mark", "aria-hidden": "true" })));
    return head;
  }

  function makeRow(page, item) {
    const cells = Object.fromEntries(page.columns.map((name) => [name, h("td", { class: `col-${name}`, "data-label": page.label(name) })]));
    const link = h("a", { href: page.path(item), class: "task-link" });
    link.addEventListener("click", (event) => { if (!event.metaKey && !event.ctrlKey && !event.shiftKey && event.button === 0) { event.preventDefault(); visit(link.getAttribute("href")); } });
    const note = h("div", { class: "row-note" }), pill = h("span", { class: "pill" });
    cells.name.append(link, note);
    cells.state.append(pill);
    const fill = h("div", {}), bar = h("div", { class: "bar" }, fill), steps = h("span", { class: "row-steps" });
    cells.progress.append(bar, steps);
    cells.age.append(h("time", { "data-at": item.created_at }));
    if (page.selection) { cells.select.append(page.selection.box(item)); }
    const element = h("tr", { [page.row]: item.id }, ...page.columns.map((name) => cells[name]));
    return { element, cells, link, note, pill, fill, bar, steps, actions: "" };
  }

  function updateRow(page, row, item) {
    setText(row.link, item.name);
    mm.pill(row.pill, item.state);
    setText(row.cells.type, page.types[item.type] || item.type);
    row.bar.dataset.state = item.state;
    page.update(page, row, item);
    row.note.title = row.note.textContent;
    const names = page.names(item), key = `${names} ${item.state} ${item.name}`;
    if (key !== row.actions) {
      row.actions = key;
      const focused = row.cells.actions.contains(document.activeElement) ? document.activeElement.dataset.action : null;
      const buttons = names.map((name) => page.button(name, item, (done) => after(page, done, item)));
      const clone = h("a", { class: "btn btn-quiet btn-icon", href: page.clone(item), title: text("clone"), "aria-label": `${text("clone")}: ${item.name}`, "data-action": "clone" }, icon("copy"));
      buttons.splice(names.includes("delete") ? names.length - 1 : names.length, 0, clone);
      row.cells.actions.replaceChildren(h("div", { class: "action-row" }, ...buttons));
      if (focused) { (row.cells.actions.querySelector(`[data-action=${focused}]`) || clone).focus(); }
    }
    mm.moments(row.element);
  }

  // What leaves this list is gone at once, and back at once when that is undone.
  function after(page, name, item) {
    const undone = { delete: "restore", archive: "unarchive", unarchive: "archive", restore: "delete" }[name];
    if (page.gone.get(item.id) === undone) { page.gone.delete(item.id); } else if (undone) { page.gone.set(item.id, name); }
    const row = page.rows.get(item.id);
    if (page.gone.has(item.id) && row) { row.element.remove(); page.rows.delete(item.id); }
    page.wake(true);
  }

  function showChips(page) {
    const counts = page.counts, total = counts && Object.values(counts).reduce((sum, count) => sum + count, 0);
    if (!page.chips.children.length) {
      page.chips.append(...["", ...page.states].map((state) => h("button", { class: "chip", type: "button", "data-state": state || "ALL", onclick: () => toggle(page, state) },
        h("span", {}, state ? text(`state.${state}`) : text("all")), counts ? h("span", { class: "count" }) : null)));
    }
    ["", ...page.states].forEach((state, index) => {
      const chip = page.chips.children[index];
      const on = state ? page.filters.state.includes(state) : !page.filters.state.length;
      chip.setAttribute("aria-pressed", on);
      if (!counts) { return; }
      const count = state ? counts[state] || 0 : total;
      chip.hidden = Boolean(state) && !count && !on;
      setText(chip.lastElementChild, mm.whole(count));
    });
  }
  function toggle(page, state) {
    const chosen = page.filters.state;
    page.change({ state: !state ? [] : chosen.includes(state) ? chosen.filter((other) => other !== state) : [...chosen, state] });
  }

  function showNothing(page) {
    const { filters, words } = page, nothing = Object.fromEntries([...page.extra, "q"].map((name) => [name, ""]));
    const filtered = filters.state.length || filters.page > 1 || Object.keys(nothing).some((name) => filters[name]);
    const kind = filtered ? words.none : words.empty;
    if (page.list.dataset.nothing === kind && page.list.querySelector(".empty")) { return; }
    page.list.dataset.nothing = kind;
    const action = filtered
      ? h("button", { class: "btn btn-quiet", type: "button", id: "clear-filters", onclick: () => { page.search.value = ""; page.change({ state: [], ...nothing }); } }, text("clear_filter"))
      : h("a", { class: "btn btn-primary", href: words.begin }, icon("plus-circle"), text(words.action));
    page.rows.clear();
    page.list.replaceChildren(h("div", { class: "empty" }, h("div", { class: "empty-icon" }, icon(filtered ? "search" : words.icon)), h("h2", {}, text(kind)), h("p", {}, text(`${kind}_hint`)), action));
  }

  function showPager(page, total, count) {
    const pager = page.list.querySelector(".pager");
    const first = (page.filters.page - 1) * PAGE + 1, last = first + count - 1, many = total > PAGE;
    if (!pager.children.length) {
      // Behind the first page the list is that of the moment when the first was left: new tasks move nothing.
      const turn = (by) => () => page.change({ page: page.filters.page + by, until: page.filters.until && page.filters.page > 1 ? page.filters.until : page.asOf || "" });
      pager.append(h("span", {}),
        h("button", { class: "btn btn-quiet btn-icon", type: "button", "aria-label": text("previous"), onclick: turn(-1) }, icon("chevron-left")),
        h("button", { class: "btn btn-quiet btn-icon", type: "button", "aria-label": text("next"), onclick: turn(1) }, icon("chevron-right")));
    }
    const { one, several } = page.words;
    setText(pager.children[0], many ? text("page", { from: mm.whole(first), to: mm.whole(last), n: mm.whole(total) }) : text(total === 1 ? one : several, { n: mm.whole(total) }));
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
  mm.listChanged = after;
})();
