// One opened data set: statistics, lengths and rows. What is looked at is in the address. The statistics are worked out by
// a job of the server; this page only asks how far it is.
(function () {
  "use strict";
  const { text, h, icon, setText, api } = mm;
  const { size, button, bar } = mm.parts;
  const ROWS = 5, SHORTEST = 8, LONGEST = 32768, ANY_TYPE = "any";
  const short = (value) => (value >= 1e9 ? `${(value / 1e9).toFixed(2)} B` : value >= 1e6 ? `${(value / 1e6).toFixed(1)} M` : mm.whole(value));
  const percent = (part, whole) => (whole ? `${(100 * part / whole).toFixed(part && part / whole < 0.1 ? 1 : 0)} %` : "0 %");

  function startOpened(root) {
    const element = root.querySelector("#data-opened");
    if (!element) { return; }
    const query = new URLSearchParams(location.search);
    const page = {
      element, path: element.dataset.path, type: document.getElementById("data-type"), length: document.getElementById("data-length"),
      banners: document.getElementById("data-banners"), row: Math.max(1, Number(query.get("row")) || 1), asked: 0, askedRows: 0, loop: null, result: null, drawn: false,
    };
    let timer = null;
    const changed = (pause) => { clearTimeout(timer); timer = setTimeout(() => look(page, false), pause); };
    page.type.addEventListener("change", () => changed(0));
    page.length.addEventListener("input", () => changed(600));
    const repaint = () => {
      if (!document.contains(element)) { document.removeEventListener("themechange", repaint); return; }
      if (page.drawn) { drawLengths(page.result); }
    };
    document.addEventListener("themechange", repaint);
    look(page, false);
  }

  // What is chosen, or null if the length is no length.
  function chosen(page) {
    const length = Number(page.length.value.trim());
    const good = Number.isInteger(length) && length >= SHORTEST && length <= LONGEST;
    page.length.setAttribute("aria-invalid", !good);
    mm.banner(page.banners, "length", "bad", "exclamation-octagon-fill", good ? "" : text("data_length_range", { from: SHORTEST, to: mm.whole(LONGEST) }));
    return good ? { path: page.path, type: page.type.value === ANY_TYPE ? "" : page.type.value, max_seq_len: length } : null;
  }

  function writeAddress(page, settings) {
    if (location.pathname !== "/data") { return; } // left while something was being typed
    const query = new URLSearchParams({ path: page.path });
    if (settings.type) { query.set("type", settings.type); }
    query.set("max_seq_len", settings.max_seq_len);
    if (page.row > 1) { query.set("row", page.row); }
    history.replaceState(history.state, "", `${location.pathname}?${query}`);
    trainAsSeen(page, settings);
  }

  // The form opens with the type and the length that were looked at; a type that does not read this data is none to train.
  function trainAsSeen(page, settings) {
    if (!settings.type || !page.element.dataset.fitting.split(" ").includes(settings.type)) { return; }
    const query = new URLSearchParams({ type: settings.type, data: page.path, max_seq_len: settings.max_seq_len });
    window.dash_clientside.set_props("data-train", { href: `/new?${query}` });
  }

  function look(page, again) {
    const settings = chosen(page);
    if (!settings) { return; }
    writeAddress(page, settings);
    tellMeaning(page, settings);
    page.asked += 1;
    showRows(page, settings);
    stats(page, settings, again);
  }

  // Prompts are gone on from: none of their tokens counts for a loss, and those that are too long are left out whole.
  function tellMeaning(page, settings) {
    page.prompts = page.element.dataset.prompts.split(" ").includes(settings.type);
    setText(document.getElementById("data-length-label"), text(page.prompts ? "longest_prompt" : "rows_cut_at"));
    setText(document.getElementById("data-truncated-label"), text(page.prompts ? "tile_left_out" : "tile_cut"));
    document.getElementById("data-legend").hidden = page.prompts;
    document.getElementById("data-unlabelled").closest(".tile").hidden = page.prompts;
  }

  async function stats(page, settings, again) {
    const asked = page.asked;
    if (page.loop) { page.loop.stop(); page.loop = null; }
    let job;
    try {
      job = await api("/api/data/stats", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(Object.assign({ again }, settings)) });
    } catch (error) {
      if (asked === page.asked) { tellFailure(page, `${error.message} ${error.hint || ""}`.trim()); }
      return;
    }
    if (asked !== page.asked) { return; }
    if (showJob(page, job)) {
      page.loop = mm.loop(page.element, 1, async () => {
        const now = await api(`/api/jobs/${job.id}`);
        return asked === page.asked && showJob(page, now);
      });
    }
  }

  // Writes how far statistics are; true while they are worked out.
  function showJob(page, job) {
    const running = job.state === "running";
    let box = page.banners.querySelector(".working");
    if (running) {
      if (!box) {
        box = h("div", { class: "panel working", role: "status" }, h("div", { class: "working-head" }, h("span", {}), h("div", {})), h("div", { class: "working-bar" }));
        page.banners.append(box);
      }
      box.querySelector(".working-head > div").replaceChildren(button("x-lg", text("cancel"), "btn-quiet", async () => {
        try { showJob(page, await api(`/api/jobs/${job.id}/cancel`, { method: "POST" })); } catch (error) { mm.complain(error); }
      }));
      setText(box.querySelector("span"), job.total ? text("data_working", { size: size(job.total) }) : text("data_starting"));
      box.querySelector(".working-bar").replaceChildren(bar(job.done, job.total));
    } else if (box) { box.remove(); }
    const failed = job.state === "failed" ? `${text("data_failed")} ${job.error}` : job.state === "cancelled" ? text("data_cancelled") : "";
    tellFailure(page, failed);
    if (job.state === "done" && job.result) { page.result = job.result; showResult(page, job.result); }
    const there = job.state === "done" && Boolean(job.result);
    document.getElementById("data-tiles").hidden = document.getElementById("data-found").hidden = !there;
    return running;
  }

  function tellFailure(page, message) {
    const old = page.banners.querySelector("[data-banner=stats]");
    if (old) { old.remove(); }
    const retry = h("div", { class: "notice-action" }, button("arrow-repeat", text("again"), "btn-quiet", () => look(page, true)));
    mm.banner(page.banners, "stats", "bad", "exclamation-octagon-fill", message, retry);
  }

  function showResult(page, result) {
    const tile = (name, value, note) => { setText(document.getElementById(`data-${name}`), value); setText(document.getElementById(`data-${name}-note`), note); };
    tile("rows", mm.whole(result.rows), result.bad_rows ? text("bad_rows", { n: mm.whole(result.bad_rows) }) : text("all_good"));
    tile("tokens", short(result.tokens), page.prompts ? "" : text("labelled", { n: short(result.labelled_tokens) }));
    tile("truncated", mm.whole(result.truncated_rows), result.truncated_rows ? `${text("of_rows", { n: percent(result.truncated_rows, result.rows) })}${page.prompts ? "" : `, ${text("cut_tokens", { n: short(result.truncated_tokens) })}`}` : text("no_cut"));
    tile("unlabelled", mm.whole(result.unlabelled_rows), result.unlabelled_rows ? text("unlabelled_note") : "");
    const places = result.duplicate_lines || [];
    tile("duplicates", mm.whole(result.duplicate_rows), places.map(placeOf).join(", ") + (result.duplicate_rows > places.length ? " …" : ""));
    const length = result.length || {};
    setText(document.getElementById("data-lengths-hint"), result.rows ? text("lengths_hint", { median: mm.whole(length.median), mean: mm.whole(length.mean), p95: mm.whole(length.p95), max: mm.whole(length.max) }) : "");
    showFindings(result, page.prompts);
    drawLengths(result).then(() => { page.drawn = true; });
  }

  // "line 7", "row 7", or either behind the name of a file.
  function placeOf(where) {
    const match = /^(.*?)(line|row) (\d+)$/.exec(where);
    return match ? match[1] + (match[2] === "line" ? text("place_line", { n: match[3] }) : text("place_row", { n: match[3] })) : where;
  }

  function showFindings(result, prompts) {
    const place = document.getElementById("data-check"), parts = [];
    const line = (name, kind, words) => h("p", { class: `finding ${kind}` }, icon(name), h("span", {}, words));
    if (!result.bad_rows) { parts.push(line("check-lg", "good", text(result.unlabelled_rows || (prompts && result.truncated_rows) ? "check_read" : "check_good", { n: mm.whole(result.rows) }))); } else {
      parts.push(line("exclamation-octagon-fill", "bad", text(result.bad_rows === 1 ? "check_bad_one" : "check_bad", { n: mm.whole(result.bad_rows) })));
      parts.push(h("ul", {}, ...result.errors.map((error) => h("li", {}, error.message, error.hint ? h("span", { class: "quiet" }, ` ${error.hint}`) : null))));
      const more = result.bad_rows - result.errors.length;
      if (more > 0) { parts.push(h("p", { class: "quiet" }, text("check_more", { n: mm.whole(more) }))); }
    }
    if (result.unlabelled_rows) {
      parts.push(line("info-circle", "info", text(result.unlabelled_rows === 1 ? "check_skipped_one" : "check_skipped", { n: mm.whole(result.unlabelled_rows), limit: mm.whole(result.max_seq_len) })));
    }
    if (result.notices.length) {
      parts.push(line("info-circle", "info", text("check_notices")), h("ul", {}, ...result.notices.map((notice) => h("li", {}, notice))));
    }
    place.replaceChildren(...parts);
  }

  async function drawLengths(result) {
    const box = document.getElementById("chart-lengths");
    const bars = result.histogram || [];
    if (!bars.length) { box.replaceChildren(); return; }
    await mm.charts.load();
    if (!document.contains(box)) { return; }
    const token = mm.charts.token, ink = token("--quiet"), grid = token("--grid"), font = { family: token("--font"), size: 12, color: ink };
    const limit = result.max_seq_len;
    // Bars stand side by side, one a step; the last step may be wider than the others, so places are not lengths.
    const at = bars.findIndex((one) => limit <= one.high), step = at < 0 ? null : bars[at];
    const edge = step ? at - 0.5 + Math.min(1, Math.max(0, (limit + 1 - step.low) / (step.high + 1 - step.low))) : null;
    const every = Math.max(1, Math.ceil(bars.length / (box.clientWidth < 480 ? 6 : 12)));
    const ticks = bars.map((one, index) => index).filter((index) => index % every === 0);
    const axis = (title) => ({ title: { text: title, font: { size: 11 }, standoff: 8 }, zeroline: false, linecolor: grid, gridcolor: grid, tickfont: { size: 11 }, rangemode: "tozero", automargin: true });
    const trace = {
      type: "bar", x: bars.map((one, index) => index), y: bars.map((one) => one.rows), width: 1,
      marker: { color: bars.map((one) => token(one.low <= limit ? "--accent-line" : "--second-line")), line: { width: 1, color: token("--card") } },
      customdata: bars.map((one) => `${mm.whole(one.low)}–${mm.whole(one.high)}`), hovertemplate: `%{customdata}: ${text("bar_rows", { n: "%{y:,}" })}<extra></extra>`,
    };
    const layout = {
      margin: { l: 52, r: 16, t: 24, b: 46 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font, showlegend: false, bargap: 0,
      hoverlabel: { bgcolor: token("--card"), bordercolor: grid, font: { color: token("--ink"), family: token("--font") } },
      xaxis: Object.assign(axis(text("length_axis")), { showgrid: false, tickvals: ticks.map((index) => index - 0.5), ticktext: ticks.map((index) => mm.whole(bars[index].low)), range: [-0.6, bars.length - 0.4] }),
      yaxis: Object.assign(axis(text("rows_axis")), { tickformat: ",d" }),
      shapes: edge !== null ? [{ type: "line", x0: edge, x1: edge, yref: "paper", y0: 0, y1: 1, line: { color: token("--second-line"), width: 1.5, dash: "dash" } }] : [],
      annotations: edge !== null ? [{ x: edge, yref: "paper", y: 1, yanchor: "bottom", showarrow: false, text: `max_seq_len ${mm.whole(limit)}`, font: { size: 11, color: ink } }] : [],
    };
    window.Plotly.react(box, [trace], layout, { displayModeBar: false, responsive: true });
  }

  // rows

  async function showRows(page, settings) {
    const asked = (page.askedRows += 1), place = document.getElementById("preview-rows");
    place.setAttribute("aria-busy", "true");
    if (!place.children.length) { place.replaceChildren(h("p", { class: "quiet preview-wait" }, text("preview_reading"))); }
    const query = new URLSearchParams(Object.assign({ start: page.row - 1, rows: ROWS }, settings));
    let seen = null, failure = "";
    try { seen = await api(`/api/data/preview?${query}`); } catch (error) { failure = error.status === undefined ? text("offline") : `${error.message} ${error.hint}`.trim(); }
    if (asked !== page.askedRows) { return; }
    place.removeAttribute("aria-busy");
    if (!seen) { place.replaceChildren(h("p", { class: "bad preview-wait" }, `${text("preview_failed")} ${failure}`)); showPager(page, settings, 0, null); return; }
    const rows = seen.rows.map((row) => oneRow(row, page.prompts));
    place.replaceChildren(...(rows.length ? rows : [h("p", { class: "quiet preview-wait" }, text("preview_none"))]));
    showPager(page, settings, rows.length, seen.total_rows);
  }

  function showPager(page, settings, count, total) {
    const pager = document.getElementById("preview-pager");
    if (!pager.children.length) {
      const turn = (to) => { page.row = Math.max(1, to); const now = chosen(page); if (now) { writeAddress(page, now); showRows(page, now); } };
      const input = h("input", { class: "form-control row-input", inputmode: "numeric", "aria-label": text("preview_go"), title: text("preview_go"), maxlength: 10 });
      input.addEventListener("change", () => { const row = Number(input.value.trim()); if (Number.isInteger(row) && row > 0) { turn(row); } else { input.value = page.row; } });
      pager.append(h("span", { class: "quiet" }), input,
        h("button", { class: "btn btn-quiet btn-icon", type: "button", id: "preview-previous", "aria-label": text("preview_previous"), onclick: () => turn(page.row - ROWS) }, icon("chevron-left")),
        h("button", { class: "btn btn-quiet btn-icon", type: "button", id: "preview-next", "aria-label": text("preview_next"), onclick: () => turn(page.row + ROWS) }, icon("chevron-right")));
    }
    const [label, input, previous, next] = pager.children;
    const values = { from: mm.whole(page.row), to: mm.whole(page.row + count - 1), n: mm.whole(total) };
    setText(label, count ? text(total === null ? "preview_rows" : "preview_of", values) : "");
    if (document.activeElement !== input) { input.value = page.row; }
    previous.disabled = page.row === 1;
    next.disabled = count < ROWS || (total !== null && page.row + count > total);
  }

  function oneRow(row, prompts) {
    const facts = row.error ? [] : [text("preview_tokens", { n: mm.whole(row.tokens) }), row.cut_at === null ? "" : text(prompts ? "preview_left_out" : "preview_cut", { n: mm.whole(row.cut_at) })].filter(Boolean);
    const parts = row.parts || [{ name: "", spans: row.spans }];  // a pair of answers has two
    const shown = row.error ? [] : parts.flatMap((part) => [part.name ? h("h4", { class: "part-name" }, part.name) : null, spansBox(part.spans, row)]).filter(Boolean);
    if (row.error) { shown.push(h("p", { class: "bad row-error" }, `${row.error.message} ${row.error.hint}`.trim())); }
    return h("article", { class: "row-shown" }, h("h3", {}, placeOf(row.where), h("span", { class: "quiet" }, facts.join(" · "))), ...shown);
  }

  // Text only ever becomes textContent. What counts is underlined and what is cut is struck out, beside their colours.
  function spansBox(spans, row) {
    const pieces = spans.map((span) => {
      const element = span.cut ? h("del", { class: "cut" }) : span.loss ? h("mark", { class: "loss" }) : h("span", {});
      element.textContent = span.text;
      return element;
    });
    return h("div", { class: "row-text", tabindex: "0", role: "group", "aria-label": text("row_text", { where: placeOf(row.where) }) }, ...pieces);
  }

  mm.pages.push(startOpened);
})();
