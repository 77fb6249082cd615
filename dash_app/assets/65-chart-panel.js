// The charts of a page: groups that fold, one toolbar, and what is loaded and drawn: only the charts in view.
// The page asks the server; it gets from here what to ask for, and gives back what came.
(function () {
  "use strict";
  const { text, h, icon, setText } = mm;
  const SMOOTH = [0, 0.6, 0.9, 0.99], AXES = ["step", "tokens", "epoch", "time"];
  const NEAR = 200;

  // Choices of a person, for each kind of page.
  function remembered(page) {
    const name = `charts.${page}`;
    let kept = {};
    try { kept = JSON.parse(localStorage.getItem(name)) || {}; } catch (error) { /* those of the beginning */ }
    const keep = () => { try { localStorage.setItem(name, JSON.stringify(kept)); } catch (error) { /* for this page only */ } };
    return {
      get: (key, other) => (kept[key] === undefined ? other : kept[key]), set: (key, value) => { kept[key] = value; keep(); },
      log: (chart) => Boolean((kept.log || {})[chart]), setLog: (chart, on) => { kept.log = Object.assign({}, kept.log, { [chart]: on }); keep(); },
    };
  }

  // options: page, groups, runs (ids), range(run, keys, begin, end), wanted() when more is in view, marked, ownLegend
  function create(root, options) {
    const settings = remembered(options.page);
    const panel = {
      root, options, settings, groups: [], charts: [], runs: new Map(), marks: options.marked ? [] : null, over: false, answered: false, range: options.range, ownLegend: Boolean(options.ownLegend), axes: new Set(["step"]),
      smooth: SMOOTH.includes(settings.get("smooth", 0)) ? settings.get("smooth", 0) : 0, axis: "step", chosenAxis: settings.get("axis", "step"), drawing: null,
    };
    panel.axisOf = (run) => axisOf(panel, run);
    panel.axisTitle = () => axisTitle(panel);
    panel.toolbar = toolbar(panel);
    panel.place = h("div", { class: "chart-groups" });
    root.replaceChildren(panel.toolbar, panel.place);
    panel.seen = new IntersectionObserver((entries) => observed(panel, entries), { rootMargin: `${NEAR}px 0px` });
    panel.sized = new ResizeObserver((entries) => { for (const entry of entries) { const chart = panel.charts.find((one) => one.box === entry.target); if (chart && chart.drawn && chart.box.offsetParent) { window.Plotly.Plots.resize(chart.box); } } });
    const repaint = () => { for (const chart of panel.charts) { mm.chart.soon(chart); } };
    document.addEventListener("themechange", repaint);
    const left = () => {
      if (document.contains(root)) { return; }
      for (const name of ["themechange", "pageleave"]) { document.removeEventListener(name, name === "themechange" ? repaint : left); }
      drop(panel);
    };
    document.addEventListener("pageleave", left);
    for (const run of options.runs) { addRun(panel, run); }
    setGroups(panel, options.groups);
    mm.charts.load().catch(() => {});
    return {
      wants: (run) => wants(panel, run), since: (run) => since(panel, run), add: (fresh, marks) => add(panel, fresh, marks), end: () => { panel.over = true; },
      has: (keys) => available(panel, keys), setGroups: (groups) => setGroups(panel, groups), addRun: (run) => addRun(panel, run), removeRun: (run) => panel.runs.delete(run),
      charts: () => panel.charts, curve: (run, metric) => panel.runs.get(run) && panel.runs.get(run).curves.get(metric), toggleRun: (run, hidden) => toggleRun(panel, run, hidden), drop: () => drop(panel),
    };
  }

  function addRun(panel, run) { if (!panel.runs.has(run)) { panel.runs.set(run, { curves: new Map() }); } }

  function drop(panel) {
    panel.seen.disconnect();
    panel.sized.disconnect();
    for (const chart of panel.charts) { if (chart.drawn) { window.Plotly.purge(chart.box); } if (chart.dialog && chart.large) { chart.dialog.remove(); } }
    panel.charts = [];
  }

  // groups: [{ key, title, charts: [spec] }]; those that are there already stay as they are.
  function setGroups(panel, groups) {
    const old = new Map(panel.charts.map((chart) => [JSON.stringify(chart.spec), chart]));
    const charts = [];
    const elements = groups.map((group) => {
      const found = group.charts.map((spec) => {
        const known = old.get(JSON.stringify(spec));
        old.delete(JSON.stringify(spec));
        const chart = known || mm.chart.create(spec, panel, `chart-${spec.key}`);
        charts.push(chart);
        return chart.element;
      });
      return folding(panel, group, found);
    });
    for (const chart of old.values()) { panel.seen.unobserve(chart.element); panel.sized.unobserve(chart.box); if (chart.drawn) { window.Plotly.purge(chart.box); } }
    panel.place.replaceChildren(...elements);
    panel.charts = charts;
    const edge = window.innerHeight + NEAR;
    for (const chart of charts) {
      chart.near = chart.near || (chart.element.offsetParent !== null && chart.element.getBoundingClientRect().top < edge);
      panel.seen.observe(chart.element);
      panel.sized.observe(chart.box);
    }
  }

  function folding(panel, group, charts) {
    const folded = (panel.settings.get("folded", {}))[group.key];
    const details = h("details", { class: "chart-group", "data-group": group.key, open: !folded }, h("summary", {}, icon("chevron-right"), h("h2", {}, group.title)), h("div", { class: "chart-grid" }, ...charts));
    details.addEventListener("toggle", () => panel.settings.set("folded", Object.assign({}, panel.settings.get("folded", {}), { [group.key]: !details.open })));
    return details;
  }

  function toolbar(panel) {
    const steps = SMOOTH.map((weight) => h("button", { type: "button", class: "btn btn-quiet btn-small", "data-smooth": weight, "aria-pressed": String(weight === panel.smooth), onclick: () => setSmooth(panel, weight) }, weight ? String(weight) : text("chart.smooth_off")));
    panel.axisSelect = h("select", { class: "form-select form-select-sm", id: "chart-axis", onchange: (event) => { panel.chosenAxis = event.target.value; panel.settings.set("axis", panel.chosenAxis); setAxis(panel); panel.options.wanted(); } });
    panel.symbols = h("div", { class: "chart-symbols" });
    writeAxes(panel);
    return h("div", { class: "chart-toolbar" },
      h("div", { class: "chart-tool", role: "group", "aria-label": text("chart.smoothing") }, h("span", { class: "tool-name", "aria-hidden": "true" }, text("chart.smoothing")), h("div", { class: "segments" }, ...steps)),
      h("div", { class: "chart-tool" }, h("label", { class: "tool-name", for: "chart-axis" }, text("chart.axis")), panel.axisSelect), panel.symbols);
  }

  function setSmooth(panel, weight) {
    panel.smooth = weight;
    panel.settings.set("smooth", weight);
    for (const button of panel.toolbar.querySelectorAll("[data-smooth]")) { button.setAttribute("aria-pressed", Number(button.dataset.smooth) === weight); }
    for (const chart of panel.charts) { mm.chart.soon(chart); }
  }

  function writeAxes(panel) {
    const names = AXES.filter((name) => panel.axes.has(name)), select = panel.axisSelect;
    if (names.join() !== [...select.options].map((one) => one.value).join()) { select.replaceChildren(...names.map((name) => h("option", { value: name }, text(`axis.${name}`)))); }
    select.value = names.includes(panel.chosenAxis) ? panel.chosenAxis : "step";
  }

  // A chosen axis holds as soon as what it is made of is there.
  function setAxis(panel) {
    const key = mm.curves.AXIS_KEYS[panel.chosenAxis], runs = [...panel.runs.values()];
    const ready = panel.axes.has(panel.chosenAxis) && (!key || runs.some((run) => run.curves.has(key)));
    const axis = ready ? panel.chosenAxis : "step";
    if (axis === panel.axis) { return; }
    panel.axis = axis;
    for (const chart of panel.charts) { chart.zoom = null; chart.reset.hidden = true; mm.chart.soon(chart); }
  }

  function unit(panel) {
    const spans = [...panel.runs.values()].filter((run) => run.curves.size).map((run) => mm.curves.clockOf(run.curves)).filter((clock) => clock.best).map((clock) => clock.end - clock.begin);
    return mm.curves.unitOf(Math.max(0, ...spans));
  }
  const axisOf = (panel, run) => mm.curves.axis(panel.axis, panel.runs.get(run).curves, panel.axis === "time" ? unit(panel) : null);
  const axisTitle = (panel) => (panel.axis === "time" ? text("axis.time_in", { unit: text(`unit_${unit(panel)[0]}`) }) : text(`axis.${panel.axis}`).toLowerCase());

  function observed(panel, entries) {
    let more = false;
    for (const entry of entries) {
      const chart = panel.charts.find((one) => one.element === entry.target);
      if (!chart) { continue; }
      more = more || (entry.isIntersecting && !chart.near);
      chart.near = entry.isIntersecting || chart.large;
    }
    if (more) { refresh(panel); panel.options.wanted(); }
  }

  // Metrics of a run that charts in view draw, and those that the axis is made of.
  function wants(panel, run) {
    const lines = panel.charts.filter((chart) => chart.near && !chart.element.hidden).flatMap((chart) => chart.lines.filter((line) => line.run === run));
    const axis = mm.curves.AXIS_KEYS[panel.chosenAxis];
    return [...new Set([...lines.flatMap(mm.chart.metricsOf), ...(axis && panel.axes.has(panel.chosenAxis) ? [axis] : [])])];
  }

  function since(panel, run) {
    const { curves } = panel.runs.get(run);
    return wants(panel, run).map((key) => mm.curves.since(key, curves.get(key))).filter(Boolean).join(",");
  }

  // Metrics that a run has: charts without any of theirs are not shown, nor axes that they would be made of.
  function available(panel, keys) {
    const found = new Set(keys);
    if (!found.size) { return; }
    for (const chart of panel.charts) { chart.element.hidden = !chart.spec.always && !chart.lines.some((line) => found.has(line.metric)); }
    for (const group of panel.place.children) { group.hidden = [...group.querySelectorAll(".chart-card")].every((card) => card.hidden) && !group.querySelector(".chart-gap"); }
    panel.axes = new Set(AXES.filter((name) => !mm.curves.AXIS_KEYS[name] || found.has(mm.curves.AXIS_KEYS[name])));
    writeAxes(panel);
  }

  // fresh: { run: { metric: answer } }. Draws the charts in view one after the other, the first at once.
  async function add(panel, fresh, marks) {
    const changed = new Set();
    panel.answered = true;
    for (const [run, curves] of Object.entries(fresh)) {
      const known = panel.runs.get(run);
      if (!known) { continue; }
      for (const [metric, answer] of Object.entries(curves)) { known.curves.set(metric, mm.curves.joined(known.curves.get(metric), answer)); changed.add(`${run} ${metric}`); }
    }
    const moved = marks && marks.length && panel.marks;
    if (moved) {
      panel.marks = panel.marks.concat(marks);
      panel.symbols.replaceChildren(...mm.chartMarks.legend(panel.marks));
    }
    setAxis(panel);
    for (const chart of panel.charts) {
      const own = chart.lines.some((line) => mm.chart.metricsOf(line).some((metric) => changed.has(`${line.run} ${metric}`)));
      if (own && chart.drawn) { mm.chart.grown(chart); } else if (own || moved || (!chart.drawn && chart.dirty)) { chart.dirty = true; }
    }
    await mm.charts.load();
    await refresh(panel);
  }

  function refresh(panel) {
    if (!window.Plotly) { return Promise.resolve(); }
    panel.drawing = panel.drawing || drawDue(panel).finally(() => { panel.drawing = null; });
    return panel.drawing;
  }

  async function drawDue(panel) {
    for (;;) {
      const chart = panel.charts.find((one) => one.near && one.dirty && !one.element.hidden && one.box.offsetParent);
      if (!chart) { return; }
      mm.chart.draw(chart);
      await new Promise((resolve) => setTimeout(resolve)); // it is seen before the next is drawn
    }
  }

  function toggleRun(panel, run, hidden) {
    for (const chart of panel.charts) { for (const line of chart.lines) { if (line.run === run) { mm.chart.toggle(chart, line, hidden); } } }
  }

  Object.assign(mm.charts, { panel: create });
})();
