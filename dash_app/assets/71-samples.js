// What the model answered, on the page of a task that is trained by rewards: newest first, a page at a time, with filters.
// The first page renews itself while nobody reads a long text.
(function () {
  "use strict";
  const { text, h, icon, setText, api } = mm;
  const SECONDS = 2, TYPING = 400, LONG = 240;
  const COLUMNS = ["step", "prompt", "completion", "reward", "advantage", "tokens"];
  const number = (value) => (value === null || value === undefined ? "–" : String(Number(value.toPrecision(4))));

  function start(root) {
    const element = root.querySelector("#task-samples");
    if (!element) { return; }
    const page = { element, id: element.dataset.task, rows: element.querySelector("#samples-rows"), banners: element.querySelector("#samples-banners"), pager: element.querySelector("#samples-pager"), before: [], shown: new Map(), seen: "", asked: 0, older: null };
    let timer = null;
    element.querySelector("#samples-order").addEventListener("change", () => filtered(page));
    element.addEventListener("input", (event) => { if (event.target.matches("input")) { clearTimeout(timer); timer = setTimeout(() => filtered(page), TYPING); } });
    page.loop = mm.loop(element, SECONDS, () => { if (!hidden(page) && !reading(page)) { return round(page); } });
    const woken = () => { if (!document.contains(element)) { window.removeEventListener("resize", woken); } else if (!page.seen) { page.loop.wake(); } };
    window.addEventListener("resize", woken);  // a tab that opens says so
  }

  const hidden = (page) => page.element.closest("[role=tabpanel]").hidden;
  const reading = (page) => page.seen !== "" && (page.before.length > 0 || page.rows.querySelector("[aria-expanded=true]") !== null);

  function filtered(page) {
    page.before = [];
    page.seen = "";
    round(page);
  }

  // The filters as a query, or null where an input holds no number.
  function query(page) {
    const order = page.element.querySelector("#samples-order").value, byReward = order === "range";
    page.element.querySelector("#samples-by-reward").hidden = !byReward;
    const values = { order: byReward ? "newest" : order };
    let good = true;
    for (const [key, whole, used] of [["low", false, byReward], ["high", false, byReward], ["first_step", true, true], ["last_step", true, true]]) {
      const input = page.element.querySelector(`#samples-${key}`), typed = input.value.trim().replace("−", "-");
      const fits = typed === "" || (whole ? /^\d{1,15}$/ : /^-?\d{1,15}(\.\d*)?$/).test(typed);
      input.setAttribute("aria-invalid", !fits);
      if (used && !fits) { good = false; }
      if (used && fits && typed) { values[key] = typed; }
    }
    if (page.before.length) { values.before = page.before[page.before.length - 1]; }
    return good ? new URLSearchParams(values) : null;
  }

  async function round(page) {
    const wanted = query(page), asked = (page.asked += 1);
    if (!wanted) { return; }
    let found;
    try { found = await api(`/api/tasks/${page.id}/samples?${wanted}`); } catch (error) {
      if (asked === page.asked) { mm.banner(page.banners, "offline", "warn", "cloud-slash", error.status === undefined || error.status >= 500 ? text("offline") : error.message); }
      return error.status === 404 ? false : undefined;
    }
    if (asked !== page.asked) { return; }
    mm.banner(page.banners, "offline", "warn", "cloud-slash", "");
    const seen = `${wanted} ${found.size}`;
    if (seen === page.seen) { return; }
    page.seen = seen;
    page.older = wanted.get("order") === "newest" ? found.older : null;
    page.element.querySelector("#samples-download").hidden = !found.size;
    show(page, found, wanted);
  }

  function show(page, found, wanted) {
    if (!found.samples.length) { page.shown.clear(); page.rows.replaceChildren(nothing(page, found, wanted)); } else {
      const rows = new Map(found.samples.map((sample) => [nameOf(sample), page.shown.get(nameOf(sample)) || rowOf(sample)]));
      let body = page.rows.querySelector("tbody");
      if (!body) {
        body = h("tbody", {});
        page.rows.replaceChildren(h("table", { class: "list samples" }, h("thead", {}, h("tr", {}, ...COLUMNS.map((key) => h("th", { scope: "col" }, text(`samples_${key}`))))), body));
      }
      body.replaceChildren(...rows.values());
      page.shown = rows;
    }
    pager(page, found);
  }

  // Of one place in the file, which is written anew from a step on when a training is resumed.
  const nameOf = (sample) => `${sample.at} ${sample.step} ${sample.reward} ${sample.tokens} ${sample.completion.length}`;

  function nothing(page, found, wanted) {
    const filters = [...wanted.keys()].some((key) => !["order", "before"].includes(key));
    const key = !found.size ? "samples_empty" : found.older ? "samples_none_here" : filters ? "samples_none" : "samples_empty";
    return h("div", { class: "empty" }, h("div", { class: "empty-icon" }, icon(found.size ? "search" : "list-task")), h("h2", {}, text(key)), h("p", {}, text(`${key}_hint`)));
  }

  function pager(page, found) {
    if (!page.pager.children.length) {
      const button = (id, name, key, act) => h("button", { class: "btn btn-quiet btn-icon", type: "button", id, "aria-label": text(key), title: text(key), onclick: act }, icon(name));
      const turn = () => { page.seen = ""; round(page); page.element.scrollIntoView({ block: "start" }); };
      page.pager.append(h("span", {}),
        button("samples-newer", "chevron-left", "samples_newer", () => { page.before.pop(); turn(); }),
        button("samples-older", "chevron-right", "samples_older", () => { page.before.push(page.older); turn(); }));
    }
    const [label, newer, older] = page.pager.children;
    const steps = found.samples.map((sample) => sample.step);
    setText(label, steps.length ? text("samples_steps", { from: mm.whole(Math.min(...steps)), to: mm.whole(Math.max(...steps)) }) : "");
    newer.disabled = !page.before.length;
    older.disabled = !page.older;
    page.pager.hidden = !page.before.length && !page.older;
  }

  function rowOf(sample) {
    const cell = (key, kind, ...content) => h("td", { class: kind, "data-label": text(`samples_${key}`) }, ...content);
    const parts = Object.entries(sample.rewards).map(([name, value]) => `${name} ${number(value)}`);
    const total = h("strong", { class: sample.reward === null ? "bad" : "" }, number(sample.reward));
    const right = sample.gt.length ? h("div", { class: "quiet sample-gt" }, text("samples_gt", { answers: sample.gt.join(", ") })) : null;
    const cut = sample.ended ? null : h("span", { class: "tag", title: text("samples_cut_hint") }, text("samples_cut"));
    const problem = sample.problem ? h("div", { class: "bad sample-problem" }, sample.problem) : null;
    return h("tr", {},
      cell("step", "number", mm.whole(sample.step)),
      cell("prompt", "sample-cell", longText(sample.prompt, "samples_prompt")),
      cell("completion", "sample-cell", longText(sample.completion, "samples_completion"), right),
      cell("reward", "sample-reward", h("div", {}, total, h("div", { class: "quiet sample-parts" }, parts.join(" · ")), problem)),
      cell("advantage", "number", number(sample.advantage)),
      cell("tokens", "number", h("span", {}, mm.whole(sample.tokens), cut)));
  }

  // Text only ever becomes textContent. A long one is cut by its looks and opens by a button.
  function longText(words, label) {
    const box = h("div", { class: "sample-text" });
    box.textContent = words;
    if (words.length <= LONG && words.split("\n").length <= 5) { return h("div", { class: "sample-long" }, box); }
    box.classList.add("closed");
    const button = h("button", { class: "btn btn-plain btn-small sample-more", type: "button", "aria-expanded": "false", "aria-label": `${text("samples_more")}: ${text(label)}` }, text("samples_more"));
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", open);
      button.setAttribute("aria-label", `${text(open ? "samples_less" : "samples_more")}: ${text(label)}`);
      button.textContent = text(open ? "samples_less" : "samples_more");
      box.classList.toggle("closed", !open);
    });
    return h("div", { class: "sample-long" }, box, button);
  }

  mm.pages.push(start);
})();
