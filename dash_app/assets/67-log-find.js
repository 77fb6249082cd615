// Search in the log, filter by level and the first error. The server looks through the file a piece at a time; what it
// finds is listed here, and a click opens the log there.
(function () {
  "use strict";
  const { text, h, setText } = mm;
  const PAUSE = 250;
  const MORE = 200;
  const MOST = 2000;

  function create(root, id, log) {
    const panel = root.querySelector("#log-find");
    const part = (name) => panel.querySelector(`#log-${name}`);
    const find = { id, log, input: part("words"), level: part("level"), bar: part("bar"), status: part("status"), list: part("found"), more: part("more"), round: 0, at: -1, timer: null };
    begin(find);
    const soon = () => { clearTimeout(find.timer); find.timer = setTimeout(() => search(find), PAUSE); };
    find.input.addEventListener("input", soon);
    find.level.addEventListener("change", () => search(find));
    find.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") { event.preventDefault(); step(find, event.shiftKey ? -1 : 1); }
      else if (event.key === "Escape") { event.stopPropagation(); close(find); }
    });
    part("next").addEventListener("click", () => step(find, 1));
    part("previous").addEventListener("click", () => step(find, -1));
    part("close").addEventListener("click", () => { close(find); find.input.focus(); });
    find.more.addEventListener("click", () => more(find));
    part("first-error").addEventListener("click", () => firstError(find));
    log.wasCut(() => { if (!find.bar.hidden) { search(find); } });
  }

  function begin(find) {
    find.round += 1;
    Object.assign(find, { count: 0, end: 0, done: true, at: -1, busy: false });
    find.list.replaceChildren();
  }

  function close(find) {
    begin(find);
    find.input.value = "";
    find.level.value = "all";
    show(find);
  }

  async function search(find) {
    clearTimeout(find.timer);
    begin(find);
    find.done = !wanted(find);
    show(find);
    if (!find.done) { await more(find); }
  }

  const levelOf = (find) => (find.level.value === "all" ? "" : find.level.value);
  const wanted = (find) => Boolean(find.input.value.trim() || levelOf(find));
  const ask = (find, level, words, offset, limit) => mm.api(`/api/tasks/${find.id}/log/find?${new URLSearchParams({ level, words, offset, limit })}`);

  // Goes on until there are so many more lines, or the file has ended.
  async function more(find) {
    if (find.busy || !wanted(find)) { return; }
    const round = find.round, until = find.count + MORE;
    find.busy = true;
    try {
      do {
        const found = await ask(find, levelOf(find), find.input.value.trim(), find.end, MORE);
        if (round !== find.round) { return; }
        if (found.reset && find.count) { find.count = 0; find.at = -1; find.list.replaceChildren(); }
        for (const line of found.lines) { find.list.append(item(find, line)); }
        find.count += found.lines.length;
        find.end = found.end;
        find.done = found.done;
        find.looked = found.size ? found.end / found.size : 1;
        show(find);
      } while (!find.done && find.count < until && document.contains(find.list));
    } catch (error) { mm.complain(error); }
    finally { if (round === find.round) { find.busy = false; show(find); } }
  }

  function item(find, line) {
    const place = find.list.childElementCount;
    const button = h("button", { type: "button", class: `log-hit${line.level ? ` log-hit-${line.level}` : ""}`, onclick: () => go(find, place) });
    button.append(...marked(line.text, find.input.value.trim()));
    button.at = line.at;
    return h("li", {}, button);
  }

  function marked(line, words) {
    const parts = [], low = line.toLowerCase(), sought = words.toLowerCase();
    if (!sought || low.length !== line.length) { return [line || " "]; }
    let position = 0;
    for (let place = low.indexOf(sought); place >= 0; place = low.indexOf(sought, position)) {
      parts.push(line.slice(position, place), h("mark", {}, line.slice(place, place + sought.length)));
      position = place + sought.length;
    }
    return [...parts, line.slice(position)];
  }

  async function go(find, place) {
    const buttons = find.list.querySelectorAll("button");
    if (!buttons[place]) { return; }
    if (buttons[find.at]) { buttons[find.at].removeAttribute("aria-current"); }
    find.at = place;
    buttons[place].setAttribute("aria-current", "true");
    find.list.scrollTop += buttons[place].getBoundingClientRect().top - find.list.getBoundingClientRect().top - find.list.clientHeight / 3;
    show(find);
    await find.log.open(buttons[place].at);
  }

  async function step(find, by) {
    if (find.timer && !find.count && wanted(find) && !find.busy) { await search(find); }
    if (find.at + by >= find.count && find.count < MOST) { await more(find); }
    await go(find, Math.max(0, Math.min(find.at + by, find.count - 1)));
  }

  async function firstError(find) {
    let offset = 0, found;
    try {
      do { found = await ask(find, "error", "", offset, 1); offset = found.end; } while (!found.lines.length && !found.done);
    } catch (error) { mm.complain(error); return; }
    if (found.lines.length) { await find.log.open(found.lines[0].at); } else { mm.toast(text("log_no_error")); }
  }

  function show(find) {
    find.bar.hidden = !wanted(find);
    const n = mm.whole(find.count), percent = Math.floor(100 * (find.looked || 0));
    const told = find.done ? text(find.count === 1 ? "log_found_one" : find.count ? "log_found" : "log_found_none", { n }) : text("log_found_so_far", { n, percent });
    setText(find.status, find.at >= 0 ? `${mm.whole(find.at + 1)} / ${told}` : told);
    find.more.hidden = find.done || find.busy || find.count >= MOST;
    find.list.hidden = !find.count;
  }

  mm.logFind = { create };
})();
