// The form: gathers what it holds after a pause in typing and at submit. Checks and texts are made on the server.
(function () {
  "use strict";
  const PAUSE = 300;
  let timer = null, tried = false, trigger = "", sending = false, focusSummary = false, count = 0;

  function gather() {
    const inputs = window.dash_clientside.callback_context.inputs_list || [];
    const values = {}, form = { values };
    for (const item of inputs.flat()) {
      const name = item.id.startsWith("field-") ? item.id.slice(6) : null;
      if (name) { values[name] = item.value === undefined ? null : item.value; }
      else { form[{ "task-type": "type", preset: "preset", start: "start", "task-name": "name", "task-priority": "priority" }[item.id]] = item.value === undefined ? null : item.value; }
    }
    return form;
  }

  let latest = null;
  function formChanged() {
    latest = gather();
    const changed = window.dash_clientside.callback_context.triggered_id;
    if (["preset", "start", "task-type"].includes(changed)) { trigger = changed; }
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (!document.getElementById("new-task")) { return; }
      window.dash_clientside.set_props("form-change", { data: Object.assign({ trigger, tried, count: count++ }, latest) });
      trigger = "";
    }, PAUSE);
  }

  // The key is the page's, so that two clicks, or a click and a repeat by the browser, make one task.
  function formSubmitted(clicks) {
    if (!clicks || sending || !latest) { return; }
    const page = document.getElementById("new-task").dataset;
    tried = true;
    sending = true;
    focusSummary = true;
    clearTimeout(timer);
    setTimeout(() => { sending = false; }, 700);
    window.dash_clientside.set_props("form-submit", { data: Object.assign({ count: count++, key: page.key, parent: page.parent }, latest) });
  }

  document.addEventListener("click", (event) => {
    const pick = event.target.closest("[data-pick]");
    if (pick) {
      window.dash_clientside.set_props(`field-${pick.dataset.pick}`, { value: pick.dataset.value });
      // What is advised goes away when it is followed.
      if (pick.closest("#plan")) { document.getElementById(`field-${pick.dataset.pick}`).focus(); }
      return;
    }
    const jump = event.target.closest("a.jump");
    if (jump) {
      event.preventDefault();
      const target = document.querySelector(jump.getAttribute("href"));
      const fold = target && target.closest("details");
      if (fold) { fold.open = true; }
      if (target) { target.focus(); target.scrollIntoView({ block: "center" }); }
    }
  });

  document.addEventListener("keydown", (event) => {
    const submit = document.getElementById("submit-task");
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && submit) { event.preventDefault(); submit.click(); }
  });

  // Marks inputs as wrong for screen readers and colours, the chosen pick, and folds that hide an error.
  function mark(root) {
    for (const error of root.querySelectorAll(".field-error")) {
      const name = error.id.slice(6);
      const input = document.getElementById(name === "name" ? "task-name" : `field-${name}`);
      if (!input) { continue; }
      const wrong = error.textContent !== "";
      if ((input.getAttribute("aria-invalid") === "true") !== wrong) { input.setAttribute("aria-invalid", wrong); }
      const described = `error-${name} help-${name}`;
      if (input.getAttribute("aria-describedby") !== described) { input.setAttribute("aria-describedby", described); }
      const fold = wrong && error.closest("details");
      if (fold && !fold.open && tried) { fold.open = true; }
    }
    for (const pick of root.querySelectorAll("[data-pick]")) {
      const input = document.getElementById(`field-${pick.dataset.pick}`);
      const on = String(Boolean(input) && input.value === pick.dataset.value);
      if (pick.getAttribute("aria-pressed") !== on) { pick.setAttribute("aria-pressed", on); }
    }
  }

  function start(root) {
    const form = root.querySelector("#new-task");
    if (!form) { return; }
    tried = false; sending = false; focusSummary = false; trigger = "";
    mark(form);
    new MutationObserver((changes) => {
      mark(form);
      const summary = document.getElementById("form-summary");
      if (focusSummary && summary && summary.contains(changes[0].target) && summary.textContent) { focusSummary = false; summary.focus(); summary.scrollIntoView({ block: "nearest" }); }
    }).observe(form, { childList: true, subtree: true, characterData: true });
    form.addEventListener("input", () => setTimeout(() => mark(form)));
  }

  window.dash_clientside.minimind = Object.assign(window.dash_clientside.minimind || {}, { formChanged, formSubmitted });
  mm.pages.push(start);
})();
