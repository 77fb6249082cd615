// Loss and learning rate, and the charts of a training type, which the page describes. The scripts own the charts: points are appended and never sent twice.
(function () {
  "use strict";
  const { text, h } = mm;
  const MOST_POINTS = 10000;
  // Which trace of which chart a curve is. The band is drawn first, so that the lines lie on it.
  const PLACES = { loss_min: ["loss", 0], loss_max: ["loss", 1], loss: ["loss", 2], eval_loss: ["loss", 3], learning_rate: ["learning_rate", 0] };
  let library = null;

  function load() {
    library = library || new Promise((resolve, reject) => {
      document.head.append(h("script", { src: "/assets/plotly-cartesian.min.js?v=4.1.1", onload: () => resolve(window.Plotly), onerror: () => { library = null; reject(new Error("plotly")); } }));
    });
    return library;
  }

  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Lines of a training type: up to four, whose names need the room under the chart.
  const BELOW = { orientation: "h", x: 0, y: -0.24, yanchor: "top", font: { size: 12 }, itemclick: "toggle", entrywidthmode: "fraction" };

  function look(kind, logScale, lines) {
    const grid = token("--grid"), ink = token("--quiet"), card = token("--card");
    return {
      margin: { l: 52, r: 16, t: 8, b: 46 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: token("--font"), size: 12, color: ink }, showlegend: kind !== "learning_rate", uirevision: "keep",
      legend: lines ? Object.assign({}, BELOW, { entrywidth: lines.length === 1 ? 1 : 0.5 }) : { orientation: "h", x: 1, xanchor: "right", y: 1.02, yanchor: "bottom", font: { size: 12 }, itemclick: "toggle" },
      hovermode: "x unified", hoverlabel: { bgcolor: card, bordercolor: grid, font: { color: token("--ink"), family: token("--font") } },
      xaxis: { showgrid: false, zeroline: false, linecolor: grid, tickfont: { size: 11 }, title: { text: text("step_axis"), font: { size: 11 }, standoff: 8 }, tickformat: ",d", nticks: 8, rangemode: "tozero" },
      yaxis: kind !== "learning_rate"
        ? { gridcolor: grid, zeroline: false, tickfont: { size: 11 }, type: kind === "loss" && logScale ? "log" : "linear", nticks: 6, exponentformat: "e" }
        : { gridcolor: grid, zeroline: false, tickfont: { size: 11 }, exponentformat: "e", rangemode: "tozero", nticks: 6 },
      dragmode: "zoom",
    };
  }

  function styles() {
    const line = token("--accent-line"), second = token("--second-line"), third = token("--third-line");
    return {
      loss: [
        { line: { width: 0, color: line } }, { line: { width: 0, color: line }, fillcolor: token("--band") },
        { line: { width: 2, color: line } }, { line: { width: 1.5, color: second }, marker: { size: 6, color: second } },
      ],
      learning_rate: [{ line: { width: 2, color: third }, fillcolor: token("--third-fill") }],
    };
  }

  function traces(kind, curves, lines) {
    const style = styles()[kind];
    const base = (name, curve, extra) => Object.assign({ type: "scatter", mode: "lines", x: curve.steps.slice(), y: curve.values.slice(), name }, extra);
    if (lines) {
      const colours = [token("--accent-line"), token("--second-line"), token("--third-line")];
      return lines.map((line) => base(line.label, curves[line.name], {
        mode: line.held_out ? "lines+markers" : "lines", hovertemplate: "%{y:.4g}", marker: { size: 6 },
        line: { width: line.held_out ? 1.5 : 2, dash: line.held_out ? "dot" : "solid", color: colours[line.colour % 3] },
      }));
    }
    if (kind === "learning_rate") {
      return [base(text("learning_rate"), curves.learning_rate, Object.assign({ fill: "tozeroy", hovertemplate: "%{y:.2e}<extra></extra>" }, style[0]))];
    }
    return [
      base(text("loss_band"), curves.loss_min, Object.assign({ hoverinfo: "skip", showlegend: false }, style[0])),
      base(text("loss_band"), curves.loss_max, Object.assign({ hoverinfo: "skip", fill: "tonexty" }, style[1])),
      base(text("loss_train"), curves.loss, Object.assign({ hovertemplate: "%{y:.4f}" }, style[2])),
      base(text("loss_eval"), curves.eval_loss, Object.assign({ mode: "lines+markers", hovertemplate: "%{y:.4f}" }, style[3])),
    ];
  }

  function create(root) {
    const state = {
      curves: {}, places: Object.assign({}, PLACES), lines: {}, replace: false, drawn: false, logScale: remembered(),
      boxes: { loss: root.querySelector("#chart-loss"), learning_rate: root.querySelector("#chart-learning_rate") },
    };
    for (const box of root.querySelectorAll("[data-lines]")) {
      const kind = box.id.replace("chart-", ""), lines = JSON.parse(box.dataset.lines);
      state.boxes[kind] = box;
      state.lines[kind] = lines;
      lines.forEach((line, index) => { state.places[line.name] = [kind, index]; });
    }
    for (const name of Object.keys(state.places)) { state.curves[name] = { steps: [], values: [] }; }
    const toggle = root.querySelector("#log-scale");
    const press = () => toggle.setAttribute("aria-pressed", state.logScale);
    press();
    toggle.addEventListener("click", () => {
      state.logScale = !state.logScale;
      try { localStorage.setItem("log-scale", state.logScale ? "1" : ""); } catch (error) { /* for this page only */ }
      press();
      if (state.drawn) { window.Plotly.relayout(state.boxes.loss, { "yaxis.type": state.logScale ? "log" : "linear", "yaxis.autorange": true }); }
    });
    const repaint = () => {
      if (!document.contains(root)) { document.removeEventListener("themechange", repaint); return; }
      if (state.drawn) { draw(state); }
    };
    document.addEventListener("themechange", repaint);
    return { since: () => since(state), add: (curves, task, whole) => add(state, curves, task, whole) };
  }

  function remembered() { try { return Boolean(localStorage.getItem("log-scale")); } catch (error) { return false; } }

  function since(state) {
    if (state.replace) { return ""; }
    return Object.keys(state.places).filter((name) => state.curves[name].steps.length).map((name) => `${name}:${state.curves[name].steps.at(-1)}`).join(",");
  }

  async function add(state, fresh, task, whole) {
    const any = Object.keys(fresh).length > 0;
    if (state.replace && any) {
      for (const name of Object.keys(state.places)) { state.curves[name] = { steps: [], values: [] }; }
    }
    for (const [name, curve] of Object.entries(fresh)) {
      state.curves[name].steps.push(...curve.steps);
      state.curves[name].values.push(...curve.values);
    }
    if (!state.curves.loss.steps.length && !state.curves.learning_rate.steps.length) {
      for (const box of Object.values(state.boxes)) { nothing(box, task.ended && whole); }
      return;
    }
    if (!any) { return; }
    await load();
    if (!state.drawn || state.replace) { draw(state); } else { extend(state, fresh); }
    // Too many points make the page slow; the whole curve is asked for again, which the server thins out.
    state.replace = !state.replace && Object.keys(state.places).some((name) => state.curves[name].steps.length > MOST_POINTS);
  }

  function nothing(box, ended) {
    const message = text(ended ? "no_points_ended" : "no_points");
    if (box.textContent !== message) { box.replaceChildren(h("p", { class: "chart-empty" }, message)); }
  }

  function draw(state) {
    for (const [kind, box] of Object.entries(state.boxes)) {
      if (!state.drawn) { box.replaceChildren(); }
      window.Plotly.react(box, traces(kind, state.curves, state.lines[kind]), look(kind, state.logScale, state.lines[kind]), { displayModeBar: false, responsive: true, doubleClick: "reset" });
    }
    state.drawn = true;
  }

  function extend(state, fresh) {
    for (const [kind, box] of Object.entries(state.boxes)) {
      const names = Object.keys(fresh).filter((name) => state.places[name][0] === kind);
      if (!names.length) { continue; }
      window.Plotly.extendTraces(box, { x: names.map((name) => fresh[name].steps), y: names.map((name) => fresh[name].values) }, names.map((name) => state.places[name][1]));
    }
  }

  mm.charts = { create, load, token };
})();
