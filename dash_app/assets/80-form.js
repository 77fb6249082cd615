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

  // What a form holds that nobody has touched yet: Dash tells only of changes.
  function untouched(page) {
    const values = {};
    for (const input of page.querySelectorAll("[id^=field-]")) {
      if (input.matches("input, select, textarea")) { values[input.id.slice(6)] = input.type === "checkbox" ? input.checked : input.value; }
    }
    const chosen = (selector) => { const input = page.querySelector(selector); return input ? input.value : null; };
    return { values, type: chosen("#task-type input:checked"), preset: chosen("#preset input:checked"), start: chosen("#start"), name: chosen("#task-name"), priority: chosen("#task-priority") };
  }

  let latest = null;
  function formChanged() {
    latest = gather();
    const changed = window.dash_clientside.callback_context.triggered_id;
    if (["preset", "start", "task-type"].includes(changed)) { trigger = changed; }
    formTouched();
  }

  // The form of a sweep has parts of its own beside those of a training.
  const formPage = () => document.querySelector("#new-task, #new-sweep");
  const sweepParts = (page) => (page.id === "new-sweep" ? mm.space.gather() : {});
  function formTouched() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const page = formPage(), parts = page && sweepParts(page);
      if (!parts) { return; }
      latest = latest || untouched(page);
      window.dash_clientside.set_props(page.id === "new-sweep" ? "sweep-change" : "form-change", { data: Object.assign({ trigger, tried, count: count++ }, latest, parts) });
      trigger = "";
      document.dispatchEvent(new CustomEvent("form-changed"));
    }, PAUSE);
  }

  // What the form holds now, and what somebody has written elsewhere, into it.
  const now = () => latest || untouched(formPage());
  function write(written) {
    clearTimeout(timer);
    const { type, name, priority } = written;
    latest = Object.assign({}, now(), { type, name, priority, values: Object.assign({}, now().values, written.values) });
    window.dash_clientside.set_props("form-change", { data: Object.assign({ trigger: "written", tried, count: count++ }, latest) });
  }

  // The key is the page's, so that two clicks, or a click and a repeat by the browser, make one task.
  function formSubmitted(clicks) {
    if (!clicks || sending) { return; }
    const page = formPage(), told = page.dataset;
    latest = latest || untouched(page);
    tried = true;
    sending = true;
    focusSummary = true;
    clearTimeout(timer);
    setTimeout(() => { sending = false; }, 700);
    window.dash_clientside.set_props(page.id === "new-sweep" ? "sweep-submit" : "form-submit", { data: Object.assign({ count: count++, key: told.key, parent: told.parent }, latest, sweepParts(page)) });
  }

  document.addEventListener("click", (event) => {
    const pick = event.target.closest("[data-pick]");
    if (pick) {
      window.dash_clientside.set_props(`field-${pick.dataset.pick}`, { value: pick.dataset.value });
      // What is advised goes away when it is followed.
      if (pick.closest("#plan")) { document.getElementById(`field-${pick.dataset.pick}`).focus(); }
      return;
    }
    if (event.target.closest("#search-settings")) {
      try { sessionStorage.setItem("sweep-from-task", JSON.stringify(latest || untouched(formPage()))); } catch (error) { /* then the sweep begins empty */ }
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
    const submit = document.querySelector("#submit-task, #submit-sweep");
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
    const form = root.querySelector("#new-task, #new-sweep");
    if (!form) { return; }
    tried = false; sending = false; focusSummary = false; trigger = ""; latest = null;
    mark(form);
    new MutationObserver((changes) => {
      mark(form);
      const summary = document.getElementById("form-summary");
      if (focusSummary && summary && summary.contains(changes[0].target) && summary.textContent) { focusSummary = false; summary.focus(); summary.scrollIntoView({ block: "nearest" }); }
    }).observe(form, { childList: true, subtree: true, characterData: true });
    form.addEventListener("input", () => setTimeout(() => mark(form)));
  }

  window.dash_clientside.minimind = Object.assign(window.dash_clientside.minimind || {}, { formChanged, formSubmitted });
  mm.formTouched = formTouched;
  mm.form = { now, write };
  mm.pages.push(start);
})();
