// The list of data sets and what can be fetched from the hub. Downloads are jobs of the server; this page only asks how far
// they are.
(function () {
  "use strict";
  const { text, h, icon, setText, api } = mm;
  const UNITS = ["B", "KB", "MB", "GB", "TB"];

  function size(value) {
    let unit = 0;
    while (value >= 999.5 && unit < UNITS.length - 1) { value /= 1000; unit += 1; }
    return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${UNITS[unit]}`;
  }
  const button = (name, label, style, act, title) => h("button", { class: `btn ${style} btn-small`, type: "button", title, "aria-label": title, onclick: act }, icon(name), label);

  // A bar with what is done of what; without a sum it only says that something happens.
  function bar(done, total) {
    const share = total ? Math.min(100, 100 * done / total) : 0;
    const fill = h("div", {});
    fill.style.width = `${share.toFixed(1)}%`;
    return h("div", { class: "bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": share.toFixed(0), "aria-label": text("progress") }, fill);
  }

  // the list

  function startList(root) {
    const page = root.querySelector("#data-page");
    if (!page) { return; }
    const search = document.getElementById("data-search");
    if (search) {
      search.addEventListener("input", () => {
        const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
        let shown = 0;
        for (const row of page.querySelectorAll("#data-sets tbody tr")) {
          row.hidden = !words.every((word) => row.dataset.words.includes(word));
          shown += row.hidden ? 0 : 1;
        }
        document.getElementById("data-none").hidden = shown > 0;
      });
    }
    const hub = { root: page, seen: new Map(), states: new Map(), pressed: new Set() };
    hub.loop = mm.loop(page, 1, () => refreshHub(hub));
  }

  // the hub: rows are made by the server; here only their state is written

  async function refreshHub(hub) {
    const entries = await api("/api/data/hub");
    let busy = hub.pressed.size > 0;
    for (const entry of entries) {
      const row = hub.root.querySelector(`tr[data-hub="${entry.name}"]`);
      if (!row) { continue; }
      const running = Boolean(entry.job && entry.job.state === "running");
      busy = busy || running;
      if (hub.states.get(entry.name) === "running" && !running && entry.found) { mm.toast(text("hub_done", { name: entry.name })); }
      hub.states.set(entry.name, entry.job ? entry.job.state : "");
      showEntry(hub, row.querySelector(".hub-state"), entry, running);
    }
    return busy;
  }

  function showEntry(hub, place, entry, running) {
    const key = JSON.stringify([entry.found, entry.part_bytes && !running, entry.job && [entry.job.state, entry.job.error], hub.pressed.has(entry.name)]);
    if (hub.seen.get(entry.name) !== key) {
      hub.seen.set(entry.name, key);
      const focused = place.contains(document.activeElement);
      place.replaceChildren(...stateOf(hub, entry, running));
      const first = place.querySelector("button, a");
      if (focused && first) { first.focus(); }
    }
    if (running) { showProgress(place, entry.job); }
  }

  function stateOf(hub, entry, running) {
    const name = entry.name;
    if (running) {
      const cancel = button("x-lg", text("cancel"), "btn-quiet", () => act(hub, name, `/api/jobs/${entry.job.id}/cancel`), text("hub_cancel_of", { name }));
      return [h("div", { class: "hub-progress" }), h("div", { class: "hub-line" }, h("span", { class: "quiet hub-bytes" }), cancel)];
    }
    if (entry.found) {
      const link = entry.kind === "data"
        ? h("a", { class: "btn btn-quiet btn-small", href: `/data?path=${encodeURIComponent(entry.path)}`, "aria-label": text("hub_open_of", { name }) }, text("hub_open"))
        : entry.kind === "weights" ? h("a", { class: "btn btn-quiet btn-small", href: `/new?type=sft&base=${encodeURIComponent(entry.path)}${entry.tokenizer ? `&tokenizer=${encodeURIComponent(entry.tokenizer)}` : ""}`, "aria-label": text("hub_use_of", { name }) }, icon("mortarboard"), text("hub_use")) : null;
      return [h("div", { class: "hub-line" }, h("span", { class: "good" }, icon("check-lg"), text("hub_there")), link)];
    }
    const begun = entry.part_bytes > 0;
    const get = button("download", text(begun ? "hub_resume" : "hub_get"), "btn-quiet", () => act(hub, name, `/api/data/hub/${encodeURIComponent(name)}`), text(begun ? "hub_resume_of" : "hub_get_of", { name }));
    get.disabled = hub.pressed.has(name);
    const failed = entry.job && entry.job.state === "failed" ? h("p", { class: "bad hub-error" }, entry.job.error) : null;
    return [h("div", { class: "hub-line" }, begun ? h("span", { class: "quiet" }, text("hub_begun", { size: size(entry.part_bytes) })) : null, get), ...(failed ? [failed] : [])];
  }

  function showProgress(place, job) {
    const box = place.querySelector(".hub-progress");
    if (!box) { return; }
    box.replaceChildren(bar(job.done, job.total));
    const whole = job.total > 0 && job.done >= job.total;
    setText(place.querySelector(".hub-bytes"), whole ? text("hub_checking") : job.total ? text("hub_progress", { done: size(job.done), total: size(job.total) }) : text("hub_starting"));
  }

  async function act(hub, name, path) {
    hub.pressed.add(name);
    try { await api(path, { method: "POST" }); } catch (error) { mm.complain(error); }
    hub.pressed.delete(name);
    hub.seen.delete(name);
    hub.loop.wake();
  }

  mm.parts = { size, button, bar };
  mm.pages.push(startList);
})();
