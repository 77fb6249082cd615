// The live page of a sweep: one request a second brings its numbers and the trials that changed.
(function () {
  "use strict";
  const { text, h, icon, setText } = mm;

  function start(root) {
    const element = root.querySelector("#sweep-page");
    if (!element) { return; }
    const page = {
      id: element.dataset.sweep, told: JSON.parse(element.dataset.told), element, since: "", trials: new Map(), sweep: null,
      banners: element.querySelector("#sweep-banners"), actions: "", best: "",
    };
    page.changed = (name) => { if (name === "delete") { mm.visit("/sweeps"); } else { page.loop.wake(); } };
    page.charts = mm.sweepCharts.create(page);
    page.table = mm.trials.create(page);
    page.loop = mm.loop(element, 1.5, () => round(page));
  }

  async function round(page) {
    const first = !page.drawn && page.charts.refresh(); // charts and numbers come side by side
    let delta;
    try { delta = await mm.api(`/api/sweeps/${page.id}/live?since=${page.since}`); } catch (error) {
      mm.banner(page.banners, "offline", "warn", "cloud-slash", error.status === undefined || error.status >= 500 ? text("offline") : error.message);
      return error.status !== 404;
    }
    mm.banner(page.banners, "offline", "warn", "cloud-slash", "");
    page.since = delta.since;
    page.sweep = delta.sweep;
    if (delta.whole) { page.trials.clear(); }
    for (const trial of delta.trials) { page.trials.set(trial.number, trial); }
    head(page, delta.sweep);
    tiles(page, delta.sweep);
    notices(page, delta);
    best(page, delta.sweep);
    if (delta.trials.length || !page.drawn) { page.table.update(delta.trials); }
    if (delta.trials.length && page.drawn) { page.charts.stale(); }
    page.drawn = true;
    await (first || page.charts.refresh());
    return true;
  }

  function head(page, sweep) {
    mm.pill(document.getElementById("sweep-state"), sweep.state);
    const names = mm.sweeps.possible(sweep), key = `${names} ${sweep.name} ${sweep.parallel}`;
    if (key !== page.actions) {
      page.actions = key;
      const place = document.getElementById("sweep-actions"), focused = place.contains(document.activeElement) ? document.activeElement.id : "";
      place.replaceChildren(...names.map((name) => { const button = mm.sweeps.button(name, sweep, page.changed, true); button.id = `action-${name}`; return button; }));
      if (focused && document.getElementById(focused)) { document.getElementById(focused).focus(); }
    }
    const part = sweep.state === "RUNNING" ? `${sweep.done}/${sweep.planned} · ` : "";
    document.title = `${part}${sweep.name} · ${document.querySelector(".brand").textContent}`;
  }

  function tiles(page, sweep) {
    const counts = sweep.counts, running = counts.RUNNING || 0;
    const tile = (name, value, unit, note) => {
      setText(document.getElementById(`tile-${name}`), value);
      setText(document.getElementById(`tile-${name}-unit`), unit || "");
      setText(document.getElementById(`tile-${name}-note`), note || "");
    };
    const parts = ["PRUNED", "FAILED"].filter((state) => counts[state]).map((state) => text("sweep_counts", { n: counts[state], state: text(`trial.${state}`) }));
    tile("trials", mm.whole(sweep.done), `/ ${mm.whole(sweep.planned)}`, parts.join(", "));
    const bar = document.getElementById("tile-trials-bar");
    bar.parentElement.dataset.state = sweep.state;
    bar.style.width = `${Math.min(100, 100 * sweep.done / sweep.planned).toFixed(1)}%`;
    const several = sweep.objectives.length > 1, first = sweep.best_values[0];
    tile("best", !first ? "–" : several ? String(sweep.best.length) : mm.sweeps.number(first[0]), several && first ? text("sweep_front", { n: "" }).trim() : "", several ? "" : sweep.objectives[0].metric);
    tile("running", mm.whole(running), "", text("sweep_parallel", { n: sweep.parallel }));
    const left = sweep.state === "RUNNING" && sweep.done > 1 && sweep.planned > sweep.done ? sweep.spent_seconds / sweep.done * (sweep.planned - sweep.done) : null;
    tile("time", mm.duration(sweep.spent_seconds), "", left === null ? "" : text("sweep_left", { time: mm.duration(left) }));
    tile("device", mm.duration(sweep.device_seconds));
  }

  function notices(page, delta) {
    const b = page.banners, sweep = delta.sweep, paused = sweep.state === "PAUSED";
    mm.banner(b, "paused", "bad", "pause-circle", paused ? text("sweep_paused", { reason: sweep.reason }) : "", h("span", { class: "notice-hint" }, text("sweep_paused_hint")));
    mm.banner(b, "ended", "info", "info-circle", sweep.ended && !paused && !sweep.deleted_at && sweep.reason ? text("sweep_ended", { reason: sweep.reason }) : "");
    mm.banner(b, "deleted", "info", "trash", sweep.deleted_at ? text("sweep_deleted") : "");
    mm.banner(b, "scheduler", "warn", "exclamation-triangle-fill", !delta.scheduler && !sweep.ended ? text("sweep_scheduler_away") : "");
    mm.banner(b, "unsynced", "info", "info-circle", sweep.ended && sweep.unsynced && delta.tracking ? text("sweep_unsynced") : "");
  }

  // The best trial, or with several objectives those that no other one beats.
  function best(page, sweep) {
    const place = document.getElementById("sweep-best");
    const now = JSON.stringify([sweep.best, sweep.best_values, sweep.best.map((number) => (page.trials.get(number) || {}).task_id)]);
    if (now === page.best) { return; }
    page.best = now;
    const trials = sweep.best.map((number) => page.trials.get(number)).filter(Boolean);
    if (!trials.length) { place.replaceChildren(h("p", { class: "quiet" }, text("sweep_no_best"))); return; }
    place.replaceChildren(...trials.slice(0, 12).map((trial) => bestTrial(page, sweep, trial)));
  }

  function bestTrial(page, sweep, trial) {
    const values = sweep.objectives.map((goal, index) => h("div", { class: "best-value" }, h("strong", {}, mm.sweeps.number(trial.values[index])), h("span", { class: "quiet" }, goal.metric)));
    const rows = page.told.space.filter((param) => param.name in trial.params).map((param) => h("div", {}, h("dt", {}, param.label), h("dd", { class: "mono" }, mm.sweeps.shown(trial.params[param.name]))));
    const path = `/tasks/${encodeURIComponent(trial.task_id)}`;
    const link = h("a", { href: path, class: "btn btn-quiet btn-small best-task" }, text("sweep_open_task"));
    link.addEventListener("click", (event) => { if (!event.metaKey && !event.ctrlKey) { event.preventDefault(); mm.visit(path); } });
    const full = h("button", { class: "btn btn-primary btn-small best-promote", type: "button", "aria-label": text("promote_of", { n: trial.number }), onclick: () => mm.sweeps.promote(sweep, page.told, trial) }, icon("play-fill"), text("promote"));
    return h("div", { class: "best-trial", "data-trial": trial.number }, h("div", { class: "best-head" }, ...values, h("span", { class: "tag" }, text("sweep_best_of", { n: trial.number }))), h("dl", {}, ...rows), h("div", { class: "action-row" }, full, trial.task_id ? link : null));
  }

  mm.pages.push(start);
})();
