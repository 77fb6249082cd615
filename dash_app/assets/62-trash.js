// The trash. One request every two seconds while something is measured or removed, else every five.
(function () {
  "use strict";
  const { text, h, icon, setText, api, toast, complain } = mm;
  const PAGE = 25;
  const COLUMNS = ["name", "bytes", "needed", "deleted", "actions"];

  function start(root) {
    const list = root.querySelector("#trash-list");
    if (!list) { return; }
    const page = {
      list, banners: document.getElementById("trash-banners"), age: document.getElementById("trash-age"),
      button: document.getElementById("trash-empty"), types: JSON.parse(list.dataset.types), rows: new Map(), number: 1, said: null,
    };
    page.button.addEventListener("click", () => empty(page));
    page.loop = mm.loop(list, 2, () => refresh(page));
  }

  async function refresh(page) {
    if (page.calm && Date.now() - page.asked < 5000) { return true; }
    page.asked = Date.now();
    let found;
    try { found = await api(`/api/trash?limit=${PAGE}&offset=${(page.number - 1) * PAGE}`); } catch (error) {
      mm.banner(page.banners, "offline", "warn", "cloud-slash", error.status === undefined ? text("offline") : error.message);
      return true;
    }
    if (!found.items.length && page.number > 1) { page.number -= 1; now(page); return true; }
    page.found = found;
    page.calm = !found.measuring && !found.purging;
    mm.banner(page.banners, "offline", "warn", "cloud-slash", "");
    mm.banner(page.banners, "away", "warn", "cloud-slash", found.tracking ? "" : text("trash_away"));
    showJob(page, found);
    show(page, found);
    return true;
  }

  // the removal that runs, was interrupted, or has just ended
  function showJob(page, found) {
    const job = found.job, runs = job && job.state === "running";
    mm.banner(page.banners, "runs", "info", "hourglass-split", runs ? text("purge_runs", { done: mm.trash.size(job.done), total: mm.trash.size(Math.max(job.done, job.total)) }) : "");
    const stuck = !runs && found.purging;
    const why = stuck && job && job.error ? `${text("purge_failed", { error: job.error })} ` : "";
    const go = page.banners.querySelector("[data-banner=stuck]") ? null : h("button", { class: "btn btn-quiet btn-small", type: "button", id: "purge-go-on", onclick: () => goOn(page) }, text("purge_go_on"));
    mm.banner(page.banners, "stuck", "warn", "exclamation-triangle-fill", stuck ? why + text("purge_left", { n: mm.whole(found.purging) }) : "", go);
    if (runs) { page.said = job.id; }
    const result = !runs && job && page.said === job.id ? job.result : null;
    if (!result) { return; }
    page.said = null;
    toast(text("purge_ended", { n: mm.whole(result.removed), bytes: mm.trash.size(result.freed) }));
    for (const what of result.remains) { toast(text("purge_remains", { what }), { kind: "bad", seconds: 60 }); }
  }

  function show(page, found) {
    page.list.removeAttribute("aria-busy");
    page.button.disabled = !found.items.length || !found.tracking;
    if (!found.items.length) { showNothing(page); return; }
    let body = page.list.querySelector("tbody");
    if (!body) {
      page.rows.clear();
      const heads = COLUMNS.map((name) => h("th", { scope: "col", class: name === "bytes" ? "number" : "" }, text(`trash_${name}`)));
      page.list.replaceChildren(
        h("section", { class: "panel" }, h("div", { class: "list-wrap" }, h("table", { class: "list trash-table", "aria-label": page.list.dataset.label }, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {})))),
        h("div", { class: "pager" }, h("span", {}),
          h("button", { class: "btn btn-quiet btn-icon", type: "button", "aria-label": text("previous"), onclick: () => turn(page, -1) }, icon("chevron-left")),
          h("button", { class: "btn btn-quiet btn-icon", type: "button", "aria-label": text("next"), onclick: () => turn(page, 1) }, icon("chevron-right"))));
      body = page.list.querySelector("tbody");
    }
    const wanted = new Set(found.items.map((item) => item.id));
    for (const [id, row] of page.rows) { if (!wanted.has(id)) { row.element.remove(); page.rows.delete(id); } }
    found.items.forEach((item, index) => {
      const row = page.rows.get(item.id) || makeRow(page, item);
      page.rows.set(item.id, row);
      update(row, item);
      if (body.children[index] !== row.element) { body.insertBefore(row.element, body.children[index] || null); }
    });
    const pager = page.list.querySelector(".pager"), many = found.total > PAGE;
    const counted = { n: mm.whole(found.total), bytes: mm.trash.size(found.bytes), left: mm.whole(found.measuring) };
    const range = many ? `${text("trash_from_to", { from: mm.whole((page.number - 1) * PAGE + 1), to: mm.whole((page.number - 1) * PAGE + found.items.length) })} · ` : "";
    setText(pager.children[0], range + text(found.measuring ? "trash_total_so_far" : "trash_total", counted));
    pager.children[1].hidden = pager.children[2].hidden = !many;
    pager.children[1].disabled = page.number === 1;
    pager.children[2].disabled = page.number * PAGE >= found.total;
  }
  function now(page) { page.calm = false; page.loop.wake(); }
  function turn(page, by) { page.number += by; now(page); }

  function makeRow(page, item) {
    const cells = Object.fromEntries(COLUMNS.map((name) => [name, h("td", { class: `col-trash-${name}`, "data-label": text(`trash_${name}`) })]));
    const path = item.kind === "sweep" ? "sweeps" : "tasks";
    const link = h("a", { href: `/${path}/${encodeURIComponent(item.id)}`, class: "task-link" }, item.name);
    link.addEventListener("click", (event) => { if (!event.metaKey && !event.ctrlKey && !event.shiftKey && event.button === 0) { event.preventDefault(); mm.visit(link.getAttribute("href")); } });
    cells.name.append(link, h("div", { class: "row-note" }, item.kind === "sweep" ? text("trash_sweep", { n: mm.whole(item.trials) }) : page.types[item.type] || item.type));
    cells.deleted.append(h("time", { "data-at": item.deleted_at }));
    const element = h("tr", { "data-trash": item.id }, ...COLUMNS.map((name) => cells[name]));
    mm.moments(element);
    const back = h("button", { class: "btn btn-quiet", type: "button", "data-action": "restore", "aria-label": `${text("restore")}: ${item.name}` }, icon("arrow-counterclockwise"), text("restore"));
    const gone = h("button", { class: "btn btn-quiet btn-danger", type: "button", "data-action": "purge", "aria-label": `${text("purge")}: ${item.name}` }, icon("trash"), text("purge"));
    back.addEventListener("click", () => act(page, back, async () => {
      await api(`/api/${path}/${encodeURIComponent(item.id)}/restore`, { method: "POST" });
      toast(text("done_restore", { name: item.name }));
    }));
    gone.addEventListener("click", () => purge(page, gone, item));
    cells.actions.append(h("div", { class: "action-row" }, back, gone), h("span", { class: "quiet", hidden: true }, text("trash_purging")));
    return { element, cells, back, gone };
  }

  function update(row, item) {
    const { cells } = row;
    setText(cells.bytes, item.bytes === null ? text("trash_measuring") : mm.trash.size(item.bytes));
    cells.bytes.classList.toggle("quiet", item.bytes === null);
    const names = [...new Set(item.dependents.map((one) => one.name))];
    const open = item.dependents.some((one) => one.need === "weights" && !one.ended);
    setText(cells.needed, names.length ? names.slice(0, 2).join(", ") + (names.length > 2 ? ` ${text("needs_more", { n: mm.whole(names.length - 2) })}` : "") : text("trash_nobody"));
    cells.needed.title = item.dependents.map(mm.trash.sentence).join("\n");
    cells.needed.classList.toggle("needed-open", open);
    cells.needed.classList.toggle("quiet", !names.length);
    const [buttons, note] = cells.actions.children;
    buttons.hidden = item.purging;
    note.hidden = !item.purging;
  }

  async function act(page, button, work) {
    button.disabled = true;
    try { await work(); now(page); } catch (error) { complain(error); }
    button.disabled = false;
  }

  async function purge(page, button, item) {
    const told = (found) => text("purge_text", { bytes: found ? mm.trash.size(found.bytes) : "–" });
    if (!(await mm.trash.ask(text("purge_title", { name: item.name }), told, [item.id], text("purge")))) { return; }
    await act(page, button, async () => {
      const begun = await api("/api/trash/purge", post({ ids: [item.id] }));
      page.said = begun.job && begun.job.id;
      toast(text("purge_begun_one", { name: item.name }));
    });
  }

  async function empty(page) {
    const days = Number(page.age.value), found = page.found;
    const title = days ? text("empty_older_title", { days }) : text("empty_title", { n: mm.whole(found.total) });
    if (!(await mm.ask(title, text("empty_text", { bytes: mm.trash.size(found.bytes) }), text("empty_do"), true))) { return; }
    await act(page, page.button, async () => {
      const begun = await api("/api/trash/empty", post({ older_than_days: days }));
      const kept = [...new Set(begun.kept.map((one) => one.name))];
      if (kept.length) { toast(text("purge_kept", { names: kept.join(", ") }), { kind: "bad", seconds: 20 }); }
      page.said = begun.job && begun.job.id;
      if (begun.job) { toast(text("purge_begun", { n: mm.whole(begun.count) })); } else if (!kept.length) { toast(text("purge_nothing")); }
    });
  }

  async function goOn(page) {
    try { const begun = await api("/api/trash/go-on", { method: "POST" }); page.said = begun.job && begun.job.id; now(page); } catch (error) { complain(error); }
  }

  const post = (body) => ({ method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(body) });

  function showNothing(page) {
    page.rows.clear();
    if (page.list.querySelector(".empty")) { return; }
    page.list.replaceChildren(h("div", { class: "empty" }, h("div", { class: "empty-icon" }, icon("trash")), h("h2", {}, text("trash_nothing")), h("p", {}, text("trash_nothing_hint")),
      h("a", { class: "btn btn-primary", href: "/tasks" }, text("trash_nothing_action"))));
  }

  mm.pages.push(start);
})();
