// The charts of a sweep. The server makes them from the trials; this asks for those that are on screen, when trials have
// changed, gives them the colours of the theme, and leads from a point to its trial's task.
(function () {
  "use strict";
  const { text, h } = mm;
  const PAUSE = 2500, IMPORTANCE_PAUSE = 10000;
  const NARROW = 620;

  function create(page) {
    const state = { page, boxes: new Map(), busy: false, again: false };
    for (const box of page.element.querySelectorAll("[data-chart]")) { state.boxes.set(box.dataset.chart, { box, stale: true, at: 0, figure: null, drawn: false, key: "" }); }
    const wake = () => refresh(state);
    for (const id of ["contour-x", "contour-y", "objective-front", "objective-effects"]) {
      const select = document.getElementById(id);
      if (select) { select.addEventListener("change", () => { for (const entry of state.boxes.values()) { entry.at = 0; } stale(state); wake(); }); }
    }
    const repaint = () => {
      if (!document.contains(page.element)) { document.removeEventListener("themechange", repaint); window.removeEventListener("resize", wake); return; }
      for (const entry of state.boxes.values()) { if (entry.drawn) { draw(state, entry); } }
    };
    document.addEventListener("themechange", repaint);
    window.addEventListener("resize", wake);
    mm.charts.load();
    return { stale: () => stale(state), refresh: () => refresh(state) };
  }

  function stale(state) { for (const entry of state.boxes.values()) { entry.stale = true; } }
  const columns = () => (window.innerWidth < NARROW ? 2 : 4);
  const chosen = (id) => { const select = document.getElementById(id); return select ? select.value : ""; };

  // Only what is on screen is asked for: the others wait until their tab is opened.
  async function refresh(state) {
    if (state.busy) { return; }
    const now = Date.now();
    const due = [...state.boxes].filter(([name, entry]) => {
      const other = name === "slice" && entry.drawn && entry.columns !== columns();
      return entry.box.offsetParent !== null && (other || (entry.stale && now - entry.at > (name === "importance" ? IMPORTANCE_PAUSE : PAUSE)));
    });
    if (!due.length) { return; }
    state.busy = true;
    const front = due.some(([name]) => name === "front");
    const query = new URLSearchParams({ x: chosen("contour-x"), y: chosen("contour-y"), columns: columns(), objective: (front ? chosen("objective-front") : chosen("objective-effects")) || "0" });
    for (const [name, entry] of due) { query.append("show", name); entry.stale = false; entry.at = now; entry.columns = columns(); }
    try {
      const [figures] = await Promise.all([mm.api(`/api/sweeps/${state.page.id}/charts?${query}`), mm.charts.load()]);
      for (const [name, entry] of due) {
        if (!document.contains(entry.box)) { break; }
        entry.figure = figures[name];
        draw(state, entry);
        await new Promise((resolve) => setTimeout(resolve)); // the first chart is seen before the next is drawn
      }
    } catch (error) { for (const [, entry] of due) { entry.stale = true; } }
    state.busy = false;
  }

  function draw(state, entry) {
    const { box, figure } = entry;
    if (figure.empty) {
      if (entry.drawn) { window.Plotly.purge(box); entry.drawn = false; }
      if (box.textContent !== figure.empty) { box.replaceChildren(h("p", { class: "chart-empty" }, figure.empty)); }
      return;
    }
    if (!entry.drawn) { box.replaceChildren(); }
    box.style.height = figure.height ? `${figure.height}px` : "";
    window.Plotly.react(box, painted(figure.data), layout(figure), { displayModeBar: false, responsive: true, doubleClick: "reset" });
    if (!entry.drawn) { box.on("plotly_click", (event) => follow(state, event)); }
    entry.drawn = true;
  }

  function follow(state, event) {
    const point = event.points.find((one) => one.customdata !== undefined && one.customdata !== null);
    const trial = point && state.page.trials.get(Number(point.customdata));
    if (trial && trial.task_id) { mm.visit(`/tasks/${encodeURIComponent(trial.task_id)}`); }
  }

  // Names of colours, such as --accent-line, become what they are in the theme that is shown.
  function painted(value) {
    if (Array.isArray(value)) { return value.map(painted); }
    if (value && typeof value === "object") { return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, painted(inner)])); }
    return typeof value === "string" && value.startsWith("--") ? mm.charts.token(value) : value;
  }

  function layout(figure) {
    const token = mm.charts.token, grid = token("--grid"), narrow = window.innerWidth < NARROW, own = painted(figure.layout);
    const axis = (given, upright) => Object.assign({ gridcolor: grid, zeroline: false, linecolor: grid, tickfont: { size: 11 }, showgrid: upright, automargin: true, nticks: narrow ? 5 : 8 }, given, given.title ? { title: Object.assign({ font: { size: 11 }, standoff: 8 }, given.title) } : {});
    const whole = {
      margin: own.xaxis && own.xaxis.side === "top" ? { l: 12, r: 16, t: 30, b: 8 } : { l: 56, r: 16, t: 8, b: 46 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: token("--font"), size: 12, color: token("--quiet") }, uirevision: "keep", hovermode: "closest", dragmode: narrow ? false : "zoom",
      hoverlabel: { bgcolor: token("--card"), bordercolor: grid, align: "left", font: { color: token("--ink"), family: token("--font"), size: 12 } },
      legend: { orientation: "h", x: 1, xanchor: "right", y: 1.02, yanchor: "bottom", font: { size: 12 } },
    };
    if (figure.height) { whole.height = figure.height; }
    for (const [name, value] of Object.entries(own)) { whole[name] = /^[xy]axis/.test(name) ? axis(value, name[0] === "y") : value; }
    return whole;
  }

  mm.sweepCharts = { create };
})();
