// What all pages use: texts, numbers, elements, requests, messages, and the loop of a live page.
// Text from users and logs only ever becomes textContent.
window.dash_clientside = window.dash_clientside || {};
window.mm = (function () {
  "use strict";
  let words = null;

  function text(key, values) {
    if (!words) { words = JSON.parse(document.getElementById("texts").dataset.texts); }
    const pattern = words[key] === undefined ? key : words[key];
    return values ? pattern.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole)) : pattern;
  }
  const has = (key) => { text(""); return words[key] !== undefined; };
  const language = () => document.documentElement.lang;

  // elements
  function h(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === undefined || value === null || value === false) { continue; }
      if (name.startsWith("on")) { element.addEventListener(name.slice(2), value); }
      else { element.setAttribute(name, value === true ? "" : value); }
    }
    element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return element;
  }
  const icon = (name) => h("i", { class: `bi bi-${name}`, "aria-hidden": "true" });
  function setText(element, value) {
    if (element && element.textContent !== value) { element.textContent = value; }
  }
  function pill(element, state) {
    if (element.dataset.state !== state) { element.dataset.state = state; }
    setText(element, text(`state.${state}`));
  }

  // numbers, the same as formats.py writes them
  const whole = (value) => (value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en-US"));
  const loss = (value) => (value === null || value === undefined ? "–" : value.toFixed(4));
  const rate = (value) => (value === null || value === undefined ? "–" : value === 0 || value >= 1e-3 ? String(Number(value.toPrecision(3))) : value.toExponential(2));
  function duration(seconds) {
    if (seconds === null || seconds === undefined) { return "–"; }
    const total = Math.round(seconds);
    if (total < 1) { return `< 1 ${text("unit_s")}`; }
    const parts = [["d", Math.floor(total / 86400)], ["h", Math.floor(total / 3600) % 24], ["min", Math.floor(total / 60) % 60], ["s", total % 60]];
    const first = parts.findIndex((part) => part[1]);
    return parts.slice(first, first + 2).filter((part) => part[1]).map((part) => `${part[1]} ${text(`unit_${part[0]}`)}`).join(" ");
  }
  function ago(at) {
    const seconds = Date.now() / 1000 - at;
    if (seconds < 60) { return text("just_now"); }
    if (seconds < 3600) { return text("minutes_ago", { n: Math.floor(seconds / 60) }); }
    if (seconds < 48 * 3600) { return text("hours_ago", { n: Math.floor(seconds / 3600) }); }
    if (seconds < 30 * 86400) { return text("days_ago", { n: Math.floor(seconds / 86400) }); }
    return new Date(at * 1000).toLocaleDateString(language());
  }
  const exact = (at) => new Date(at * 1000).toLocaleString(language(), { dateStyle: "medium", timeStyle: "medium" });
  const clock = (at) => new Date(at * 1000).toLocaleTimeString(language(), { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  function moments(root) {
    for (const element of root.querySelectorAll("time[data-at]")) {
      const at = Number(element.dataset.at);
      setText(element, element.dataset.exact ? exact(at) : ago(at));
      if (!element.title) { element.title = exact(at); element.dateTime = new Date(at * 1000).toISOString(); }
    }
  }

  // requests
  async function api(path, options) {
    const answer = await fetch(path, Object.assign({ headers: { Accept: "application/json" } }, options));
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok) { throw Object.assign(new Error(body.error || text("failed")), { hint: body.hint || "", problems: body.problems || [], status: answer.status }); }
    return body;
  }

  // messages
  function toast(message, options) {
    const settings = Object.assign({ kind: "ok", seconds: 6 }, options);
    const box = h("div", { class: `toast-box toast-${settings.kind}` }, icon(settings.kind === "bad" ? "exclamation-octagon-fill" : "check-lg"), h("span", { class: "toast-text" }, message));
    const close = () => box.remove();
    if (settings.action) {
      box.append(h("button", { class: "btn btn-quiet btn-small", type: "button", onclick: () => { close(); settings.action(); } }, settings.label));
    }
    box.append(h("button", { class: "btn btn-plain btn-icon", type: "button", "aria-label": text("close"), onclick: close }, icon("x-lg")));
    document.getElementById("toasts").append(box);
    let timer = setTimeout(close, settings.seconds * 1000);
    box.addEventListener("pointerenter", () => clearTimeout(timer));
    box.addEventListener("focusin", () => clearTimeout(timer));
    box.addEventListener("pointerleave", () => { timer = setTimeout(close, settings.seconds * 1000); });
  }
  function complain(error) {
    const offline = error.status === undefined;
    toast(offline ? text("offline") : `${error.message} ${error.hint}`.trim(), { kind: "bad", seconds: 12 });
  }

  function ask(title, message, label, danger) {
    return new Promise((resolve) => {
      const dialog = h("dialog", { class: "ask", "aria-labelledby": "ask-title" },
        h("h2", { id: "ask-title" }, title), h("p", {}, message),
        h("div", { class: "ask-buttons" },
          h("button", { class: "btn btn-quiet", type: "button", id: "ask-cancel", onclick: () => dialog.close("") }, text("cancel")),
          h("button", { class: `btn ${danger ? "btn-bad" : "btn-primary"}`, type: "button", id: "ask-confirm", onclick: () => dialog.close("yes") }, label)));
      dialog.addEventListener("close", () => { resolve(dialog.returnValue === "yes"); dialog.remove(); });
      dialog.addEventListener("click", (event) => { if (event.target === dialog) { dialog.close(""); } });
      document.body.append(dialog);
      dialog.showModal();
    });
  }

  // One loop a page: the next round begins only after the last has ended, none while the tab is hidden, and none
  // after the page was left. A round that answers false is the last until `wake`.
  function loop(page, seconds, round) {
    let timer = null, running = false, again = false, over = false;
    async function run() {
      clearTimeout(timer);
      if (!document.contains(page) || over) { stop(); return; }
      if (document.hidden) { return; }
      if (running) { again = true; return; }
      running = true;
      let goOn = true;
      try { goOn = (await round()) !== false; } catch (error) { console.warn(error.message); }
      running = false;
      if (again) { again = false; run(); } else if (goOn) { timer = setTimeout(run, seconds * 1000); }
    }
    const onVisible = () => { if (!document.hidden) { run(); } };
    function stop() { over = true; clearTimeout(timer); document.removeEventListener("visibilitychange", onVisible); }
    document.addEventListener("visibilitychange", onVisible);
    run();
    return { wake: run, stop };
  }

  // Notices above a page's content, by name: each stays the same element while it is shown.
  function banner(root, name, kind, iconName, message, extra) {
    let box = root.querySelector(`[data-banner="${name}"]`);
    if (!message) { if (box) { box.remove(); } return; }
    if (!box) {
      box = h("div", { class: `notice notice-${kind}`, "data-banner": name, role: kind === "bad" ? "alert" : "status" }, icon(iconName), h("div", {}, h("span", {}), extra || null));
      root.append(box);
    }
    setText(box.querySelector("span"), message);
  }

  return { text, has, h, icon, setText, pill, whole, loss, rate, duration, ago, exact, clock, moments, api, toast, complain, ask, loop, banner, pages: [] };
})();
