// Rows that a person has chosen, on this page and on others, and the bar of what can be done with them. The bar lies over
// the page, so that nothing moves when it comes.
//
// const selection = mm.selection(page, { actions: (items) => [elements], name(item) })
// selection.head, selection.box(item)      the checkbox above, the checkbox of a row
// selection.shown(items)                   after each answer: what is known of the chosen rows is renewed
(function () {
  "use strict";
  const { text, h, icon, setText } = mm;

  mm.selection = (page, spec) => {
    const chosen = new Map(), boxes = new Map();
    let last = null, items = [];
    const head = h("input", { type: "checkbox", class: "form-check-input", "aria-label": text("choose_all"), onchange: () => mark(items.map((item) => item.id), head.checked) });
    const count = h("span", { class: "select-count", role: "status" });
    const actions = h("div", { class: "action-row" });
    const away = h("button", { class: "btn btn-plain btn-icon", type: "button", title: text("choose_none"), "aria-label": text("choose_none"), onclick: () => clear() }, icon("x-lg"));
    const bar = h("div", { class: "select-bar", role: "region", "aria-label": text("chosen_bar"), hidden: true }, count, actions, away);
    page.list.closest(".page").append(bar);

    function mark(ids, on) {
      for (const id of ids) {
        const item = items.find((one) => one.id === id);
        if (on && item) { chosen.set(id, item); } else if (!on) { chosen.delete(id); }
      }
      show();
    }
    // With Shift all rows from the last one that was marked to this one get the same mark.
    function toggle(id, range) {
      const ids = items.map((item) => item.id), from = ids.indexOf(last), to = ids.indexOf(id), on = !chosen.has(id);
      mark(range && from >= 0 && to >= 0 ? ids.slice(Math.min(from, to), Math.max(from, to) + 1) : [id], on);
      last = id;
    }
    function clear() { chosen.clear(); last = null; show(); }

    function show() {
      for (const [id, box] of boxes) {
        box.checked = chosen.has(id);
        const row = box.closest("tr");
        if (row) { row.toggleAttribute("data-chosen", box.checked); }
      }
      const here = items.filter((item) => chosen.has(item.id)).length;
      head.checked = here > 0 && here === items.length;
      head.indeterminate = here > 0 && here < items.length;
      const some = [...chosen.values()], elsewhere = chosen.size - here;
      setText(count, !chosen.size ? "" : text(chosen.size === 1 ? "chosen_one" : "chosen", { n: mm.whole(chosen.size) }) + (elsewhere ? ` ${text("chosen_elsewhere", { n: mm.whole(elsewhere) })}` : ""));
      const key = some.map((item) => `${item.id}${item.state}${item.archived_at}`).join();
      if (bar.dataset.key !== key) {
        bar.dataset.key = key;
        const focused = actions.contains(document.activeElement) ? document.activeElement.dataset.bulk : null;
        actions.replaceChildren(...(chosen.size ? spec.actions(some) : []));
        if (focused) { (actions.querySelector(`[data-bulk=${focused}]:not(:disabled)`) || away).focus(); }
      }
      const lost = !chosen.size && bar.contains(document.activeElement);
      bar.hidden = !chosen.size;
      document.body.classList.toggle("choosing", chosen.size > 0);
      if (lost) { head.focus(); }
    }

    function box(item) {
      const element = h("input", { type: "checkbox", class: "form-check-input", "aria-label": text("choose", { name: spec.name(item) }) });
      element.addEventListener("click", (event) => { toggle(item.id, event.shiftKey); });
      boxes.set(item.id, element);
      return element;
    }

    function shown(now) {
      items = now;
      for (const item of items) { if (chosen.has(item.id)) { chosen.set(item.id, item); } }
      for (const id of [...boxes.keys()]) { if (!page.rows.has(id)) { boxes.delete(id); } }
      show();
    }

    // On the name of a row Space marks it, arrows go to the rows beside it; Escape lets all go.
    function onKey(event) {
      if (!document.contains(page.list)) { document.removeEventListener("keydown", onKey); document.body.classList.remove("choosing"); return; }
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) { return; }
      if (event.key === "Escape" && chosen.size && event.target.type !== "search") { clear(); return; }
      const row = event.target.closest && event.target.closest("tbody tr");
      if (!row || !page.list.contains(row) || !event.target.matches(".task-link, .col-select input")) { return; }
      const kind = event.target.matches("input") ? ".col-select input" : ".task-link";
      const beside = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key];
      if (beside) { event.preventDefault(); beside.querySelector(kind).focus(); }
      if (event.key === " " && kind === ".task-link") { event.preventDefault(); toggle(row.dataset.task, event.shiftKey); }
    }
    document.addEventListener("keydown", onKey);

    return { head, box, shown, clear, drop: (ids) => mark(ids, false), items: () => [...chosen.values()] };
  };
})();
