// The tables of a comparison: last and best values, and the settings that differ; and the search for a run to add.
(function () {
  "use strict";
  const { text, h, setText } = mm;
  const HIGHER = /reward|accuracy|margin|score|bleu|f1|tokens_per_second|mfu/i, LOWER = /loss|perplexity|ppl|error|kl|step_seconds/i;
  const TOLD = ["train/loss", "eval/loss", "loss", "train/reward", "eval/reward", "eval/accuracy", "perf/tokens_per_second"];
  const WAIT = 250;

  const runsOf = (page) => page.ids.map((id) => page.runs.get(id)).filter(Boolean);
  const told = (page) => TOLD.filter((key) => runsOf(page).some((run) => run.keys.includes(key)));
  const least = (values) => values.reduce((one, value) => (value < one ? value : one), Infinity);
  const most = (values) => values.reduce((one, value) => (value > one ? value : one), -Infinity);

  // The newest value of a curve, and its best where it is known what is better.
  function extremes(metric, curve) {
    if (!curve || !(curve.steps.length || curve.nans.length)) { return null; }
    const last = curve.nans.length && curve.nans.at(-1) > (curve.last.at(-1) || -1) ? NaN : curve.mean.at(-1);
    if (!curve.steps.length) { return { last, best: null }; }
    return { last, best: HIGHER.test(metric) ? most(curve.high) : LOWER.test(metric) ? least(curve.low) : null };
  }

  const number = (value) => (Number.isNaN(value) ? "NaN" : mm.plot.short(value));

  function header(page, first) {
    return h("thead", {}, h("tr", {}, h("th", { scope: "col" }, first), ...runsOf(page).map((run) => {
      const slot = page.slots.indexOf(run.id);
      return h("th", { scope: "col", title: page.names.get(run.id) }, h("span", { class: "chart-key" }, mm.chart.swatch({ colour: slot % 10, dash: slot >= 10 ? "dash" : "solid" }), h("span", { class: "key-name" }, page.names.get(run.id))));
    })));
  }

  // Only what changed is written again, so that a selection of text in the table stays.
  function put(place, now, make) {
    if (place.dataset.shown === now) { return; }
    place.dataset.shown = now;
    place.replaceChildren(...[].concat(make()));
  }

  function values(page) {
    const runs = runsOf(page), loaded = mm.runs.charted([...new Set(runs.flatMap((run) => run.keys))]).filter((key) => runs.some((run) => page.charts.curve(run.id, key)));
    const rows = loaded.map((metric) => {
      const found = runs.map((run) => extremes(metric, page.charts.curve(run.id, metric)));
      const bests = found.map((one) => (one && one.best !== null && Number.isFinite(one.best) ? one.best : null)).filter((one) => one !== null);
      return { metric, found, top: new Set(bests).size > 1 ? (HIGHER.test(metric) ? most(bests) : least(bests)) : null };
    });
    put(page.at("values"), JSON.stringify([rows, [...page.names], runs.map((run) => run.state)]), () => h("table", { class: "list compare-list" }, header(page, text("compare.metric")), h("tbody", {},
      h("tr", {}, h("th", { scope: "row" }, text("compare.state")), ...runs.map((run) => { const pill = h("span", { class: "pill" }); mm.pill(pill, run.state); return h("td", {}, pill); })),
      ...rows.map(({ metric, found, top }) => h("tr", { "data-metric": metric }, h("th", { scope: "row" }, h("code", {}, metric)), ...found.map((one) => cell(one, top)))))));
  }

  function cell(one, top) {
    if (!one) { return h("td", {}, "–"); }
    const best = one.best !== null && top !== null && one.best === top;
    return h("td", best ? { class: "is-best", "data-best": "yes" } : {}, h("span", { class: "value-last" }, number(one.last)),
      one.best === null ? null : h("span", { class: "value-best" }, `${text("compare.best")} ${number(one.best)}`, best ? h("span", { "aria-hidden": "true" }, " ★") : null, best ? h("span", { class: "visually-hidden" }, text("compare.is_best")) : null));
  }

  function settings(page) {
    const runs = runsOf(page), names = [...new Set(runs.flatMap((run) => Object.keys(run.params)))].sort();
    const differs = (name) => runs.some((run) => run.params[name] !== runs[0].params[name]);
    const shown = page.all ? names : names.filter(differs);
    const now = JSON.stringify([shown, runs.map((run) => [run.id, run.params]), [...page.names]]);
    put(page.at("settings"), now, () => {
      if (runs.length < 2 && !page.all) { return h("p", { class: "none-match" }, text("compare.one")); }
      if (!shown.length) { return h("p", { class: "none-match" }, text("compare.same")); }
      return h("table", { class: "list compare-list" }, header(page, text("compare.setting")), h("tbody", {}, ...shown.map((name) =>
        h("tr", { "data-setting": name, class: differs(name) ? "differs" : "" }, h("th", { scope: "row" }, h("code", {}, name)), ...runs.map((run) => h("td", {}, h("span", { class: "mono value" }, run.params[name] === undefined ? "–" : run.params[name])))))));
    });
  }

  // Runs by name, under the input; the arrows go through them.
  function search(input, place, options) {
    let timer = null, asked = 0;
    const close = () => { place.hidden = true; place.replaceChildren(); };
    async function look() {
      const mine = asked += 1;
      let runs;
      try { runs = (await mm.api(`/api/compare/runs?${new URLSearchParams({ q: input.value.trim() })}`)).runs; } catch (error) { mm.complain(error); return; }
      if (mine !== asked || document.activeElement === document.body) { return; }
      const fresh = runs.filter((run) => !options.has(run.id));
      place.replaceChildren(...fresh.map((run) => {
        const pill = h("span", { class: "pill" });
        mm.pill(pill, run.state);
        const choose = () => { options.choose(run.id); input.value = ""; close(); input.focus(); };
        return h("button", { type: "button", class: "pick", "data-run": run.id, onclick: choose }, h("span", { class: "pick-title" }, run.name), h("span", { class: "pick-facts" }, [run.is_task ? text("compare.is_task") : "", run.started_at ? mm.ago(run.started_at) : ""].filter(Boolean).join(" · ")), pill);
      }));
      if (!fresh.length) { place.replaceChildren(h("p", { class: "picks-empty" }, text("compare.none_found"))); }
      place.hidden = false;
    }
    input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(look, WAIT); });
    input.addEventListener("focus", () => { if (place.hidden) { look(); } });
    const box = input.closest(".compare-add");
    box.addEventListener("keydown", (event) => {
      const items = [...place.querySelectorAll(".pick")], step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") { asked += 1; close(); input.focus(); } else if (step && items.length) {
        event.preventDefault();
        const next = items.indexOf(document.activeElement) + step;
        (next < 0 ? input : items[Math.min(next, items.length - 1)]).focus();
      }
    });
    box.addEventListener("focusout", (event) => { if (!box.contains(event.relatedTarget)) { asked += 1; close(); } });
    return { close };
  }

  mm.compareTables = { told, values, settings, extremes };
  mm.compareSearch = search;
})();
