// What deleting and removing for good mean: bytes, and what depends on it. Used where things are deleted, and by the trash.
(function () {
  "use strict";
  const { text, h, api } = mm;
  const MOST = 5;
  const UNITS = ["B", "KB", "MB", "GB", "TB"];

  function size(value) {
    let unit = 0;
    while (value >= 999.5 && unit < UNITS.length - 1) { value /= 1000; unit += 1; }
    const digits = unit && value < 100 ? 1 : 0;
    return `${value.toLocaleString(document.documentElement.lang, { minimumFractionDigits: digits, maximumFractionDigits: digits })} ${UNITS[unit]}`;
  }

  const cost = (ids) => api(`/api/trash/cost?${ids.map((id) => `id=${encodeURIComponent(id)}`).join("&")}`);

  const stateOf = (one) => (mm.has(`state.${one.state}`) ? text(`state.${one.state}`) : one.state);
  const sentence = (one) => text(one.need === "weights" && !one.ended ? "needs_weights_open" : `needs_${one.need}`, { name: one.name, state: stateOf(one) });

  function needs(dependents) {
    if (!dependents.length) { return []; }
    const lines = dependents.slice(0, MOST).map((one) => h("li", {}, sentence(one)));
    if (dependents.length > MOST) { lines.push(h("li", {}, text("needs_more", { n: mm.whole(dependents.length - MOST) }))); }
    return [h("p", { class: "ask-needs" }, text("needs")), h("ul", { class: "ask-list" }, ...lines)];
  }

  // A question with what depends on it below; the answer of `cost` may come late, or not at all.
  async function ask(title, sentenceOf, ids, label) {
    let found = null;
    try { found = await cost(ids); } catch (error) { console.warn(error.message); }
    const answer = mm.ask(title, sentenceOf(found), label, true);
    if (found) { document.querySelector("dialog.ask[open] .ask-buttons").before(...needs(found.dependents)); }
    return answer;
  }

  mm.trash = { size, cost, needs, sentence, ask };
})();
