// One chart: its card with legend and tools, what it draws now, zoom that asks for finer buckets, and full screen.
(function () {
  "use strict";
  const { text, h, icon, setText } = mm;
  const MOST_ZOOMED = 2048;
  const TOUCH = window.matchMedia("(pointer: coarse)");

  // spec: { key, title, wide, from_zero, lines: [{ run, metric, label, colour, held_out, low, high, dash }] }
  function create(spec, panel, id) {
    const lines = spec.lines.map((line) => Object.assign({ hidden: false }, line));
    const chart = { spec, panel, lines, id, log: panel.settings.log(spec.key), zoom: null, dirty: true, drawn: false, near: false, large: false, asked: 0 };
    const tool = (name, iconName, act) => h("button", { class: "btn btn-plain btn-icon btn-small", type: "button", "data-tool": name, title: text(`chart.${name}`), "aria-label": `${text(`chart.${name}`)}: ${spec.title}`, onclick: act }, icon(iconName));
    chart.reset = tool("reset", "zoom-out", () => unzoom(chart));
    chart.reset.hidden = true;
    chart.logButton = h("button", { class: "btn btn-plain btn-small chart-log", type: "button", "data-tool": "log", "aria-pressed": String(chart.log), title: text("chart.log_hint"), "aria-label": `${text("chart.log_hint")}: ${spec.title}`, onclick: () => setLog(chart, !chart.log) }, text("chart.log"));
    chart.fullButton = tool("full", "arrows-fullscreen", () => (chart.large ? chart.dialog.close() : enlarge(chart)));
    chart.box = h("div", { class: "chart", id, "data-drawn": spec.key }, h("p", { class: "chart-empty" }));
    chart.legend = h("div", { class: "chart-legend" });
    chart.element = h("section", { class: `panel chart-card${spec.wide ? " chart-wide" : ""}${panel.ownLegend ? " chart-bare" : ""}`, "data-chart": spec.key, "aria-label": spec.title },
      h("div", { class: "card-head" }, h("h3", {}, spec.title), h("div", { class: "card-tools" }, chart.reset, chart.logButton, chart.fullButton)), chart.legend, chart.box);
    chart.element.hidden = Boolean(spec.optional); // until the run is known to have it
    writeLegend(chart);
    return chart;
  }

  function writeLegend(chart) {
    const one = chart.lines.length === 1;
    chart.keys = chart.lines.map((line) => h("button", { type: "button", class: "chart-key", "aria-pressed": String(!line.hidden), title: line.label, onclick: () => toggle(chart, line) }, swatch(line), h("span", { class: "key-name" }, line.label)));
    chart.bandKey = h("span", { class: "chart-key", hidden: true }, h("span", { class: "key-band", "aria-hidden": "true" }), text("loss_band"));
    chart.nanKey = h("span", { class: "chart-key key-nan", hidden: true });
    chart.legend.replaceChildren(...(one || chart.panel.ownLegend ? [] : chart.keys), chart.bandKey, chart.nanKey);
  }

  function swatch(line) {
    return h("span", { class: "key-line", "aria-hidden": "true", "data-look": line.held_out ? "dots" : line.dash || "solid", style: `--key: var(--series-${(line.colour % 10) + 1})` });
  }

  function toggle(chart, line, hidden = !line.hidden) {
    line.hidden = hidden;
    chart.keys[chart.lines.indexOf(line)].setAttribute("aria-pressed", !hidden);
    soon(chart);
  }

  function setLog(chart, on) {
    chart.log = on;
    chart.logButton.setAttribute("aria-pressed", on);
    chart.panel.settings.setLog(chart.spec.key, on);
    soon(chart);
  }

  // What a line draws now: its curve and the ones of its edges, cut to the range that is looked at and finer there.
  function dataOf(chart, line) {
    const run = chart.panel.runs.get(line.run), zoom = chart.zoom && chart.zoom.ranges.get(line.run), empty = mm.curves.empty();
    const get = (metric) => {
      const known = run.curves.get(metric) || empty;
      if (!zoom) { return known; }
      const finer = zoom.curves.get(metric);
      return finer && finer.width < known.width ? finer : mm.curves.between(known, zoom.begin, zoom.end);
    };
    const curve = get(line.metric);
    const low = line.low ? get(line.low) : curve, high = line.high ? get(line.high) : curve;
    return { curve, low: low.steps.length ? low : curve, high: high.steps.length ? high : curve, axis: chart.panel.axisOf(line.run) };
  }

  // Draw or update. The elements of a chart that is drawn stay.
  function draw(chart) {
    const { panel, box } = chart;
    chart.dirty = false;
    for (const line of chart.lines) { line.data = dataOf(chart, line); }
    const any = chart.lines.some((line) => line.data.curve.steps.length || line.data.curve.nans.length);
    if (!any && !chart.drawn) {
      if (panel.answered) { setText(box.querySelector(".chart-empty"), text(panel.over ? "no_points_ended" : "no_points")); }
      return;
    }
    const ends = chart.lines.flatMap((line) => { const x = line.data.axis.of(line.data.curve); return x.length ? [x.at(-1)] : []; });
    const options = {
      smooth: panel.smooth, log: chart.log, axis: panel.axis, axisTitle: panel.axisTitle(), crowded: chart.lines.length > 4, large: chart.spec.large, fromZero: chart.spec.from_zero && !chart.log,
      marks: panel.marks, run: chart.lines[0].data.axis, range: chart.zoom && chart.zoom.x, widest: Math.max(0, ...ends), drag: TOUCH.matches && !chart.large ? false : "zoom",
    };
    const { data, layout } = mm.plot.figure(chart.lines, options);
    if (!chart.drawn) { box.replaceChildren(); }
    window.Plotly.react(box, data, layout, { displayModeBar: false, doubleClick: "reset", showTips: false });
    if (!chart.drawn) {
      box.on("plotly_relayout", () => zoomed(chart));
      box.on("plotly_click", (event) => clicked(event));
      chart.drawn = true;
    }
    const nans = chart.lines.reduce((sum, line) => sum + (line.hidden ? 0 : line.data.curve.nans.length), 0);
    chart.bandKey.hidden = chart.panel.ownLegend || !chart.lines.some((line) => line.low || line.data.curve.width > 1);
    chart.nanKey.hidden = !nans;
    setText(chart.nanKey, `× ${text("chart.nans", { n: mm.whole(nans) })}`);
  }

  let waiting = new Set();
  // Several changes at once are one drawing.
  function soon(chart) {
    chart.dirty = true;
    if (!chart.near) { return; }
    if (!waiting.size) { requestAnimationFrame(() => { const due = waiting; waiting = new Set(); for (const one of due) { if (window.Plotly && document.contains(one.box)) { draw(one); } } }); }
    waiting.add(chart);
  }

  // A click opens the log at that moment.
  function clicked(event) {
    const point = event.points.find((one) => typeof one.customdata === "number");
    if (point) { document.dispatchEvent(new CustomEvent("log-at", { detail: { t: point.customdata } })); }
  }

  function unzoom(chart) { window.Plotly.relayout(chart.box, { "xaxis.autorange": true, "yaxis.autorange": true }); }

  function zoomed(chart) {
    const { xaxis, yaxis } = chart.box.layout;
    chart.reset.hidden = xaxis.autorange !== false && yaxis.autorange !== false;
    if (xaxis.autorange !== false) {
      if (chart.zoom) { chart.zoom = null; soon(chart); }
      return;
    }
    const x = xaxis.range.map(Number);
    if (chart.zoom && chart.zoom.x[0] === x[0] && chart.zoom.x[1] === x[1]) { return; }
    const ranges = new Map();
    for (const line of chart.lines) {
      const axis = chart.panel.axisOf(line.run), steps = x.map((at) => axis.step(at));
      if (steps[0] !== null) { ranges.set(line.run, { begin: Math.max(0, Math.floor(steps[0])), end: Math.max(0, Math.ceil(steps[1])), curves: new Map() }); }
    }
    chart.zoom = { x, ranges };
    soon(chart);
    finer(chart, chart.zoom, false);
  }

  const metricsOf = (line) => [line.metric, line.low, line.high].filter(Boolean);

  // Asks for the range in buckets as fine as there are; while it grows, only for what came behind the last point.
  async function finer(chart, zoom, more) {
    if (zoom.busy) { return; }
    zoom.busy = true;
    await Promise.all([...zoom.ranges].map(async ([run, range]) => {
      const known = chart.panel.runs.get(run).curves;
      const metrics = chart.lines.filter((line) => line.run === run).flatMap(metricsOf).filter((metric) => known.has(metric) && known.get(metric).width > 1);
      if (!metrics.length) { return; }
      const ends = metrics.map((metric) => { const has = range.curves.get(metric); return has && has.steps.length ? has.last.at(-1) : range.begin - 1; });
      const full = !more || metrics.some((metric) => range.curves.has(metric) && range.curves.get(metric).steps.length > MOST_ZOOMED);
      const begin = full ? range.begin : Math.min(...ends) + 1;
      if (begin > range.end) { return; }
      const fresh = await chart.panel.range(run, metrics, begin, range.end);
      for (const [metric, answer] of Object.entries(fresh)) { range.curves.set(metric, full ? mm.curves.whole(answer) : behind(range.curves.get(metric), answer)); }
    })).catch((error) => console.warn(error.message));
    zoom.busy = false;
    if (chart.zoom === zoom) { soon(chart); }
  }

  // Points behind those that a zoomed chart has; its buckets may be of several widths.
  function behind(known, answer) {
    if (!known) { return mm.curves.whole(answer); }
    const newest = known.steps.length ? known.last.at(-1) : -1, fresh = mm.curves.between(mm.curves.whole(answer), newest + 1, Infinity);
    const next = Object.assign({}, known);
    for (const name of ["steps", "last", "mean", "low", "high", "count", "times", "nans"]) { next[name] = known[name].concat(fresh[name].filter((_value, i) => name === "nans" ? !known.nans.includes(fresh.nans[i]) : fresh.steps[i] > newest)); }
    return next;
  }

  // New points have come: a zoomed chart asks for the fine ones among them.
  function grown(chart) {
    soon(chart);
    if (chart.zoom && chart.near) { finer(chart, chart.zoom, true); }
  }

  // The card moves into a dialog and back; the room that it had stays.
  function enlarge(chart) {
    const gap = h("div", { class: `chart-gap${chart.spec.wide ? " chart-wide" : ""}`, style: `height: ${chart.element.offsetHeight}px` });
    const dialog = h("dialog", { class: "chart-full", "aria-label": chart.spec.title });
    const show = () => {
      chart.fullButton.firstElementChild.className = `bi bi-${chart.large ? "fullscreen-exit" : "arrows-fullscreen"}`;
      chart.fullButton.title = text(chart.large ? "chart.small" : "chart.full");
      if (chart.drawn) { window.Plotly.Plots.resize(chart.box); }
      soon(chart);
    };
    chart.element.replaceWith(gap);
    dialog.append(chart.element);
    document.getElementById("frame").append(dialog);
    chart.dialog = dialog;
    chart.large = true;
    dialog.addEventListener("close", () => {
      chart.large = false;
      if (document.contains(gap)) { gap.replaceWith(chart.element); }
      dialog.remove();
      show();
      chart.fullButton.focus({ preventScroll: true });
    });
    dialog.showModal();
    chart.fullButton.focus();
    show();
  }

  mm.chart = { create, draw, soon, grown, toggle, setLog, swatch, metricsOf };
})();
