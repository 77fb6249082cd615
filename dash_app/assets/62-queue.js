// The place of a queued task: buttons that move it, and its priority as a number.
(function () {
  "use strict";
  const { text, h, icon, setText, complain } = mm;
  const MOVES = [["first", "chevron-bar-up"], ["up", "chevron-up"], ["down", "chevron-down"], ["last", "chevron-bar-down"]];

  mm.setOrder = (task, wish) => mm.api(`/api/tasks/${encodeURIComponent(task.id)}/priority`, { method: "POST", headers: { Accept: "application/json", "Content-Type": "application/json" }, body: JSON.stringify(wish) });

  mm.queueDialog = async (task, changed) => {
    const now = await mm.api(`/api/tasks/${encodeURIComponent(task.id)}/turn`).catch((error) => { complain(error); return null; });
    if (!now) { return; }
    const place = h("strong", { role: "status" }), number = h("input", { type: "number", class: "form-control", id: "queue-priority", min: -1000, max: 1000, step: 1 });
    const show = (result) => { setText(place, text("queue_place", { n: mm.whole(result.turn), total: mm.whole(Math.max(now.waiting, result.turn)) })); number.value = result.priority; };
    // One wish at a time: an answer that comes late must not overwrite a number that is being typed.
    const wish = async (what) => {
      const fields = dialog.querySelectorAll(".queue-moves button, .queue-number input, .queue-number button"), focused = document.activeElement;
      for (const field of fields) { field.disabled = true; }
      try { const result = await mm.setOrder(task, what); show(result); changed(result); } catch (error) { complain(error); dialog.close(); }
      for (const field of fields) { field.disabled = false; }
      if (dialog.contains(focused)) { focused.focus(); }
    };
    const buttons = MOVES.map(([name, image]) => h("button", { class: "btn btn-quiet", type: "button", "data-place": name, onclick: () => wish({ place: name }) }, icon(image), text(`queue_${name}`)));
    const form = h("form", { class: "queue-number", onsubmit: (event) => { event.preventDefault(); if (number.reportValidity() && number.value !== "") { wish({ priority: Number(number.value) }); } } },
      h("label", { for: "queue-priority" }, text("queue_priority")), number, h("button", { class: "btn btn-quiet", type: "submit", id: "queue-set" }, text("queue_set")));
    const dialog = h("dialog", { class: "ask queue", "aria-labelledby": "queue-title" }, h("h2", { id: "queue-title" }, text("queue_title", { name: task.name })), h("p", {}, place),
      h("div", { class: "queue-moves", role: "group", "aria-label": text("queue_moves") }, ...buttons), form, h("p", { class: "field-help" }, text("queue_help")),
      h("div", { class: "ask-buttons" }, h("button", { class: "btn btn-primary", type: "button", id: "queue-close", onclick: () => dialog.close() }, text("close"))));
    show(now);
    mm.openDialog(dialog);
  };
})();
