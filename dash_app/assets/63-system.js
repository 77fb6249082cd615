// The page about this machine, one request every two seconds; and on every page the number of warnings, every 30.
(function () {
  "use strict";
  const { text, h, icon, setText, api } = mm;
  const SPAN = 600, WIDE = 300, HIGH = 56;
  const SVG = ["http:", "//www.w3.org/2000/svg"].join("");  // what such elements are called; nothing is fetched
  const PARTS = ["checkpoints", "weights", "logs", "caches", "trash", "data", "databases", "other"];
  const size = (value) => mm.trash.size(value);
  const number = (value, digits) => value.toLocaleString(document.documentElement.lang, { maximumFractionDigits: digits || 0 });
  const percent = (value) => (value === null || value === undefined ? "–" : `${number(value)} %`);

  // warnings, here and beside the page's name in the navigation
  function sentence(one) {
    const values = { subject: one.kind.endsWith("gpu") ? one.subject : one.subject.split(", ").map((name) => text(`sys_${name}`)).join(", ") };
    for (const [name, value] of Object.entries(one.values)) { values[name] = ["free", "total", "needed"].includes(name) ? size(value) : String(value); }
    return text(`warn_${one.kind}`, values);
  }
  let badged = false;
  function badge() {
    if (badged) { return; }
    badged = true;
    mm.loop(document.getElementById("frame"), 30, async () => {
      const found = await api("/api/system/warnings"), place = document.getElementById("system-badge");
      if (!place) { return true; }
      const told = text(found.length === 1 ? "warn_badge_one" : "warn_badge", { n: mm.whole(found.length) });
      place.hidden = !found.length;
      setText(place, found.length ? String(found.length) : "");
      if (found.length) { place.setAttribute("role", "img"); place.setAttribute("aria-label", told); place.title = told; }
      return true;
    });
  }

  function start(root) {
    badge();
    const devices = root.querySelector("#system-devices");
    if (!devices) { return; }
    const place = (name) => document.getElementById(`system-${name}`);
    const page = {
      devices, banners: place("banners"), disk: place("disk"), slots: place("slots"), tasks: place("tasks"), processes: place("processes"),
      cards: new Map(), tables: new Map(), warned: 0, points: { times: [], cpu: [], memory: [], gpus: {}, gpu_memory: {} },
    };
    page.loop = mm.loop(devices, 2, () => refresh(page));
  }

  async function refresh(page) {
    let found;
    const last = page.points.times[page.points.times.length - 1] || 0;
    try { found = await api(`/api/system?since=${last}`); } catch (error) {
      mm.banner(page.banners, "offline", "warn", "cloud-slash", error.status === undefined ? text("offline") : error.message);
      return true;
    }
    mm.banner(page.banners, "offline", "warn", "cloud-slash", "");
    append(page.points, found);
    for (let index = 0; index < Math.max(found.warnings.length, page.warned); index += 1) {
      const one = found.warnings[index];
      mm.banner(page.banners, `warning-${index}`, "warn", "exclamation-triangle-fill", one ? sentence(one) : "");
    }
    page.warned = found.warnings.length;
    showDevices(page, found);
    showDisk(page, found);
    showSlots(page, found);
    showTasks(page, found);
    showProcesses(page, found);
    return true;
  }

  // the last ten minutes
  function append(points, found) {
    const news = found.history, had = points.times.length, empty = (count) => new Array(count).fill(null);
    points.times.push(...news.times);
    for (const name of ["cpu", "memory"]) { points[name].push(...news[name]); }
    for (const name of ["gpus", "gpu_memory"]) {
      for (const slot of new Set([...Object.keys(points[name]), ...Object.keys(news[name])])) {
        points[name][slot] = (points[name][slot] || empty(had)).concat(news[name][slot] || empty(news.times.length));
      }
    }
    let old = 0;
    while (old < points.times.length && points.times[old] < found.t - SPAN) { old += 1; }
    if (!old) { return; }
    points.times.splice(0, old);
    for (const name of ["cpu", "memory"]) { points[name].splice(0, old); }
    for (const name of ["gpus", "gpu_memory"]) { for (const line of Object.values(points[name])) { line.splice(0, old); } }
  }

  function chart(name) {
    const svg = document.createElementNS(SVG, "svg");
    for (const [key, value] of Object.entries({ viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img", "aria-label": text("sys_chart", { name }), class: "spark" })) { svg.setAttribute(key, value); }
    for (const kind of ["spark-fill", "spark-line"]) {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", kind);
      svg.append(path);
    }
    return svg;
  }
  // Where nobody looked for a while, or the value is not known, there is a gap.
  function draw(svg, times, values, now) {
    let line = "", fill = "", before = null, begin = 0;
    const x = (t) => (WIDE * (1 - (now - t) / SPAN)).toFixed(1), y = (value) => (HIGH - 1 - (HIGH - 3) * Math.min(100, Math.max(0, value)) / 100).toFixed(1);
    const close = () => { if (before !== null) { fill += `L${x(before)} ${HIGH}L${x(begin)} ${HIGH}Z`; } };
    times.forEach((t, index) => {
      const value = values ? values[index] : null;
      if (value === null || value === undefined) { close(); before = null; return; }
      if (before === null || t - before > 15) { close(); begin = t; line += `M${x(t)} ${y(value)}`; fill += `M${x(t)} ${y(value)}`; }
      else { line += `L${x(t)} ${y(value)}`; fill += `L${x(t)} ${y(value)}`; }
      before = t;
    });
    close();
    svg.children[0].setAttribute("d", fill);
    svg.children[1].setAttribute("d", line);
  }

  function device(page, key, title, facts, lines) {
    let card = page.cards.get(key);
    if (!card) {
      card = { facts: h("dl", { class: "device-facts" }), lines: new Map(), element: null };
      const rows = lines.map(({ name, label }) => {
        const one = { value: h("strong", {}), note: h("span", { class: "quiet" }), svg: chart(`${title} · ${label}`) };
        card.lines.set(name, one);
        return h("div", { class: "device-line" }, h("div", { class: "device-now" }, h("span", { class: "tile-label" }, label), one.value, one.note), one.svg);
      });
      card.element = h("section", { class: "panel device", "data-device": key }, h("h2", {}, title), ...rows, card.facts);
      page.cards.set(key, card);
      page.devices.append(card.element);
    }
    for (const { name, value, note, values } of lines) {
      const one = card.lines.get(name);
      setText(one.value, percent(value));
      setText(one.note, note || "");
      draw(one.svg, page.points.times, values, page.now);
    }
    facts.forEach(([label, value], index) => {
      if (!card.facts.children[index]) { card.facts.append(h("div", {}, h("dt", {}, label), h("dd", {}))); }
      setText(card.facts.children[index].lastElementChild, value);
    });
    return key;
  }

  function showDevices(page, found) {
    page.devices.removeAttribute("aria-busy");
    page.now = found.t;
    const { points } = page;
    const shown = [
      device(page, "machine", text("sys_cpu"), [], [
        { name: "cpu", label: text("sys_gpu_use"), value: found.cpu, note: text("sys_cpu_facts", { cores: mm.whole(found.cores), load: number(found.load, 1) }), values: points.cpu },
        { name: "memory", label: text("sys_memory"), value: 100 * found.memory / found.memory_total, note: text("sys_of", { used: size(found.memory), total: size(found.memory_total) }), values: points.memory },
      ]),
      ...found.gpus.map((gpu) => device(page, gpu.slot, `${gpu.slot} · ${gpu.name}`, [
        [text("sys_temperature"), gpu.temperature === null ? text("sys_unknown") : text("sys_degrees", { n: number(gpu.temperature) })],
        [text("sys_power"), gpu.power === null ? text("sys_unknown") : gpu.power_limit === null ? text("sys_watts", { n: number(gpu.power) }) : text("sys_power_of", { n: number(gpu.power), limit: number(gpu.power_limit) })],
      ], [
        { name: "use", label: text("sys_gpu_use"), value: gpu.use, values: points.gpus[gpu.slot] },
        { name: "memory", label: text("sys_gpu_memory"), value: gpu.memory === null || !gpu.memory_total ? null : 100 * gpu.memory / gpu.memory_total, note: gpu.memory === null || gpu.memory_total === null ? text("sys_unknown") : text("sys_of", { used: size(gpu.memory), total: size(gpu.memory_total) }), values: points.gpu_memory[gpu.slot] },
      ])),
    ];
    for (const [key, card] of page.cards) { if (!shown.includes(key)) { card.element.remove(); page.cards.delete(key); } }
    let none = page.devices.querySelector(".no-gpu");
    if (!found.gpu_trouble) { if (none) { none.remove(); } return; }
    if (!none) { none = h("p", { class: "panel no-gpu quiet" }); page.devices.append(none); }
    setText(none, found.gpu_trouble === "none" ? text("sys_no_gpu") : text("sys_gpu_trouble", { error: found.gpu_trouble }));
  }

  function showDisk(page, found) {
    const key = JSON.stringify([found.disks.map((disk) => [disk.folders, Math.round(disk.free / 1e7)]), found.disk_use]);
    if (page.diskKey === key) { return; }
    page.diskKey = key;
    const rows = found.disks.map((disk) => {
      const used = 100 * (1 - disk.free / disk.total), low = disk.free < 5e9 || disk.free < disk.total / 10;
      const fill = h("div", {});
      fill.style.width = `${used.toFixed(1)}%`;
      return h("div", { class: `disk ${low ? "disk-low" : ""}` },
        h("div", { class: "disk-head" }, h("span", {}, disk.folders.map((name) => text(`sys_${name}`)).join(", ")), h("span", { class: "quiet" }, text("sys_free", { free: size(disk.free), total: size(disk.total) }))),
        h("div", { class: "bar" }, fill));
    });
    const use = found.disk_use;
    const parts = use ? PARTS.filter((name) => use.parts[name]) : [];
    const list = h("dl", { class: "disk-parts" }, ...parts.map((name) => h("div", {}, h("dt", {}, name === "trash" ? h("a", { href: "/trash" }, text("sys_part_trash")) : text(`sys_part_${name}`)), h("dd", {}, size(use.parts[name])))));
    page.disk.replaceChildren(...rows, list, h("p", { class: "quiet disk-note" }, use ? text("sys_measured", { time: mm.clock(use.measured_at) }) : text("sys_measuring")));
  }

  // A table whose rows are kept by their key; cells are texts, or { text, href }.
  function table(page, place, name, heads, numbers, rows) {
    let kept = page.tables.get(name);
    if (!kept) {
      kept = { rows: new Map(), body: h("tbody", {}) };
      const head = h("tr", {}, ...heads.map((label, index) => h("th", { scope: "col", class: numbers.includes(index) ? "number" : "" }, label)));
      place.prepend(h("div", { class: "list-wrap" }, h("table", { class: "list system-table", "aria-label": text(`sys_table_${name}`) }, h("thead", {}, head), kept.body)));
      page.tables.set(name, kept);
    }
    const wanted = new Set(rows.map((row) => row.key));
    for (const [key, row] of kept.rows) { if (!wanted.has(key)) { row.remove(); kept.rows.delete(key); } }
    rows.forEach((row, place) => {
      let element = kept.rows.get(row.key);
      if (!element) {
        element = h("tr", { "data-row": row.key }, ...heads.map((label, index) => h("td", { "data-label": label, class: `${numbers.includes(index) ? "number" : ""} ${index ? "" : "main"}` })));
        kept.rows.set(row.key, element);
      }
      row.cells.forEach((cell, index) => {
        const target = element.children[index], content = typeof cell === "string" ? cell : cell.text;
        if (cell.href && target.dataset.href !== cell.href + content) { target.dataset.href = cell.href + content; target.replaceChildren(h("a", { class: "task-link", href: cell.href }, content)); }
        else if (!cell.href) { delete target.dataset.href; setText(target, content); }
        target.classList.toggle("quiet", Boolean(cell.quiet));
        target.classList.toggle("bad", Boolean(cell.bad));
      });
      if (kept.body.children[place] !== element) { kept.body.insertBefore(element, kept.body.children[place] || null); }
    });
  }
  const taskCell = (id, name) => ({ text: name, href: `/tasks/${encodeURIComponent(id)}` });

  function showSlots(page, found) {
    table(page, page.slots, "slot", [text("sys_slot"), text("sys_task")], [], found.slots.map((slot) => ({
      key: slot.name, cells: [slot.name, slot.task_id ? taskCell(slot.task_id, slot.task_name) : { text: text("sys_slot_free"), quiet: true }],
    })));
    const key = JSON.stringify([found.queue, found.queued]);
    if (page.queueKey === key) { return; }
    page.queueKey = key;
    const lines = found.queue.map((one, at) => h("li", {}, h("a", { href: `/tasks/${encodeURIComponent(one.id)}` }, one.name), h("span", { class: "quiet" }, one.waits_for ? mm.waits(one.waits_for, at + 1) : text("sys_next"))));
    if (found.queued > found.queue.length) { lines.push(h("li", { class: "quiet" }, text("sys_waiting_more", { n: mm.whole(found.queued - found.queue.length) }))); }
    const title = found.queued ? text(found.queued === 1 ? "sys_waiting_one" : "sys_waiting", { n: mm.whole(found.queued) }) : text("sys_waiting_none");
    const queue = h("div", { class: "queue" }, h("p", { class: found.queued ? "queue-title" : "quiet" }, title), lines.length ? h("ol", {}, ...lines) : null);
    const old = page.slots.querySelector(".queue");
    if (old) { old.replaceWith(queue); } else { page.slots.append(queue); }
  }

  function showTasks(page, found) {
    const heads = ["task", "device", "share_cpu", "share_memory", "share_gpu", "share_processes"].map((name) => text(`sys_${name}`));
    table(page, page.tasks, "task", heads, [2, 3, 4, 5], found.tasks.map((task) => ({
      key: task.id, cells: [taskCell(task.id, task.name), task.device, percent(task.cpu), size(task.memory), task.gpu_memory === null ? "–" : size(task.gpu_memory), mm.whole(task.processes)],
    })));
    page.tasks.querySelector(".list-wrap").hidden = !found.tasks.length;
    let none = page.tasks.querySelector(".none");
    if (!none) { none = h("p", { class: "none quiet" }, text("sys_no_tasks")); page.tasks.append(none); }
    none.hidden = Boolean(found.tasks.length);
  }

  function showProcesses(page, found) {
    const heads = ["name", "state", "pid", "share_cpu", "share_memory"].map((name) => text(`sys_${name}`));
    table(page, page.processes, "process", heads, [2, 3, 4], found.processes.map((one) => ({
      key: one.name, cells: [text(`sys_${one.name}`), { text: text(one.alive ? "sys_alive" : "sys_away"), bad: !one.alive }, one.pid ? String(one.pid) : "–", percent(one.cpu), one.memory ? size(one.memory) : "–"],
    })));
  }

  mm.pages.push(start);
})();
