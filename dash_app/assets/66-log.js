// The live log: follows the end while one is there, keeps the last lines, and shows everything as text.
(function () {
  "use strict";
  const { text, h, setText } = mm;
  const MOST_LINES = 800;
  const NEAR_END = 24;
  const TIME = /^\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?\]?/;
  const LEVEL = /\b(DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b/;

  function create(root) {
    const box = root.querySelector("#task-log"), button = root.querySelector("#log-follow");
    const state = { box, button, follow: true, lines: 0, cut: false };
    const show = () => { button.setAttribute("aria-pressed", state.follow); setText(button, text(state.follow ? "follow" : "follow_paused")); };
    box.addEventListener("scroll", () => {
      const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END;
      if (atEnd !== state.follow) { state.follow = atEnd; show(); }
    });
    button.addEventListener("click", () => { state.follow = !state.follow; if (state.follow) { box.scrollTop = box.scrollHeight; } show(); });
    show();
    return { add: (chunk, task) => add(state, chunk, task) };
  }

  function add(state, chunk) {
    const { box } = state;
    if (chunk.reset) { box.replaceChildren(); state.lines = 0; }
    if (!chunk.text) {
      if (!state.lines && !box.firstChild) { box.append(h("p", { class: "log-empty" }, text("log_empty"))); }
      return;
    }
    if (!state.lines) { box.replaceChildren(); state.cut = chunk.begin > 0; }
    const lines = chunk.text.replace(/\n$/, "").split("\n");
    const part = document.createDocumentFragment();
    for (const line of lines.slice(-MOST_LINES)) { part.append(lineOf(line)); }
    box.append(part);
    state.lines += lines.length;
    while (box.children.length > MOST_LINES) { box.firstElementChild.remove(); state.cut = true; }
    if (state.cut && !box.firstElementChild.classList.contains("log-cut")) { box.prepend(h("div", { class: "log-cut" }, text("log_cut"))); }
    if (state.follow) { box.scrollTop = box.scrollHeight; }
  }

  function lineOf(line) {
    const element = h("div", { class: "log-line" });
    const time = TIME.exec(line);
    let rest = line;
    if (time) { element.append(h("span", { class: "log-time" }, time[0])); rest = line.slice(time[0].length); }
    const level = LEVEL.exec(rest.slice(0, 40));
    if (level) {
      element.append(rest.slice(0, level.index), h("span", { class: `log-${level[1].slice(0, 4).toLowerCase()}` }, level[1]), rest.slice(level.index + level[1].length));
    } else { element.append(rest || " "); }
    return element;
  }

  mm.log = { create };
})();
