// Keys for all pages: `/` to the search, `n` for a new task, `?` for the list of keys. Never while somebody types, and
// a person can turn them off, as programs that read the screen have keys of their own.
(function () {
  "use strict";
  const { text, h } = mm;
  const OFF = "minimind-keys-off";
  const off = () => { try { return localStorage.getItem(OFF) === "yes"; } catch { return false; } };

  const typing = (element) => element.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName) && element.type !== "checkbox";

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) { return; }
    if (document.querySelector("dialog[open]")) { return; }
    if (typing(event.target)) {
      if (event.key === "Escape" && event.target.type === "search" && !event.target.value) { event.target.blur(); }
      return;
    }
    if (event.key === "?") { event.preventDefault(); help(); return; }
    if (off()) { return; }
    if (event.key === "/") {
      const search = document.querySelector("#page input[type=search]");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
    } else if (event.key === "n") { event.preventDefault(); mm.visit("/new"); }
  });

  document.addEventListener("click", (event) => { if (event.target.closest("#keys-help")) { help(); } });

  const KEYS = [["/", "key_search"], ["n", "key_new"], ["?", "key_help"], ["↑ ↓", "key_move"], ["key_space_name", "key_space"], ["Shift", "key_range"], ["Esc", "key_escape"]];
  function help() {
    const switched = h("input", { type: "checkbox", id: "keys-on", class: "form-check-input", onchange: () => { try { localStorage.setItem(OFF, switched.checked ? "no" : "yes"); } catch { /* then only this page forgets it */ } } });
    switched.checked = !off();
    const rows = KEYS.map(([key, what]) => h("div", {}, h("dt", {}, h("kbd", {}, mm.has(key) ? text(key) : key)), h("dd", {}, text(what))));
    const dialog = h("dialog", { class: "ask keys", "aria-labelledby": "keys-title" }, h("h2", { id: "keys-title" }, text("keys_title")), h("dl", {}, ...rows),
      h("label", { class: "keys-switch" }, switched, h("span", {}, text("keys_on"))),
      h("div", { class: "ask-buttons" }, h("button", { class: "btn btn-primary", type: "button", onclick: () => dialog.close() }, text("close"))));
    mm.openDialog(dialog);
  }

  // A dialog that leaves the page when it is closed; a click beside it closes it.
  mm.openDialog = (dialog) => {
    dialog.addEventListener("close", () => dialog.remove());
    dialog.addEventListener("click", (event) => { if (event.target === dialog) { dialog.close(); } });
    document.body.append(dialog);
    dialog.showModal();
  };
})();
