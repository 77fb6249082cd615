// What a chart draws: the lines of its curves with their bands, smoothed lines over them, marks of what is not a number,
// and the strip of what happened. Each line has the same traces at all times, so that an update keeps every element.
(function () {
  "use strict";
  const { text, h } = mm;
  const COLOURS = 10, TRACES = 4, FEW = 40, FEW_HELD_OUT = 200;
  let library = null;

  function load() {
    library = library || new Promise((resolve, reject) => {
      document.head.append(h("script", { src: "/assets/plotly-cartesian.min.js?v=4.1.1", onload: () => resolve(window.Plotly), onerror: () => { library = null; reject(new Error("plotly")); } }));
    });
    return library;
  }

  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = (number) => token(`--series-${(number % COLOURS) + 1}`);
  // Plotly reads some HTML in its texts; names are only ever text.
  const plain = (name) => String(name).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/\s+/g, " ");
  function faded(hex, part) {
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    return `rgba(${red},${green},${blue},${part})`;
  }
  const short = (value) => (value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-3) ? value.toExponential(2) : String(Number(value.toPrecision(4))));

  // On a logarithmic scale a band that reaches zero ends at the smallest value above it.
  function aboveZero(values, means, log) {
    if (!log) { return values; }
    const least = means.reduce((one, value) => (value > 0 && value < one ? value : one), Infinity);
    return values.map((value) => (value > 0 ? value : least));
  }

  function traces(line, options) {
    const { curve, low, high, axis } = line.data, ink = colour(line.colour), wide = Boolean(line.low) || curve.width > 1;
    const x = axis.of(curve), edge = (data) => (wide ? (data === curve ? x : axis.of(data)) : []);
    const shown = { visible: !line.hidden, xaxis: "x", yaxis: "y", type: "scatter", name: plain(line.label) };
    const border = { hoverinfo: "skip", mode: "lines", line: { width: options.crowded ? 0 : 0.8, color: faded(ink, 0.4) } };
    const few = curve.steps.length <= (line.held_out ? FEW_HELD_OUT : FEW);
    const over = options.smooth > 0 && !line.held_out;
    const spread = wide ? curve.steps.map((_step, i) => band(line.data, i)) : [];
    return [
      Object.assign({}, shown, border, { x: edge(low), y: wide ? aboveZero(low.low, curve.mean, options.log) : [] }),
      Object.assign({}, shown, border, { x: edge(high), y: wide ? aboveZero(high.high, curve.mean, options.log) : [], fill: "tonexty", fillcolor: faded(ink, options.crowded ? 0.08 : 0.18) }),
      Object.assign({}, shown, {
        x, y: curve.mean, customdata: curve.times, text: spread, mode: few ? "lines+markers" : "lines", opacity: over ? 0.35 : 1,
        hovertemplate: `%{y:.5~g}${wide ? "%{text}" : ""}<extra>${plain(line.label).replace(/%/g, "%\u200b")}</extra>`, marker: { size: line.held_out ? 6 : 4, color: ink },
        line: { width: over ? 1 : line.held_out || options.crowded ? 1.5 : 2, color: ink, dash: line.held_out ? "dot" : line.dash || "solid" },
      }),
      Object.assign({}, shown, { x: over ? x : [], y: over ? mm.curves.smoothed(curve.mean, options.smooth) : [], mode: "lines", hoverinfo: "skip", line: { width: 2, color: ink, dash: line.dash || "solid" } }),
    ];
  }

  function band(data, i) {
    const same = data.low.steps[i] === data.curve.steps[i] && data.high.steps[i] === data.curve.steps[i];
    return same ? `  (${short(data.low.low[i])} – ${short(data.high.high[i])})` : "";
  }

  // Steps whose value was not a number stand at the upper edge.
  function notNumbers(lines) {
    const x = [], y = [], names = [], times = [];
    for (const line of lines) {
      if (line.hidden) { continue; }
      for (const step of line.data.curve.nans) {
        x.push(line.data.axis.at(step)); y.push(0.975); times.push(null);
        names.push(`${plain(line.label)} · ${text("step_axis")} ${mm.whole(step)}: ${text("chart.nan")}`);
      }
    }
    return { type: "scatter", mode: "markers", x, y, text: names, customdata: times, hovertemplate: "%{text}<extra></extra>", xaxis: "x", yaxis: "y3", name: text("chart.nan"), marker: { symbol: "x", size: 9, color: token("--bad"), line: { width: 0 } }, cliponaxis: false };
  }

  function figure(lines, options) {
    const marked = options.marks !== null;
    const data = lines.flatMap((line) => traces(line, options)).concat([notNumbers(lines)], marked ? mm.chartMarks.traces(options) : []);
    return { data, layout: layout(options, marked) };
  }

  function layout(options, marked) {
    const grid = token("--grid"), ink = token("--quiet"), font = token("--font"), small = { size: 11 };
    return {
      margin: { l: 56, r: 14, t: 6, b: 42 }, paper_bgcolor: token("--card"), plot_bgcolor: token("--card"), font: { family: font, size: 12, color: ink },
      showlegend: false, uirevision: "keep", hovermode: "x unified", hoverdistance: 40, dragmode: options.drag,
      hoverlabel: { bgcolor: token("--card"), bordercolor: token("--edge"), align: "left", namelength: 40, font: { color: token("--ink"), family: font, size: 12 } },
      xaxis: {
        spikecolor: token("--edge"), spikethickness: 1, spikedash: "solid",
        anchor: marked ? "y2" : "y", showgrid: false, zeroline: false, linecolor: grid, tickcolor: grid, tickfont: small, nticks: 8, rangemode: "tozero", uirevision: options.axis,
        title: { text: options.axisTitle, font: small, standoff: 6 }, tickformat: options.axis === "step" ? ",~d" : options.axis === "tokens" ? ",~s" : ",~f",
        unifiedhovertitle: { text: `${plain(options.axisTitle)} %{x:${options.axis === "step" ? ",d" : options.axis === "tokens" ? ".4~s" : ".4~g"}}` },
      },
      yaxis: { domain: [marked ? 0.1 : 0, 1], gridcolor: grid, zeroline: false, tickfont: small, type: options.log ? "log" : "linear", nticks: 6, exponentformat: options.large ? "SI" : "e", uirevision: String(options.log), rangemode: options.fromZero ? "tozero" : "normal" },
      yaxis2: { domain: [0, 0.05], range: [0, 1], fixedrange: true, visible: false },
      yaxis3: { overlaying: "y", range: [0, 1], fixedrange: true, visible: false },
    };
  }

  // A page of charts needs the library in any case: it comes while the frame of the page is made.
  if (/^\/(tasks|runs)\/|^\/compare/.test(location.pathname)) { load().catch(() => {}); }
  mm.charts = { load, token };
  mm.plot = { figure, colour, plain, short, TRACES };
})();
