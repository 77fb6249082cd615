// The live page of a task: one request a second brings what is new; numbers are written, curves extended, log lines
// added. It ends when the task has ended and everything has arrived.
(function () {
  "use strict";
  const { text, setText } = mm;
  const METRICS_PAUSE = 15000;
  const SOON = 200;  // milliseconds; a long curve is being read

  function start(root) {
    const element = root.querySelector("#task-page");
    if (!element) { return; }
    const id = element.dataset.task;
    const page = {
      id, charts: charts(element, id, () => { if (page.loop) { page.loop.wake(); } }), marks: 0, asked: 0, log: mm.log.create(element, id),
      banners: element.querySelector("#task-banners"), readAt: Date.now() / 1000, seen: "", changes: 0, actions: "",
    };
    mm.logFind.create(element, page.id, page.log);
    const changed = (name, result) => {
      if (name === "delete") { mm.visit("/tasks"); } else if (name === "retry") { mm.visit(`/tasks/${result.id}`); }
      else { page.loop.wake(); }
    };
    page.loop = mm.loop(element, 1, () => round(page, changed));
  }

  // The charts of the one run that the page shows.
  function charts(element, id, wake) {
    const place = element.querySelector("#charts");
    const range = (_run, keys, begin, end) => mm.api(`/api/runs/${id}/curves?${new URLSearchParams({ keys, begin, end })}`).then((answer) => answer.curves);
    return mm.charts.panel(place, { page: "task", groups: JSON.parse(place.dataset.groups), runs: [""], range, marked: true, wanted: wake });
  }

  // Which metrics the run has: charts without any are not shown. Asked again now and then while it runs.
  async function metrics(page, task) {
    if (page.asked && (task.ended || Date.now() - page.asked < METRICS_PAUSE)) { return; }
    page.asked = Date.now();
    try { page.charts.has((await mm.api(`/api/runs/${page.id}/keys`)).keys); } catch (error) { page.asked = 0; }
  }

  async function round(page, changed) {
    const query = new URLSearchParams({ keys: page.charts.wants(""), since: page.charts.since(""), marks: page.marks, offset: page.log.offset() });
    let delta;
    try { delta = await mm.api(`/api/tasks/${page.id}/live?${query}`); } catch (error) {
      const gone = error.status === 404, offline = error.status === undefined || error.status >= 500;
      mm.banner(page.banners, "offline", "warn", "cloud-slash", offline ? text("offline") : error.message);
      return !gone;
    }
    mm.banner(page.banners, "offline", "warn", "cloud-slash", "");
    const task = delta.task;
    if (delta.tracking) { page.readAt = Date.now() / 1000; }
    page.log.add(delta.log);
    tiles(task);
    head(page, task, changed);
    notices(page, task, delta);
    if (delta.marks) { page.marks = delta.count; }
    if (task.ended && delta.tracking) { page.charts.end(); }
    if (delta.tracking) { metrics(page, task); }
    await page.charts.add({ "": delta.curves }, delta.marks);
    tellServerParts(page, task);
    if (delta.pending.length) { setTimeout(() => page.loop.wake(), SOON); }
    const settled = task.ended && !task.unsynced && delta.tracking && !delta.log.more && !Object.keys(delta.curves).length && !delta.pending.length;
    return !settled;
  }

  function tiles(task) {
    const p = task.progress, running = task.state === "RUNNING";
    const tile = (name, value, unit, note) => {
      setText(document.getElementById(`tile-${name}`), value);
      setText(document.getElementById(`tile-${name}-unit`), unit || "");
      if (note !== undefined) { setText(document.getElementById(`tile-${name}-note`), note); }
    };
    tile("step", p.total_steps ? mm.whole(p.step) : "–", p.total_steps ? `/ ${mm.whole(p.total_steps)}` : "",
      p.epochs ? text("epoch", { n: Math.min(p.epochs, Math.floor(p.epoch) + 1), total: p.epochs }) : "");
    document.getElementById("tile-step-bar").parentElement.dataset.state = task.state;
    document.getElementById("tile-step-bar").style.width = `${(p.fraction * 100).toFixed(2)}%`;
    for (const name of ["loss", "reward"]) {
      const held_out = p[`eval_${name}`];
      if (document.getElementById(`tile-${name}`)) { tile(name, mm.loss(p[name]), "", held_out === null ? text("no_eval") : text("eval_loss", { n: mm.loss(held_out) })); }
    }
    tile("learning_rate", mm.rate(p.learning_rate));
    tile("speed", mm.whole(p.tokens_per_second), p.tokens_per_second === null ? "" : text("tokens_per_second_unit"), task.device);
    const took = task.ended && task.started_at && task.ended_at ? text("took", { time: mm.duration(task.ended_at - task.started_at) }) : "";
    const until = running && p.seconds_left !== null ? text("done_at", { time: mm.clock(Date.now() / 1000 + p.seconds_left) }) : took;
    tile("time_left", running ? mm.duration(p.seconds_left) : "–", "", until);
  }

  function head(page, task, changed) {
    mm.pill(document.getElementById("task-state"), task.state);
    setText(document.getElementById("task-device"), task.device);
    const names = mm.actions.possible(task, true);
    if (String(names) !== page.actions) {
      page.actions = String(names);
      const place = document.getElementById("task-actions");
      place.replaceChildren(...names.map((name) => { const button = mm.actions.button(name, task, changed, true); button.id = `action-${name}`; return button; }));
    }
    const percent = task.state === "RUNNING" && task.progress.total_steps ? `${Math.floor(task.progress.fraction * 100)} % · ` : "";
    document.title = `${percent}${task.name} · ${document.querySelector(".brand").textContent}`;
  }

  // How much MLflow lacks.
  const behind = (delta) => (delta.unsent ? ` ${text(delta.unsent === 1 ? "unsent_one" : "unsent", { n: mm.whole(delta.unsent) })}` : "");

  function notices(page, task, delta) {
    const b = page.banners;
    mm.failure(b, task, page.log.open);
    mm.banner(b, "deleted", "info", "trash", task.deleted_at ? text("deleted") : "");
    mm.banner(b, "archived", "info", "archive", task.archived_at && !task.deleted_at ? text("archived") : "");
    mm.banner(b, "waits", "info", "hourglass-split", task.state === "QUEUED" ? mm.waits(task.waits_for, delta.turn) : "");
    mm.banner(b, "scheduler", "warn", "exclamation-triangle-fill", !delta.scheduler && !task.ended ? text("scheduler_away") : "");
    mm.banner(b, "tracking", "warn", "cloud-slash", delta.tracking ? "" : text("tracking_away", { time: mm.clock(page.readAt) }) + behind(delta));
    // The newest thing that the watchdog has found in this attempt; a resume begins anew.
    for (const mark of delta.marks || []) {
      if (mark.kind === "resume") page.found = null;
      if (mark.kind === "event" && mark.notify) page.found = mark;
    }
    const found = task.ended ? null : page.found;
    const what = found && mm.has(`found.${found.name}`) ? text(`found.${found.name}`) : "";
    mm.banner(b, "watchdog", "warn", "exclamation-triangle-fill", found ? text("found", { time: mm.clock(found.t), what, text: found.text }) : "");
    mm.banner(b, "unsynced", "info", "info-circle", task.ended && task.unsynced && delta.tracking ? text("unsynced") + behind(delta) : "");
  }

  // Checkpoints and history are made on the server; it makes them again when something may have changed.
  function tellServerParts(page, task) {
    const p = task.progress;
    const now = `${task.version} ${p.eval_loss} ${p.eval_reward} ${task.ended || Math.floor(p.fraction * 20)} ${task.unsynced}`;
    if (page.seen && page.seen !== now) { page.changes += 1; window.dash_clientside.set_props("task-changed", { data: page.changes }); }
    page.seen = now;
  }

  mm.pages.push(start);
})();
