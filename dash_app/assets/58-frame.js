// The frame around the pages: theme, language, titles, tabs, and the start of a page's own script.
(function () {
  "use strict";
  const { text, moments } = mm;
  const THEMES = ["auto", "light", "dark"];
  const ICONS = { auto: "circle-half", light: "sun", dark: "moon-stars" };
  let shown = null;

  function showTheme() {
    const button = document.getElementById("theme-toggle");
    if (!button) { return; }
    const theme = window.minimindTheme.chosen();
    button.title = text(`theme_${theme}`);
    button.setAttribute("aria-label", button.title);
    button.firstElementChild.className = `bi bi-${ICONS[theme]}`;
  }

  document.addEventListener("click", (event) => {
    const target = event.target.closest("button, a");
    if (!target) { return; }
    if (target.id === "theme-toggle") {
      const next = THEMES[(THEMES.indexOf(window.minimindTheme.chosen()) + 1) % THEMES.length];
      window.minimindTheme.apply(next);
      showTheme();
    } else if (target.id === "language-link") {
      const here = location.pathname + location.search;
      target.href = `${target.href.split("&next=")[0]}&next=${encodeURIComponent(here)}`;
    } else if (target.getAttribute("role") === "tab") { openTab(target, false); }
    else if (target.id === "only-changed") {
      const on = target.getAttribute("aria-pressed") !== "true";
      target.setAttribute("aria-pressed", on);
      document.getElementById("settings-table").classList.toggle("only-changed", on);
    }
  });

  function openTab(tab, focus) {
    for (const other of tab.parentElement.children) {
      const on = other === tab;
      other.setAttribute("aria-selected", on);
      other.tabIndex = on ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !on;
    }
    if (focus) { tab.focus(); }
    history.replaceState(history.state, "", location.pathname + location.search + (tab.previousElementSibling ? `#${tab.id.slice(4)}` : ""));
    window.dispatchEvent(new Event("resize"));
  }

  document.addEventListener("keydown", (event) => {
    const tab = event.target.closest("[role=tab]");
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!tab || !step) { return; }
    const tabs = [...tab.parentElement.children];
    openTab(tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length], true);
  });

  // Called by Dash when the content of the page was replaced; the elements follow a moment later.
  function pageShown() {
    let tries = 0;
    const begin = () => {
      const page = document.querySelector("[data-page-token]");
      if (!page || page.dataset.pageToken === shown) {
        if (tries++ < 200) { setTimeout(begin, 15); }
        return;
      }
      const first = shown === null;
      shown = page.dataset.pageToken;
      const titled = page.querySelector("[data-title]");
      document.title = titled ? `${titled.dataset.title} · ${document.querySelector(".brand").textContent}` : document.querySelector(".brand").textContent;
      showTheme();
      if (!first) { document.dispatchEvent(new Event("pageleave")); } // what an earlier page kept can go
      if (!first) { window.scrollTo(0, 0); const heading = document.getElementById("page-heading"); if (heading) { heading.focus({ preventScroll: true }); } }
      for (const start of mm.pages) { start(page); }
      const wanted = location.hash && document.getElementById(`tab-${location.hash.slice(1)}`);
      if (wanted) { openTab(wanted, false); }
    };
    begin();
    return window.dash_clientside.no_update;
  }

  // Relative times age, and new ones appear with parts that Dash renders.
  function freshTimes() { if (!document.hidden && document.body) { moments(document); } }
  setInterval(freshTimes, 10000);
  new MutationObserver((changes) => {
    if (changes.some((change) => change.addedNodes.length) && document.getElementById("texts")) { freshTimes(); }
    if (shown === null && document.querySelector("[data-page-token]")) { pageShown(); } // the first one comes with the frame
  }).observe(document.documentElement, { childList: true, subtree: true });

  window.dash_clientside.minimind = Object.assign(window.dash_clientside.minimind || {}, { pageShown });
})();
