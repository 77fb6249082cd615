// The page of any run of the tracking server: all its metrics as charts, in groups by the part of the name before the
// slash. And how charts are made of metrics, for comparisons too.
(function () {
  "use strict";
  const { text } = mm;
  const LIVE = ["RUNNING", "QUEUED", "STARTING", "STOPPING", "LOST"];
  const FIRST = ["train/loss", "eval/loss", "loss", "eval/reward", "train/reward", "eval/accuracy", "dpo/accuracy", "train/grad_norm", "train/learning_rate", "perf/tokens_per_second"];
  const GROUPS = ["", "train", "eval", "dpo", "reward", "rollout", "perf", "system"];
  const LARGE = /tokens_per_second|_mb$|tokens$/;
  const METRICS_PAUSE = 15000;
  const rank = (list, name) => (list.includes(name) ? list.indexOf(name) : list.length);
  const sorted = (keys) => [...keys].sort((one, other) => rank(FIRST, one) - rank(FIRST, other) || (one < other ? -1 : 1));

  // Metrics with a chart of their own: the smallest and largest losses are the band of the loss.
  const charted = (keys) => sorted(keys.filter((key) => !(/\/loss_(min|max)$/.test(key) && keys.includes(key.slice(0, -4)))));

  // A chart of one metric; lines: [{ run, label, colour, dash, keys }].
  function chart(metric, lines) {
    const edges = (line) => (["min", "max"].every((end) => line.keys.includes(`${metric}_${end}`)) && /\/loss$/.test(metric) ? { low: `${metric}_min`, high: `${metric}_max` } : {});
    return {
      key: metric, title: metric, always: true, large: LARGE.test(metric),
      lines: lines.filter((line) => line.keys.includes(metric)).map((line) => Object.assign({ run: line.run, metric, label: line.label, colour: line.colour, dash: line.dash }, edges(line))),
    };
  }

  function groups(keys) {
    const found = new Map();
    for (const metric of charted(keys)) {
      const at = metric.indexOf("/"), name = at > 0 ? metric.slice(0, at) : "";
      if (!found.has(name)) { found.set(name, []); }
      found.get(name).push(chart(metric, [{ run: "", label: metric, colour: 0, keys }]));
    }
    const names = [...found.keys()].sort((one, other) => rank(GROUPS, one) - rank(GROUPS, other) || (one < other ? -1 : 1));
    return names.map((name) => ({ key: `run ${name}`, title: name || text("run.other"), charts: found.get(name) }));
  }

  function start(root) {
    const element = root.querySelector("#run-page"), other = root.querySelector("#run-task");
    if (other) { location.replace(`/tasks/${encodeURIComponent(other.dataset.task)}`); return; }
    if (!element) { return; }
    const id = element.dataset.run, keys = JSON.parse(element.dataset.keys), api = `/api/runs/${id}`;
    const page = { element, api, id, keys, state: element.dataset.state, asked: Date.now(), banners: element.querySelector("#run-banners") };
    const range = (_run, metrics, begin, end) => mm.api(`${api}/curves?${new URLSearchParams({ keys: metrics, begin, end })}`).then((answer) => answer.curves);
    page.charts = mm.charts.panel(element.querySelector("#charts"), { page: "run", groups: groups(keys), runs: [""], range, wanted: () => { if (page.loop) { page.loop.wake(); } } });
    page.charts.has(keys);
    show(page);
    page.loop = mm.loop(element, 1, () => round(page));
  }

  function show(page) {
    page.element.querySelector("#run-empty").hidden = page.keys.length > 0;
    page.element.querySelector("#charts").hidden = page.keys.length === 0;
  }

  async function round(page) {
    const live = LIVE.includes(page.state), wants = page.charts.wants("");
    if (!live) { page.charts.end(); }
    let pending = false, news = false;
    try {
      if (wants.length) {
        const answer = await mm.api(`${page.api}/curves?${new URLSearchParams({ keys: wants, since: page.charts.since("") })}`);
        pending = Boolean(answer.pending && answer.pending.length);
        news = Object.keys(answer.curves).length > 0;
        mm.banner(page.banners, "tracking", "warn", "cloud-slash", answer.tracking ? "" : text("tracking_away_now"));
        await page.charts.add({ "": answer.curves });
      }
      if (live && Date.now() - page.asked > METRICS_PAUSE) { await look(page); }
      mm.banner(page.banners, "offline", "warn", "cloud-slash", "");
    } catch (error) {
      mm.banner(page.banners, "offline", "warn", "cloud-slash", error.status === undefined || error.status >= 500 ? text("offline") : error.message);
      return error.status !== 404;
    }
    return live || pending || news;
  }

  // Metrics and state of a run that still goes on.
  async function look(page) {
    page.asked = Date.now();
    const found = (await mm.api(`/api/compare?ids=${page.id}`)).runs[0];
    if (!found) { return; }
    page.state = found.state;
    mm.pill(document.getElementById("run-state"), found.state);
    if (found.keys.length !== page.keys.length) {
      page.keys = found.keys;
      show(page);
      page.charts.setGroups(groups(page.keys));
      page.charts.has(page.keys);
    }
  }

  mm.pages.push(start);
  mm.runs = { LIVE, FIRST, charted, chart, groups };
})();
