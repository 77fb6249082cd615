// Sets the colour theme before the first paint, so that a dark page does not flash white.
(function () {
  var chosen = null;
  try { chosen = localStorage.getItem("theme"); } catch (error) { /* storage is off: follow the system */ }
  var system = window.matchMedia("(prefers-color-scheme: dark)");
  window.minimindTheme = {
    chosen: function () { return chosen || "auto"; },
    apply: function (next) {
      chosen = next === "auto" ? null : next;
      try {
        if (chosen) { localStorage.setItem("theme", chosen); } else { localStorage.removeItem("theme"); }
      } catch (error) { /* it holds until the page is left */ }
      show();
    },
  };
  function show() {
    document.documentElement.dataset.bsTheme = chosen || (system.matches ? "dark" : "light");
    document.dispatchEvent(new Event("themechange"));
  }
  system.addEventListener("change", show);
  show();
})();
