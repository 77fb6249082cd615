// The rewards of a training: a card for each. What the cards say is written as JSON text into the field behind them, and
// the cards are drawn again when that text comes from elsewhere: a preset, a copied task, a person.
(function () {
  "use strict";
  const { text, h, icon } = mm;
  const NUMBER = /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i;
  let form = null;

  function start(root) {
    const cards = root.querySelector("#reward-cards");
    if (!cards) { form = null; return; }
    form = { cards, kinds: JSON.parse(cards.dataset.kinds), field: cards.dataset.field, rewards: [], written: null };
    document.getElementById("reward-add").addEventListener("click", add);
    new MutationObserver(mark).observe(errors(), { childList: true, subtree: true, characterData: true, attributeFilter: ["data-number", "data-option", "data-inner"] });
    read(document.getElementById(form.field).value);
  }

  const errors = () => document.getElementById(`error-${form.field.slice(6)}`);
  const kindOf = (name) => form.kinds.find((kind) => kind.kind === name);
  const nameOf = (reward) => (kindOf(reward.kind) || { title: reward.kind }).title;

  // Called by Dash with the text whenever it changes.
  function rewardsChanged(value) { if (form && document.contains(form.cards)) { read(value || ""); } }

  function read(value) {
    if (value === form.written) { return; }
    form.written = value;
    let found = null;
    try { found = JSON.parse(value); } catch { /* told below the text */ }
    form.rewards = Array.isArray(found) && found.every((one) => one && typeof one === "object" && !Array.isArray(one)) ? found : null;
    draw();
  }

  // As Python writes JSON, so that cards which were changed and changed back are the default again.
  function write() {
    const one = (reward) => JSON.stringify(ordered(reward), null, 1).replace(/\n\s*/g, " ").replace(/^\{ /, "{").replace(/ \}$/, "}");
    form.written = `[${form.rewards.map(one).join(", ")}]`;
    window.dash_clientside.set_props(form.field, { value: form.written });
  }

  function ordered(reward) {
    const kind = kindOf(reward.kind), names = ["kind", ...(kind ? kind.options.map((option) => option.name) : [])];
    const known = names.filter((name) => reward[name] !== undefined).map((name) => [name, reward[name]]);
    return Object.assign(Object.fromEntries(known), reward);
  }

  function fresh(kind) {
    const reward = { kind: kind.kind };
    for (const option of kind.options) { if (!option.required && option.default !== "") { reward[option.name] = option.default; } }
    return reward;
  }

  function add() {
    const used = new Set((form.rewards || []).map((reward) => reward.kind));
    form.rewards = [...(form.rewards || []), fresh(form.kinds.find((kind) => !used.has(kind.kind)) || form.kinds[0])];
    write();
    draw();
    document.getElementById(`reward-${form.rewards.length}-kind`).focus();
  }

  function remove(index) {
    const [gone] = form.rewards.splice(index, 1), here = form;
    write();
    draw();
    document.getElementById("reward-add").focus();
    const undo = () => {
      if (form !== here || !form.rewards) { return; }
      form.rewards.splice(index, 0, gone);
      write();
      draw();
      document.getElementById(`reward-${index + 1}-kind`).focus();
    };
    mm.toast(text("reward_removed", { title: nameOf(gone) }), { label: text("undo"), action: undo });
  }

  function draw() {
    const { cards, rewards } = form;
    if (!rewards) { cards.replaceChildren(h("p", { class: "quiet rewards-none" }, text("reward_unreadable"))); }
    else if (!rewards.length) { cards.replaceChildren(h("p", { class: "quiet rewards-none" }, text("reward_none"))); }
    else { cards.replaceChildren(...rewards.map(cardOf)); }
    mark();
  }

  function cardOf(reward, index) {
    const number = index + 1, kind = kindOf(reward.kind), id = `reward-${number}-kind`;
    const select = h("select", { class: "form-select", id }, ...form.kinds.map((one) => h("option", { value: one.kind }, one.title)));
    if (!kind) { select.append(h("option", { value: reward.kind || "" }, reward.kind || "–")); }
    select.value = reward.kind || "";
    select.addEventListener("change", () => {
      form.rewards[index] = Object.assign(fresh(kindOf(select.value)), reward.name ? { name: reward.name } : {});
      write();
      draw();
      document.getElementById(id).focus();
    });
    const gone = h("button", { class: "btn btn-quiet btn-icon", type: "button", id: `reward-${number}-remove`, "aria-label": text("reward_remove", { n: number }), title: text("reward_remove", { n: number }), onclick: () => remove(index) }, icon("trash"));
    const head = h("div", { class: "reward-head" }, h("label", { class: "visually-hidden", for: id }, `${text("reward_n", { n: number })}: ${text("reward_kind")}`), select, gone);
    const options = (kind ? kind.options : []).map((option) => optionOf(reward, index, option));
    return h("div", { class: "reward-card", role: "group", "aria-label": text("reward_n", { n: number }) }, head, h("p", { class: "field-help" }, kind ? kind.help : ""), errorOf(number, "kind"), h("div", { class: "reward-options" }, ...options));
  }

  function optionOf(reward, index, option) {
    const number = index + 1, id = `reward-${number}-${option.name}`;
    const value = reward[option.name] === undefined || reward[option.name] === null ? "" : String(reward[option.name]);
    let input;
    if (option.choices.length) {
      input = h("select", { class: "form-select", id }, ...option.choices.map((choice) => h("option", { value: choice }, choice)));
      if (value && !option.choices.includes(value)) { input.append(h("option", { value }, value)); }
      input.value = value || option.default;
    } else {
      const wide = ["pattern", "path", "function"].includes(option.name);
      input = h("input", { class: wide ? "form-control mono" : "form-control", id, type: "text", autocomplete: "off", spellcheck: "false", placeholder: option.default === null ? "" : String(option.default), inputmode: { int: "numeric", float: "decimal" }[option.kind] });
      input.value = value;
    }
    input.setAttribute("aria-describedby", `${id}-error ${id}-help`);
    input.addEventListener("input", () => {
      const typed = option.kind === "text" ? input.value : input.value.trim();
      if (typed === "") { delete form.rewards[index][option.name]; } else { form.rewards[index][option.name] = ["int", "float"].includes(option.kind) && NUMBER.test(typed) ? Number(typed) : typed; }
      write();
    });
    const label = h("label", { class: "form-label", for: id }, option.label, option.required ? h("span", { class: "required" }, text("required")) : null, h("code", {}, option.name));
    return h("div", { class: `field${["pattern", "path", "function"].includes(option.name) ? " field-wide" : ""}` }, label, input, errorOf(number, option.name), h("div", { class: "field-help", id: `${id}-help` }, option.help));
  }

  const errorOf = (number, option) => h("div", { class: "field-error", id: `reward-${number}-${option}-error` });

  // Takes each problem to its option; what has no place in a card stays below them.
  function mark() {
    if (!form || !document.contains(form.cards)) { return; }
    const said = new Map();
    for (const line of errors().children) {
      const place = line.dataset.number ? document.getElementById(`reward-${line.dataset.number}-${line.dataset.option}-error`) : null;
      line.hidden = place !== null;
      if (place && !said.has(place)) { said.set(place, line.dataset.inner || line.textContent); }
    }
    for (const place of form.cards.querySelectorAll(".field-error")) {
      const words = said.get(place) || "", input = document.getElementById(place.id.slice(0, -6));
      mm.setText(place, words);
      input.setAttribute("aria-invalid", words !== "");
    }
  }

  window.dash_clientside.minimind = Object.assign(window.dash_clientside.minimind || {}, { rewardsChanged });
  mm.pages.push(start);
})();
