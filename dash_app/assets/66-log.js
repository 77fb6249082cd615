// The log: a window of its lines, moved over a file of any size by byte offsets. It follows the end while one is there,
// brings earlier or later pieces when one scrolls to them, and drops lines at its far end. `live` is the byte that the
// page's next live request begins at; while the window ends there it grows by what that request brings.
(function () {
  "use strict";
  const { text, h, setText } = mm;
  const MOST_LINES = 2000;
  const PIECE = 32768;
  const AROUND = 16384;
  const NEAR_END = 24;
  const NEAR_EDGE = 200;

  function create(root, id) {
    const view = {
      id, box: root.querySelector("#task-log"), button: root.querySelector("#log-follow"), pieces: [], live: -1, follow: true, top: 0, busy: false, resets: [],
      first: h("div", { class: "log-edge" }), last: h("div", { class: "log-line log-unfinished" }), empty: h("p", { class: "log-empty" }, text("log_empty")),
    };
    view.box.append(view.first, view.last);
    view.first.hidden = view.last.hidden = true;
    view.box.addEventListener("scroll", () => scrolled(view));
    view.button.addEventListener("click", () => { if (view.follow) { pause(view, true); } else { toEnd(view); } });
    view.box.addEventListener("keydown", (event) => keys(view, event));
    const atMoment = (event) => {
      if (!document.contains(view.box)) { document.removeEventListener("log-at", atMoment); return; }
      openMoment(view, event.detail.t);
    };
    document.addEventListener("log-at", atMoment);
    pause(view, false);
    return {
      add: (chunk) => add(view, chunk), offset: () => view.live, open: (offset) => open(view, offset), wasCut: (told) => view.resets.push(told),
    };
  }

  const ask = (view, query) => mm.api(`/api/tasks/${view.id}/log?colours=true&${query}`);
  const begin = (view) => (view.pieces.length ? view.pieces[0].begin : 0);
  const end = (view) => (view.pieces.length ? view.pieces.at(-1).end : 0);
  const attached = (view) => !view.pieces.length || end(view) === view.live;
  const total = (view) => view.pieces.reduce((sum, piece) => sum + piece.element.childElementCount, 0);
  const toBottom = (view) => { view.box.scrollTop = view.box.scrollHeight; };

  function pause(view, paused) {
    view.follow = !paused;
    view.button.setAttribute("aria-pressed", view.follow);
    setText(view.button, text(view.follow ? "follow" : "follow_paused"));
  }

  // What the page's live request has brought.
  function add(view, chunk) {
    if (chunk.reset) { clear(view); pause(view, false); for (const told of view.resets) { told(); } }
    else if (view.live >= 0 && chunk.begin !== view.live) { return; } // asked before the window was moved
    const joins = attached(view) && (view.follow || total(view) < MOST_LINES);
    view.live = chunk.end;
    if (joins) {
      append(view, chunk);
      showUnfinished(view, chunk.unfinished);
      if (view.follow) { shorten(view, true); }
    }
    edges(view);
    if (view.follow) { toBottom(view); }
  }

  function append(view, chunk) {
    if (!chunk.text) { return; }
    const newest = view.pieces.at(-1);
    if (newest && newest.end === chunk.begin && newest.element.childElementCount < MOST_LINES / 8) { newest.end = chunk.end; fill(newest.element, chunk.text); return; }
    const piece = made(chunk);
    view.pieces.push(piece);
    view.last.before(piece.element);
  }

  function made(chunk) {
    const element = h("div", { class: "log-piece" });
    fill(element, chunk.text);
    return { element, begin: chunk.begin, end: chunk.end };
  }
  function fill(element, told) {
    const part = document.createDocumentFragment();
    for (const line of told.replace(/\n$/, "").split("\n")) { part.append(mm.logLine(line)); }
    element.append(part);
  }

  function showUnfinished(view, told) {
    view.last.hidden = !told;
    if (told) { view.last.replaceChildren(...mm.logLine(told).childNodes); }
  }

  // Drops whole pieces at the far end.
  function shorten(view, atTop) {
    while (view.pieces.length > 1) {
      const far = atTop ? view.pieces[0] : view.pieces.at(-1);
      if (total(view) - far.element.childElementCount < MOST_LINES) { return; }
      far.element.remove();
      if (atTop) { view.pieces.shift(); } else { view.pieces.pop(); view.last.hidden = true; }
    }
  }

  function clear(view) {
    for (const piece of view.pieces) { piece.element.remove(); }
    view.pieces = [];
    view.last.hidden = true;
  }

  function edges(view) {
    if (view.pieces.length || !view.last.hidden) { view.empty.remove(); } else if (!view.empty.isConnected) { view.box.append(view.empty); }
    view.first.hidden = !view.pieces.length;
    setText(view.first, text(begin(view) > 0 ? "log_earlier" : "log_begins"));
  }

  // One request at a time. What scrolling asks for is left out meanwhile, what a person asks for waits.
  async function once(view, work, wait) {
    while (view.busy && wait) { await new Promise((resolve) => setTimeout(resolve, 30)); }
    if (view.busy) { return; }
    view.busy = true;
    try { await work(); } catch (error) { mm.complain(error); } finally { view.busy = false; }
  }

  async function older(view) {
    await once(view, async () => {
      const chunk = await ask(view, `before=${begin(view)}&limit=${PIECE}`);
      if (chunk.reset || chunk.end !== begin(view) || !chunk.text) { return; }
      const fromBottom = view.box.scrollHeight - view.box.scrollTop;
      const piece = made(chunk);
      view.pieces.unshift(piece);
      view.first.after(piece.element);
      edges(view);
      view.box.scrollTop = view.box.scrollHeight - fromBottom;
      shorten(view, false);
    });
  }

  async function newer(view) {
    await once(view, async () => {
      const chunk = await ask(view, `offset=${end(view)}&limit=${PIECE}`);
      if (chunk.reset || chunk.begin !== end(view)) { return; }
      append(view, chunk);
      if (chunk.end >= view.live) { view.live = chunk.end; showUnfinished(view, chunk.unfinished); }
      const before = view.box.scrollHeight;
      shorten(view, true);
      view.box.scrollTop -= before - view.box.scrollHeight;
      edges(view);
    });
  }

  async function toEnd(view) {
    await once(view, async () => {
      if (!attached(view)) {
        const chunk = await ask(view, "offset=-1");
        clear(view);
        append(view, chunk);
        showUnfinished(view, chunk.unfinished);
        view.live = chunk.end;
      }
      pause(view, false);
      edges(view);
      toBottom(view);
    }, true);
  }

  // Shows the line that begins at a byte, with what stands around it.
  async function open(view, offset) {
    await once(view, async () => {
      const [before, chunk] = await Promise.all([ask(view, `before=${offset}&limit=${AROUND}`), ask(view, `offset=${offset}&limit=${PIECE}`)]);
      clear(view);
      pause(view, true);
      if (before.text && before.end === chunk.begin) { append(view, before); }
      if (chunk.text) {
        const piece = made(chunk);
        view.pieces.push(piece);
        view.last.before(piece.element);
        piece.element.firstElementChild.classList.add("log-target");
      }
      if (chunk.end >= view.live) { view.live = chunk.end; showUnfinished(view, chunk.unfinished); }
      edges(view);
      const target = view.box.querySelector(".log-target");
      if (target) { view.box.scrollTop += target.getBoundingClientRect().top - view.box.getBoundingClientRect().top - view.box.clientHeight / 3; }
      const tab = document.getElementById("tab-overview");
      if (tab && tab.getAttribute("aria-selected") !== "true") { tab.click(); }
      view.box.scrollIntoView({ block: "nearest" });
    }, true);
  }

  async function openMoment(view, moment) {
    try { await open(view, (await mm.api(`/api/tasks/${view.id}/log/at?t=${moment}`)).offset); } catch (error) { mm.complain(error); }
  }

  function scrolled(view) {
    const { scrollTop, scrollHeight, clientHeight } = view.box;
    const below = scrollHeight - scrollTop - clientHeight;
    const up = scrollTop < view.top;
    view.top = scrollTop;
    if (view.busy || !clientHeight) { return; }
    if (scrollTop < NEAR_EDGE && begin(view) > 0) { older(view); } else if (below < NEAR_EDGE && !attached(view)) { newer(view); }
    const atEnd = below < NEAR_END && attached(view);
    if (atEnd !== view.follow && (atEnd || up)) { pause(view, !atEnd); } // one line more is no reason to pause
  }

  function keys(view, event) {
    if (event.ctrlKey || event.metaKey || event.altKey) { return; }
    if (event.key === "f") { view.button.click(); } else if (event.key === "End") { toEnd(view); } else if (event.key === "Home") { open(view, 0); } else { return; }
    event.preventDefault();
    event.stopPropagation();
  }

  mm.log = { create };
})();
