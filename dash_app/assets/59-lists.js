// A live list with filters: that of tasks, and that of sweeps. One request every two seconds; rows are kept by id and
// only what changed is written, so focus, scroll and a half-made click survive. The filters are in the URL.
//
// mm.list({ list, search, chips, banners,        elements of the page
//   api, items, row,                             path of the request, key of the answer, data attribute of a row
//   states, columns, numbers, label, tableClass, extra (filters with one value), shown(page) after a change of filters
//   update(page, row, item), names(item), button(name, item, done), clone(item), path(item), words })
(function () {
  "use strict";
  const { text, h, icon, setText } = mm;
  const PAGE = 25;

  mm.list = (spec) => {
    const page = { ...spec, extra: spec.extra || [], rows: new Map(), types: JSON.parse(spec.list.dataset.types), deleted: new Set(), counts: null };
    page.filters = readUrl(page);
    page.change = (next) => change(page, next);
    showFilters(page);
    page.search.addEventListener("input", debounce(() => page.change({ q: page.search.value.trim() }), 250));
    const fromUrl = () => { if (document.contains(page.list)) { page.filters = readUrl(page); showFilters(page); page.loop.wake(); } };
    window.addEventListener("popstate", fromUrl);
    window.addEventListener("_dashprivate_pushstate", () => setTimeout(fromUrl));
    page.loop = mm.loop(page.list, 2, () => refresh(page));
    return page;
  };

  function readUrl(page) {
    const query = new URLSearchParams(location.search);
    const single = Object.fromEntries([...page.extra, "q"].map((name) => [name, query.get(name) || ""]));
    return { state: query.getAll("state"), ...single, page: Math.max(1, Number(query.get("page")) || 1) };
  }
  function queryOf(page) {
    const query = new URLSearchParams();
    for (const state of page.filters.state) { query.append("state", state); }
    for (const name of [...page.extra, "q"]) { if (page.filters[name]) { query.set(name, page.filters[name]); } }
    return query;
  }
  function change(page, next) {
    page.filters = Object.assign({}, page.filters, { page: 1 }, next);
    const query = queryOf(page);
    if (page.filters.page > 1) { query.set("page", page.filters.page); }
    history.replaceState(history.state, "", location.pathname + (query.toString() ? `?${query}` : ""));
    showFilters(page);
    page.loop.wake();
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

  async function refresh(page) {
    const query = queryOf(page), asked = page.filters;
    query.set("limit", PAGE);
    query.set("offset", (page.filters.page - 1) * PAGE);
    let answer;
    try { answer = await mm.api(`${page.api}?${query}`); } catch (error) {
      mm.banner(page.banners, "offline", "warn", "cloud-slash", error.status === undefined ? text("offline") : error.message);
      return true;
    }
    if (asked !== page.filters) { page.loop.wake(); return true; }
    mm.banner(page.banners, "offline", "warn", "cloud-slash", "");
    mm.banner(page.banners, "scheduler", "warn", "exclamation-triangle-fill", answer.scheduler ? "" : text(page.words.away));
    show(page, answer);
    return true;
  }

  function show(page, answer) {
    const items = answer[page.items].filter((item) => !page.deleted.has(item.id));
    if (page.counted) { page.counts = answer.counts; showChips(page); }
    page.list.removeAttribute("aria-busy");
    if (!items.length) { showNothing(page); return; }
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
    showPager(page, answer.total, items.length);
  }

  function frame(page) {
    const heads = page.columns.map((name) => h("th", { scope: "col", class: page.numbers.includes(name) ? "number" : "" }, page.label(name)));
    return h("section", { class: "panel" }, h("div", { class: "list-wrap" },
      h("table", { class: `list ${page.tableClass}`, "aria-label": page.list.dataset.label }, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}))));
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

  function after(page, name, item) {
    if (name === "delete") { page.deleted.add(item.id); }
    if (name === "restore") { page.deleted.delete(item.id); }
    const row = page.rows.get(item.id);
    if (name === "delete" && row) { row.element.remove(); page.rows.delete(item.id); }
    page.loop.wake();
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
      const turn = (by) => () => page.change({ page: page.filters.page + by });
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
})();
