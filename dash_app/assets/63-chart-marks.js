// The strip along the axis of a chart: checkpoints, resumes, moves and events of a run, one symbol a kind.
(function () {
  "use strict";
  const { text } = mm;
  const KINDS = {
    checkpoint: { symbol: "diamond", token: "--third-line", sign: "◆" }, resume: { symbol: "triangle-right", token: "--accent-line", sign: "▶" },
    state: { symbol: "square", token: "--idle", sign: "■" }, event: { symbol: "circle", token: "--warn", sign: "●" },
  };
  const PLACES = 240, NAMED = 4;

  // Those that lie within a few pixels share a symbol, whose text names the first of them.
  function joined(marks, options) {
    const placed = marks.map((mark) => ({ mark, x: mark.step === null ? options.run.when(mark.t) : options.run.at(mark.step) })).filter((one) => one.x !== null && Number.isFinite(one.x));
    placed.sort((one, other) => one.x - other.x);
    const [from, to] = options.range || [placed.length ? Math.min(0, placed[0].x) : 0, Math.max(options.widest, placed.length ? placed.at(-1).x : 0)];
    const gap = (to - from) / PLACES, groups = [];
    for (const one of placed) {
      const last = groups.at(-1);
      if (last && one.x - last[0].x < gap) { last.push(one); } else { groups.push([one]); }
    }
    return groups;
  }

  function told({ mark }) {
    const about = mark.kind === "state" && mm.has(`state.${mark.name}`) ? text(`state.${mark.name}`) : mark.text || mark.name;
    const step = mark.step === null ? "" : `${text("step_axis")} ${mm.whole(mark.step)}`;
    return [text(`mark.${mark.kind}`), mm.plot.plain(about || ""), step, mark.t ? mm.exact(mark.t) : ""].filter(Boolean).join(" · ");
  }

  function traces(options) {
    return Object.entries(KINDS).map(([kind, look]) => {
      const groups = joined(options.marks.filter((mark) => mark.kind === kind), options);
      const words = groups.map((group) => group.slice(0, NAMED).map(told).join("<br>") + (group.length > NAMED ? `<br>${text("mark.more", { n: group.length - NAMED })}` : ""));
      return {
        type: "scatter", mode: "markers", x: groups.map((group) => group[0].x), y: groups.map(() => 0.5), xaxis: "x", yaxis: "y2", name: text(`mark.${kind}`), text: words,
        customdata: groups.map((group) => group[0].mark.t), hovertemplate: "%{text}<extra></extra>", cliponaxis: false,
        marker: { symbol: look.symbol, size: kind === "state" ? 7 : 8, color: mm.charts.token(look.token), line: { width: 0 } },
      };
    });
  }

  function legend(marks) {
    const found = Object.entries(KINDS).filter(([kind]) => marks.some((mark) => mark.kind === kind));
    return found.map(([kind, look]) => {
      const sign = mm.h("span", { class: "mark-sign", "aria-hidden": "true", style: `color: var(${look.token})` }, look.sign);
      return mm.h("span", { class: "chart-key" }, sign, text(`mark.${kind}`));
    });
  }

  mm.chartMarks = { traces, legend };
})();
