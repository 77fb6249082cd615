// What a new sweep searches and what makes a trial good: cards that a person changes in place. The server tells which
// settings a training type has, with their usual ranges, and what is wrong.
(function () {
  "use strict";
  const { text, h, icon, setText } = mm;
  const MOST_GOALS = 4;
  let form = null;

  // Called by Dash with what the server tells after each change.
  function sweepTold(told) {
    if (!form || !document.contains(form.root) || !told) { return; }
    if (form.told.type !== told.type) {
      form.told = told;
      const known = new Set(told.settings.map((setting) => setting.name));
      for (const name of [...form.search.keys()]) { if (!known.has(name)) { form.search.delete(name); } }
      form.goals = form.goals.map((goal) => (goal.touched || told.metrics.includes(goal.metric) ? goal : fresh(told)));
      draw();
    }
    form.told = told;
    mark();
  }

  function start(page) {
    const root = page.querySelector("#new-sweep");
    if (!root) { form = null; return; }
    const given = JSON.parse(root.dataset.begin), told = given.told;
    form = { root, told, search: new Map(), goals: [] };
    for (const [name, parts] of Object.entries(given.search)) { form.search.set(name, entryOf(settingOf(name), parts)); }
    form.goals = given.goals.length ? given.goals.map((goal) => Object.assign({ touched: true }, goal)) : [fresh(told)];
    document.getElementById("goal-add").addEventListener("click", addGoal);
    draw();
    for (const input of root.querySelectorAll("[id^=option-]")) { if (input.matches("input, select")) { input.addEventListener("input", touch); input.setAttribute("aria-describedby", `${input.id}-error ${input.id}-help`); } }
    carried();
    touch();
  }

  // What was typed into the form of a task comes along.
  function carried() {
    let kept = null;
    try { kept = JSON.parse(sessionStorage.getItem("sweep-from-task")); sessionStorage.removeItem("sweep-from-task"); } catch (error) { /* then it begins empty */ }
    if (!kept || location.search !== "?from=form") { return; }
    window.dash_clientside.set_props("task-type", { value: kept.type });
    for (const [name, value] of Object.entries(kept.values)) { if (value !== null) { window.dash_clientside.set_props(`field-${name}`, { value }); } }
  }

  const touch = () => mm.formTouched();
  const settingOf = (name) => form.told.settings.find((setting) => setting.name === name) || { name, label: name, kind: "text", choices: [], usual: null };
  const numeric = (setting) => setting.kind === "int" || setting.kind === "float";
  const lines = (setting) => ["dataset", "weight"].includes(setting.kind);
  const fresh = (told) => ({ metric: told.metrics[0] || "", direction: "", taken: "", touched: false });

  // How a card holds a range: what was typed, as text.
  function entryOf(setting, parts) {
    const given = parts || {}, when = Object.entries(given.when || {})[0] || ["", []];
    return {
      mode: given.choices || !numeric(setting) ? "choices" : "range",
      low: given.low === undefined ? "" : shown(given.low), high: given.high === undefined ? "" : shown(given.high),
      step: given.step ? shown(given.step) : "", log: Boolean(given.log), choices: (given.choices || []).map(shown),
      when: when[0], values: when[1].map(shown),
    };
  }
  const shown = (value) => mm.sweeps.shown(value);

  function gather() {
    if (!form || !document.contains(form.root)) { return null; }
    const search = {}, options = {};
    for (const [name, entry] of form.search) {
      search[name] = entry.mode === "choices" ? { choices: entry.choices } : Object.assign({ low: entry.low, high: entry.high, log: entry.log }, entry.step && !entry.log ? { step: entry.step } : {});
      if (entry.when) { search[name].when = { [entry.when]: entry.values }; }
    }
    for (const input of form.root.querySelectorAll("[id^=option-]")) { if (input.matches("input, select")) { options[input.id.slice(7)] = input.value.trim(); } }
    return { search, options, objectives: form.goals.map(({ metric, direction, taken }) => ({ metric, direction, taken })) };
  }

  // drawing

  function draw() {
    const cards = document.getElementById("space-cards");
    if (form.search.size) { cards.replaceChildren(...[...form.search].map(([name, entry]) => cardOf(settingOf(name), entry))); }
    else { cards.replaceChildren(h("p", { class: "space-none" }, text("space_none"))); }
    drawPicker();
    drawGoals();
    mark();
  }

  function drawPicker() {
    const place = document.getElementById("space-add-place");
    const select = h("select", { class: "form-select", id: "space-add", "aria-describedby": "search-error" }, h("option", { value: "" }, place.dataset.choose));
    const groups = new Map();
    for (const setting of form.told.settings) {
      if (form.search.has(setting.name)) { continue; }
      if (!groups.has(setting.group)) { groups.set(setting.group, h("optgroup", { label: setting.group })); }
      groups.get(setting.group).append(h("option", { value: setting.name }, `${setting.label} (${setting.name})`));
    }
    select.append(...groups.values());
    select.addEventListener("change", () => {
      const name = select.value;
      if (!name) { return; }
      const setting = settingOf(name);
      form.search.set(name, entryOf(setting, setting.usual));
      draw();
      touch();
      const first = document.querySelector(`#search-card-${name} input`);
      if (first) { first.focus(); }
    });
    place.replaceChildren(select);
  }

  function redraw(setting, entry, focus) {
    document.getElementById(`search-card-${setting.name}`).replaceWith(cardOf(setting, entry));
    mark();
    touch();
    if (focus && document.getElementById(focus)) { document.getElementById(focus).focus(); }
  }

  function cardOf(setting, entry) {
    const id = `search-${setting.name}`;
    const remove = h("button", { class: "btn btn-quiet btn-icon", type: "button", id: `${id}-remove`, title: text("space_remove", { name: setting.label }), "aria-label": text("space_remove", { name: setting.label }), onclick: () => removed(setting, entry) }, icon("trash"));
    const mode = !numeric(setting) ? null : h("div", { class: "space-mode", role: "group", "aria-label": text("space_mode", { name: setting.label }) },
      ...["range", "choices"].map((kind) => h("button", { type: "button", id: `${id}-${kind}`, "aria-pressed": String(entry.mode === kind), onclick: () => { entry.mode = kind; redraw(setting, entry, `${id}-${kind}`); } }, text(`space_${kind}`))));
    const inputs = entry.mode === "range" ? rangeInputs(setting, entry, id) : setting.choices.length ? picks(setting.choices, entry.choices, (values) => { entry.choices = values; touch(); }, id, setting.label) : typedChoices(setting, entry, id);
    return h("div", { class: "space-card", id: `search-card-${setting.name}`, role: "group", "aria-label": setting.label },
      h("div", { class: "space-head" }, h("h3", {}, setting.label, h("code", {}, setting.name)), mode, remove),
      h("div", { class: "space-inputs" }, ...inputs), h("div", { class: "field-error", id: `${id}-error` }), conditionOf(setting, entry, id));
  }

  function field(id, label, value, change, extra) {
    const input = h("input", Object.assign({ class: "form-control", id, type: "text", autocomplete: "off", spellcheck: "false" }, extra));
    input.value = value;
    input.addEventListener("input", () => { change(input.value.trim()); touch(); });
    return h("div", { class: "field" }, h("label", { class: "form-label", for: id }, label), input);
  }

  function rangeInputs(setting, entry, id) {
    const said = { inputmode: "decimal", "aria-describedby": `${id}-error`, "data-search": setting.name };
    const log = h("input", { class: "form-check-input", type: "checkbox", role: "switch", id: `${id}-log` });
    log.checked = entry.log;
    log.addEventListener("change", () => { entry.log = log.checked; redraw(setting, entry, `${id}-log`); });
    const step = field(`${id}-step`, text("space_step"), entry.log ? "" : entry.step, (value) => { entry.step = value; }, Object.assign({ placeholder: setting.kind === "int" ? "1" : text("space_any"), disabled: entry.log }, said));
    return [
      field(id, text("space_low"), entry.low, (value) => { entry.low = value; }, said),
      field(`${id}-high`, text("space_high"), entry.high, (value) => { entry.high = value; }, said),
      step, h("div", { class: "form-check form-switch" }, log, h("label", { for: `${id}-log` }, text("space_log"))),
    ];
  }

  function typedChoices(setting, entry, id) {
    const many = lines(setting), split = many ? /\n/ : /[,，]/;
    const input = many ? h("textarea", { class: "form-control mono", id, rows: "3", spellcheck: "false" }) : h("input", { class: "form-control", id, type: "text", autocomplete: "off", spellcheck: "false" });
    input.value = entry.choices.join(many ? "\n" : ", ");
    input.setAttribute("aria-describedby", `${id}-error`);
    input.dataset.search = setting.name;
    input.addEventListener("input", () => { entry.choices = input.value.split(split).map((one) => one.trim()).filter(Boolean); touch(); });
    return [h("div", { class: "field field-wide" }, h("label", { class: "form-label", for: id }, text(many ? "space_lines" : "space_values")), input)];
  }

  function picks(choices, held, change, id, label) {
    const boxes = choices.map((choice, index) => {
      const box = h("input", { class: "form-check-input", type: "checkbox", id: index ? `${id}-${index}` : id, value: choice, "aria-describedby": `${id}-error` });
      box.checked = held.includes(choice);
      box.addEventListener("change", () => change(boxes.map((one) => one.firstChild).filter((one) => one.checked).map((one) => one.value)));
      return h("label", {}, box, choice);
    });
    return [h("div", { class: "space-picks", role: "group", "aria-label": label }, ...boxes)];
  }

  function conditionOf(setting, entry, id) {
    const others = form.told.settings.filter((other) => other.name !== setting.name);
    const select = h("select", { class: "form-select", id: `${id}-when` }, h("option", { value: "" }, text("space_when_always")), ...others.map((other) => h("option", { value: other.name }, `${other.label} (${other.name})`)));
    select.value = entry.when;
    select.addEventListener("change", () => { entry.when = select.value; entry.values = []; redraw(setting, entry, `${id}-when`); });
    const parts = [h("div", { class: "field" }, h("label", { class: "form-label", for: `${id}-when` }, text("space_when_name")), select)];
    if (entry.when) {
      const other = settingOf(entry.when);
      if (other.choices.length) { parts.push(h("div", { class: "field" }, h("div", { class: "form-label" }, text("space_when_values")), ...picks(other.choices, entry.values, (values) => { entry.values = values; touch(); }, `${id}-when-values`, text("space_when_values")))); }
      else { parts.push(field(`${id}-when-values`, text("space_when_values"), entry.values.join(", "), (value) => { entry.values = value.split(/[,，]/).map((one) => one.trim()).filter(Boolean); })); }
      parts.push(h("p", { class: "field-help field-wide" }, text("space_fixed", { name: setting.label })));
    }
    return h("details", { open: Boolean(entry.when) }, h("summary", {}, icon("chevron-right"), text("space_when")), h("div", { class: "fields" }, ...parts));
  }

  function removed(setting, entry) {
    const names = [...form.search.keys()];
    form.search.delete(setting.name);
    draw();
    touch();
    document.getElementById("space-add").focus();
    const here = form;
    mm.toast(text("space_removed", { name: setting.label }), { label: text("undo"), action: () => {
      if (form !== here) { return; }
      form.search.set(setting.name, entry);
      form.search = new Map([...form.search].sort((one, other) => names.indexOf(one[0]) - names.indexOf(other[0])));
      draw();
      touch();
    } });
  }

  // objectives

  function addGoal() {
    const used = new Set(form.goals.map((goal) => goal.metric));
    form.goals.push(Object.assign(fresh(form.told), { metric: form.told.metrics.find((metric) => !used.has(metric)) || "" }));
    drawGoals();
    mark();
    touch();
    document.getElementById(`goal-${form.goals.length}-metric`).focus();
  }

  function drawGoals() {
    document.getElementById("goal-cards").replaceChildren(...form.goals.map(goalCard), h("datalist", { id: "goal-metrics" }, ...form.told.metrics.map((metric) => h("option", { value: metric }))));
    document.getElementById("goal-add").hidden = form.goals.length >= MOST_GOALS;
  }

  function goalCard(goal, index) {
    const number = index + 1, id = `goal-${number}`;
    const metric = field(`${id}-metric`, text("goal_metric"), goal.metric, (value) => { goal.metric = value; goal.touched = true; told(); }, { list: "goal-metrics", class: "form-control mono", "aria-describedby": `${id}-error ${id}-help` });
    metric.classList.add("goal-metric");
    const select = (name, values) => {
      const input = h("select", { class: "form-select", id: `${id}-${name}` }, h("option", { value: "" }, text("goal_auto")), ...values.map((value) => h("option", { value }, text(`goal_${value}`))));
      input.value = goal[name];
      input.addEventListener("change", () => { goal[name] = input.value; goal.touched = true; touch(); });
      return h("div", { class: "field" }, h("label", { class: "form-label", for: `${id}-${name}` }, text(`goal_${name}`)), input);
    };
    const direction = select("direction", ["minimize", "maximize"]), taken = select("taken", ["best", "last", "mean"]);
    // What is usual for a known metric is said in words.
    function told() {
      const usual = form.told.usual[goal.metric];
      for (const [part, name] of [[direction, "direction"], [taken, "taken"]]) { setText(part.querySelector("option"), usual ? `${text(`goal_${usual[name]}`)} (${text("goal_auto")})` : text("goal_auto")); }
    }
    told();
    const remove = form.goals.length < 2 ? null : h("button", { class: "btn btn-quiet btn-icon", type: "button", id: `${id}-remove`, title: text("goal_remove", { n: number }), "aria-label": text("goal_remove", { n: number }), onclick: () => { form.goals.splice(index, 1); drawGoals(); mark(); touch(); document.getElementById("goal-add").focus(); } }, icon("trash"));
    return h("div", { role: "group", "aria-label": text("goal_n", { n: number }) }, h("div", { class: "goal-inputs" }, metric, direction, taken, remove),
      h("div", { class: "field-error", id: `${id}-error` }), index ? null : h("div", { class: "field-help", id: `${id}-help` }, text("goal_metric_help")));
  }

  // Takes each problem to its input.
  function mark() {
    if (!form || !document.contains(form.root)) { return; }
    const said = new Map();
    for (const problem of form.told.problems) {
      const place = problem.target === "space-add" ? "search-error" : problem.place === "goal" ? "goal-1-error" : `${problem.target}-error`;
      if (!said.has(place)) { said.set(place, problem.text); }
    }
    for (const place of form.root.querySelectorAll("#search-error, [id^=search-][id$=-error], [id^=option-][id$=-error], [id^=goal-][id$=-error]")) {
      const words = said.get(place.id) || "", input = document.getElementById(place.id === "search-error" ? "space-add" : place.id.startsWith("goal") ? place.id.replace("-error", "-metric") : place.id.slice(0, -6));
      setText(place, words);
      if (!input) { continue; }
      const card = place.closest(".space-card"), wrong = words !== "";
      for (const one of card ? card.querySelectorAll(".space-inputs input:not([type=checkbox]), .space-inputs textarea") : [input]) { one.setAttribute("aria-invalid", wrong); }
      const fold = wrong && place.closest("details");
      if (fold) { fold.open = true; }
    }
  }

  mm.space = { gather };
  mm.pages.push(start);
  window.dash_clientside.minimind = Object.assign(window.dash_clientside.minimind || {}, { sweepTold });
})();
