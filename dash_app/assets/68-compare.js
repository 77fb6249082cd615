// Runs side by side. The address names them; their curves come in one request; a run keeps its colour while it is here.
(function () {
  "use strict";
  const { text, h, icon, setText } = mm;
  const MOST = 20, COLOURS = 10, PAUSE = 3, AGAIN = 400, FACTS_PAUSE = 12000;

  function start(root) {
    const element = root.querySelector("#compare-page");
    if (!element) { return; }
    const ids = [...new Set(element.dataset.ids.split(",").filter(Boolean))];
    const page = { element, ids: ids.slice(0, MOST), runs: new Map(), hidden: new Set(), slots: [], words: "", all: false, names: new Map(), asked: 0, missing: [], link: "" };
    const at = (name) => element.querySelector(`#compare-${name}`);
    page.at = at;
    page.banners = at("banners");
    page.charts = mm.charts.panel(at("charts"), { page: "compare", groups: [], runs: [], range: (run, keys, begin, end) => range(run, keys, begin, end), ownLegend: true, wanted: () => { if (page.loop) { page.loop.wake(); } } });
    filterBox(page);
    mm.banner(page.banners, "most", "warn", "exclamation-triangle-fill", ids.length > MOST ? text("compare.most") : "");
    page.search = mm.compareSearch(at("search"), at("found"), { has: (id) => page.ids.includes(id), choose: (id) => add(page, id) });
    at("all").addEventListener("click", (event) => {
      page.all = !page.all;
      event.currentTarget.setAttribute("aria-pressed", page.all);
      mm.compareTables.settings(page);
    });
    nothing(page);
    page.loop = mm.loop(element, PAUSE, () => round(page));
  }

  const range = (run, keys, begin, end) => mm.api(`/api/runs/${run}/curves?${new URLSearchParams({ keys, begin, end })}`).then((answer) => answer.curves);
  const shownRuns = (page) => page.ids.map((id) => page.runs.get(id)).filter(Boolean);

  function filterBox(page) {
    const input = h("input", { type: "search", class: "form-control", id: "compare-filter", placeholder: text("compare.filter"), "aria-label": text("compare.filter"), autocomplete: "off", oninput: () => { page.words = input.value.toLowerCase(); groups(page); page.loop.wake(); } });
    page.at("charts").querySelector(".chart-toolbar").append(h("div", { class: "chart-tool chart-filter" }, input));
  }

  function nothing(page) {
    const none = page.ids.length === 0;
    page.at("nothing").hidden = !none;
    page.at("content").hidden = none;
  }

  function keepAddress(page) {
    history.replaceState(history.state, "", `/compare${page.ids.length ? `?ids=${page.ids.join(",")}` : ""}${location.hash}`);
  }

  function add(page, id) {
    if (page.ids.includes(id)) { return; }
    if (page.ids.length >= MOST) { mm.toast(text("compare.full"), { kind: "bad" }); return; }
    page.ids.push(id);
    page.asked = 0;
    keepAddress(page);
    nothing(page);
    page.loop.wake();
  }

  function remove(page, id) {
    page.ids = page.ids.filter((one) => one !== id);
    page.runs.delete(id);
    page.charts.removeRun(id);
    page.slots[page.slots.indexOf(id)] = null;
    page.hidden.delete(id);
    page.asked = 0;
    keepAddress(page);
    nothing(page);
    mm.banner(page.banners, "most", "warn", "exclamation-triangle-fill", "");
    render(page);
    page.loop.wake();
  }

  // Facts of the runs now and then, curves each round; more often while some are still being read.
  async function round(page) {
    if (!page.ids.length) { return false; }
    try {
      if (Date.now() - page.asked > FACTS_PAUSE) { await facts(page); }
      const runs = shownRuns(page), keys = [...new Set(runs.flatMap((run) => wants(page, run)))];
      if (!runs.length || !keys.length) { return false; }
      const since = Object.fromEntries(runs.map((run) => [run.id, keys.map((key) => mm.curves.since(key, page.charts.curve(run.id, key))).filter(Boolean).join(",")]));
      const answer = await mm.api("/api/compare/curves", { method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify({ ids: runs.map((run) => run.id), keys, since }) });
      mm.banner(page.banners, "offline", "warn", "cloud-slash", "");
      mm.banner(page.banners, "tracking", "warn", "cloud-slash", answer.tracking ? "" : text("tracking_away_now"));
      await page.charts.add(answer.runs);
      mm.compareTables.values(page);
      if (answer.pending) { setTimeout(() => page.loop.wake(), AGAIN); }
      const news = Object.values(answer.runs).some((curves) => Object.keys(curves).length);
      return news || answer.pending || runs.some((run) => mm.runs.LIVE.includes(run.state));
    } catch (error) {
      const away = error.status === undefined || error.status >= 500;
      mm.banner(page.banners, "offline", "warn", "cloud-slash", away ? text("offline") : error.message);
      return away;
    }
  }

  // What charts in view show, and what the table of values names whether or not its charts are in view.
  function wants(page, run) {
    const told = mm.compareTables.told(page).filter((key) => run.keys.includes(key));
    return [...new Set([...page.charts.wants(run.id), ...told])];
  }

  async function facts(page) {
    const answer = await mm.api(`/api/compare?ids=${page.ids.join(",")}`);
    page.asked = Date.now();
    mm.banner(page.banners, "missing", "warn", "exclamation-triangle-fill", answer.missing.length ? text("compare.missing", { ids: answer.missing.join(", ") }) : "");
    for (const run of answer.runs) {
      if (!page.ids.includes(run.id)) { continue; }
      if (!page.slots.includes(run.id)) { const free = page.slots.indexOf(null); page.slots[free < 0 ? page.slots.length : free] = run.id; }
      page.charts.addRun(run.id);
      page.runs.set(run.id, run);
    }
    if (answer.missing.length) { page.ids = page.ids.filter((id) => !answer.missing.includes(id)); nothing(page); }
    page.link = answer.link;
    render(page);
  }

  function names(page) {
    const runs = shownRuns(page), count = (name) => runs.filter((run) => run.name === name).length;
    return new Map(runs.map((run) => [run.id, count(run.name) > 1 ? `${run.name} · ${run.id.slice(0, 4)}` : run.name]));
  }

  function render(page) {
    page.names = names(page);
    const now = JSON.stringify(shownRuns(page).map((run) => [run.id, run.name, run.state, run.keys.length]));
    if (now !== page.rendered) {
      page.rendered = now;
      legend(page);
      groups(page);
    }
    const link = page.at("mlflow"), several = page.ids.length > 1 && page.link;
    link.hidden = !several;
    if (several) { link.href = page.link; }
    mm.compareTables.settings(page);
    mm.compareTables.values(page);
  }

  const lineOf = (page, run) => { const slot = page.slots.indexOf(run.id); return { run: run.id, label: page.names.get(run.id), colour: slot % COLOURS, dash: slot >= COLOURS ? "dash" : "solid", keys: run.keys }; };

  function legend(page) {
    page.at("runs").replaceChildren(...shownRuns(page).map((run) => {
      const name = page.names.get(run.id), pill = h("span", { class: "pill" }), on = !page.hidden.has(run.id);
      mm.pill(pill, run.state);
      const toggle = h("button", { type: "button", class: "chart-key", "aria-pressed": String(on), title: text("compare.toggle", { name }), onclick: (event) => {
        const hidden = !page.hidden.has(run.id);
        if (hidden) { page.hidden.add(run.id); } else { page.hidden.delete(run.id); }
        event.currentTarget.setAttribute("aria-pressed", !hidden);
        page.charts.toggleRun(run.id, hidden);
      } }, mm.chart.swatch(lineOf(page, run)), h("span", { class: "key-name" }, name));
      const open = h("a", { class: "btn btn-plain btn-icon btn-small", href: run.task_id ? `/tasks/${run.task_id}` : `/runs/${run.id}`, title: text("compare.open", { name }), "aria-label": text("compare.open", { name }) }, icon("arrow-up-right"));
      const out = h("button", { type: "button", class: "btn btn-plain btn-icon btn-small", "data-remove": run.id, title: text("compare.remove", { name }), "aria-label": text("compare.remove", { name }), onclick: () => remove(page, run.id) }, icon("x-lg"));
      return h("div", { class: "compare-run", "data-run": run.id }, toggle, pill, open, out);
    }));
  }

  // One chart a metric: first those that all runs have, then the others.
  function groups(page) {
    const runs = shownRuns(page), all = [...new Set(runs.flatMap((run) => run.keys))], lines = runs.map((run) => lineOf(page, run));
    const keys = mm.runs.charted(all).filter((key) => key.toLowerCase().includes(page.words));
    const common = keys.filter((key) => runs.every((run) => run.keys.includes(key))), some = keys.filter((key) => !common.includes(key));
    const found = [["common", common], ["some", some]].filter(([, metrics]) => metrics.length);
    page.charts.setGroups(found.map(([key, metrics]) => ({ key, title: text(`compare.${key}`), charts: metrics.map((metric) => mm.runs.chart(metric, lines)) })));
    page.charts.has(all);
    for (const id of page.hidden) { page.charts.toggleRun(id, true); }
    const place = page.at("charts").querySelector(".chart-groups");
    if (!found.length && page.words) { place.replaceChildren(h("p", { class: "none-match" }, text("compare.none_match"))); }
  }

  mm.pages.push(start);
})();
