// Earlier tasks to begin a new one with, found by words.
(function () {
  "use strict";
  const { text, h } = mm;
  const MOST = 8;
  const PAUSE = 250;

  function start(root) {
    const box = root.querySelector("#like");
    if (!box) { return; }
    const place = box.querySelector("#like-input"), found = box.querySelector("#like-found");
    const input = h("input", { type: "search", id: "like-words", class: "form-control", placeholder: place.dataset.label, autocomplete: "off" });
    place.append(input);
    let timer = null, round = 0;
    async function list() {
      const mine = round += 1;
      let page;
      try { page = await mm.api(`/api/tasks?${new URLSearchParams({ q: input.value, limit: MOST })}`); } catch (error) { mm.complain(error); return; }
      if (mine !== round) { return; }
      found.replaceChildren(...page.tasks.map(pick));
      if (!page.tasks.length) { found.append(h("p", { class: "picks-empty" }, text("like_none"))); }
    }
    box.addEventListener("toggle", () => { if (box.open) { list(); input.focus(); } });
    input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(list, PAUSE); });
  }

  function pick(task) {
    const at = h("time", { "data-at": task.created_at });
    const link = h("a", { class: "pick", href: `/new?clone=${encodeURIComponent(task.id)}` },
      h("span", { class: "pick-title" }, task.name), h("span", { class: "tag" }, text(`type.${task.type}`)),
      h("span", { class: "pick-facts" }, `${text(`state.${task.state}`)} · `, at));
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) { return; }
      event.preventDefault();
      mm.visit(link.getAttribute("href"));
    });
    return link;
  }

  mm.pages.push(start);
})();
