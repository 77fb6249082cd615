// What can be done with a sweep and its trials, and the questions that this needs.
(function () {
  "use strict";
  const { text, h, icon, api, toast, complain, ask } = mm;
  const ICONS = { stop: "stop-circle", resume: "play-fill", extend: "plus-circle", delete: "trash", restore: "arrow-counterclockwise" };
  const MORE = ["n_trials", "hours", "device_hours", "parallel"];

  function possible(sweep) {
    if (sweep.deleted_at) { return ["restore"]; }
    switch (sweep.state) {
      case "RUNNING": return ["stop", "extend", "delete"];
      case "PAUSED": return ["resume", "stop", "delete"];
      case "STOPPED": return ["resume", "extend", "delete"];
      default: return ["extend", "delete"];
    }
  }

  const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const pathOf = (sweep) => `/api/sweeps/${encodeURIComponent(sweep.id)}`;
  const post = (path, body) => api(path, { method: "POST", headers: { Accept: "application/json", "Content-Type": "application/json" }, body: JSON.stringify(body || {}) });

  async function act(name, sweep, changed, element) {
    if (name === "extend") { extend(sweep, changed); return; }
    const asks = name === "stop" || name === "delete";
    const title = text(`sweep_${name}_title`, { name: sweep.name }), told = text(`sweep_${name}_text`);
    const frees = (found) => told + (found ? ` ${text("delete_frees", { bytes: mm.trash.size(found.bytes) })}` : "");
    if (asks && !(await (name === "delete" ? mm.trash.ask(title, frees, [sweep.id], text(name)) : ask(title, told, text(name), true)))) { return; }
    if (element) { element.disabled = true; }
    try {
      const result = name === "delete" ? await api(pathOf(sweep), { method: "DELETE" }) : await post(`${pathOf(sweep)}/${name}`);
      const undo = name === "delete" ? { label: text("undo"), action: () => act("restore", sweep, changed), seconds: 12 } : {};
      toast(text(`sweep_done_${name}`, { name: result.name }), undo);
      changed(name, result);
    } catch (error) { complain(error); }
    if (element) { element.disabled = false; }
  }

  function button(name, sweep, changed, words) {
    const label = text(name), danger = name === "stop" || name === "delete";
    const element = h("button", {
      class: `btn btn-quiet ${danger ? "btn-danger" : ""} ${words ? "" : "btn-icon"}`, type: "button", "data-action": name,
      title: words ? null : label, "aria-label": words ? null : `${label}: ${sweep.name}`, onclick: () => act(name, sweep, changed, element),
    }, icon(ICONS[name]), words ? label : "");
    return element;
  }

  // A question with inputs. It stays open until what was sent is taken; problems stand at their inputs.
  function fill(settings) {
    const inputs = new Map(), errors = new Map();
    const note = h("p", { class: "ask-note", "aria-live": "polite" });
    const general = h("p", { class: "field-error", role: "alert" });
    const entries = settings.fields.map((field) => {
      const id = `fill-${field.name}`;
      const input = field.choices && field.choices.length
        ? h("select", { class: "form-select", id }, ...field.choices.map((choice) => h("option", { value: choice }, choice)))
        : h("input", { class: "form-control", id, type: "text", autocomplete: "off", spellcheck: "false", placeholder: field.placeholder });
      if (field.value !== undefined) { input.value = field.value; }
      input.setAttribute("aria-describedby", `${id}-error${field.help ? ` ${id}-help` : ""}`);
      const error = h("div", { class: "field-error", id: `${id}-error` });
      inputs.set(field.name, input);
      errors.set(field.name, error);
      return h("div", { class: "field" }, h("label", { class: "form-label", for: id }, field.label, field.code === false ? null : h("code", {}, field.name)), input, error, field.help ? h("div", { class: "field-help", id: `${id}-help` }, field.help) : null);
    });
    const send = h("button", { class: "btn btn-primary", type: "submit", id: "ask-confirm" }, settings.label);
    const form = h("form", { novalidate: true },
      h("h2", { id: "ask-title" }, settings.title), h("p", {}, settings.text), h("div", { class: "ask-fields" }, ...entries), note, general,
      h("div", { class: "ask-buttons" }, settings.extra || null, h("button", { class: "btn btn-quiet", type: "button", id: "ask-cancel", onclick: () => dialog.close() }, text("cancel")), send));
    const dialog = h("dialog", { class: "ask ask-form", "aria-labelledby": "ask-title" }, form);
    const values = () => Object.fromEntries([...inputs].map(([name, input]) => [name, input.value.trim()]));
    const tell = () => { if (settings.note) { mm.setText(note, settings.note(values())); } };
    form.addEventListener("input", tell);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (send.disabled) { return; }
      send.disabled = true;
      for (const [name, error] of errors) { mm.setText(error, ""); inputs.get(name).removeAttribute("aria-invalid"); }
      mm.setText(general, "");
      try {
        await settings.send(values());
        dialog.close();
      } catch (error) { show(error); }
      send.disabled = false;
    });
    function show(error) {
      const rest = [];
      for (const problem of error.problems || []) {
        const place = errors.get(problem.field.replace(/^search\./, ""));
        if (place) { mm.setText(place, problem.message); inputs.get(problem.field.replace(/^search\./, "")).setAttribute("aria-invalid", "true"); } else { rest.push(problem.message); }
      }
      if (!(error.problems || []).length) { rest.push(error.status === undefined ? text("offline") : `${error.message} ${error.hint}`.trim()); }
      mm.setText(general, rest.join(" "));
      const first = form.querySelector("[aria-invalid]");
      if (first) { first.focus(); }
    }
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    tell();
    dialog.showModal();
    return dialog;
  }

  function extend(sweep, changed) {
    fill({
      title: text("extend_title", { name: sweep.name }), text: text("extend_text"), label: text("extend"),
      fields: MORE.map((name) => ({ name, label: text(`extend_${name}`), code: false, placeholder: name === "parallel" ? String(sweep.parallel) : "0" })),
      send: async (values) => {
        const more = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== "").map(([name, value]) => [name, Number.isNaN(Number(value)) ? value : Number(value)]));
        const result = await post(`${pathOf(sweep)}/extend`, more);
        toast(text("sweep_done_extend", { name: result.name }));
        changed("extend", result);
      },
    });
  }

  // `told` is what the page knows of the sweep: settings that a full run may change.
  function promote(sweep, told, trial) {
    const key = newKey(), before = Object.fromEntries(told.promote.map((field) => [field.name, field.name in trial.params ? shown(trial.params[field.name]) : field.value]));
    const changes = (values) => Object.fromEntries(Object.entries(values).filter(([name, value]) => name in before && value !== before[name]));
    // Whatever stands here leaves the training what it is, so that it can go on; the form can change the rest.
    const form = trial.task_id ? h("a", { class: "btn btn-plain", href: `/new?clone=${encodeURIComponent(trial.task_id)}` }, text("promote_all")) : null;
    if (form) { form.addEventListener("click", () => document.querySelector("dialog").close()); }
    fill({
      title: text("promote_title", { n: trial.number }), text: text("promote_text"), label: text("promote_start"), extra: form,
      fields: [{ name: "name", label: text("promote_name"), code: false, value: `${told.name}-best` }, ...told.promote.map((field) => Object.assign({}, field, { value: before[field.name] }))],
      note: (values) => {
        const changed = Object.keys(changes(values));
        return text(!changed.length ? "promote_same" : told.goes_on ? "promote_resumes" : "promote_anew");
      },
      send: async (values) => {
        const task = await post(`${pathOf(sweep)}/promote`, { number: trial.number, name: values.name, values: changes(values), key });
        toast(text("done_promote", { name: task.name }));
        mm.visit(`/tasks/${task.id}`);
      },
    });
  }

  function addTrial(sweep, told, from, changed) {
    fill({
      title: text("add_trial_title", { name: sweep.name }), text: text("add_trial_text"), label: text("add_trial_send"),
      fields: told.space.map((param) => ({
        name: param.name, label: param.label, choices: param.kind === "choice" ? param.choices : null,
        value: from && param.name in from.params ? shown(from.params[param.name]) : undefined,
        help: [param.kind === "choice" ? "" : param.text, param.when ? text("add_trial_when", { condition: param.when }) : ""].filter(Boolean).join(" · "),
      })),
      send: async (values) => {
        const given = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ""));
        const trial = await post(`${pathOf(sweep)}/trials`, { params: given });
        toast(text("done_add_trial", { n: trial.number }));
        changed();
      },
    });
  }

  async function exclude(sweep, trial, changed, element) {
    element.disabled = true;
    try {
      await post(`${pathOf(sweep)}/trials/${trial.number}/exclude`, { excluded: !trial.excluded });
      toast(text(trial.excluded ? "done_include" : "done_exclude", { n: trial.number }));
      changed();
    } catch (error) { complain(error); }
    element.disabled = false;
  }

  // A setting as formats.py writes it.
  function shown(value) {
    if (value === null || value === undefined) { return ""; }
    if (typeof value !== "number") { return String(value); }
    if (Number.isInteger(value)) { return String(value); }
    return Math.abs(value) < 1e-3 ? value.toExponential(3).replace(/\.?0+e/, "e") : String(Number(value.toPrecision(4)));
  }
  const number = (value) => (value === null || value === undefined ? "–" : Math.abs(value) >= 1e4 || (value !== 0 && Math.abs(value) < 1e-3) ? String(Number(value.toPrecision(5))) : String(Number(value.toFixed(4))));

  mm.sweeps = { possible, button, act, promote, addTrial, exclude, extend, shown, number, post };
})();
