// Lines of a log as elements: time and level told apart, and a terminal's colours as a few of our own that can be read
// in both themes. Everything else stays text.
(function () {
  "use strict";
  const { h } = mm;
  const TIME = /^\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?\]?/;
  const LEVEL = /\b(DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b/;
  const CODE = /\x1b\[([0-9;:]*)m/g;
  const NAMES = ["", "red", "green", "yellow", "blue", "magenta", "cyan", ""];
  const GREY = 8;

  function line(shown, ...classes) {
    const element = h("div", { class: ["log-line", ...classes].join(" ") });
    if (shown.includes("\x1b")) { coloured(element, shown); } else { told(element, shown); }
    if (!element.firstChild) { element.append(" "); }
    return element;
  }

  function told(element, shown) {
    const time = TIME.exec(shown);
    let rest = shown;
    if (time) { element.append(h("span", { class: "log-time" }, time[0])); rest = shown.slice(time[0].length); }
    const level = LEVEL.exec(rest.slice(0, 40));
    if (level) {
      element.append(rest.slice(0, level.index), h("span", { class: `log-${level[1].slice(0, 4).toLowerCase()}` }, level[1]), rest.slice(level.index + level[1].length));
    } else if (rest) { element.append(rest); }
  }

  function coloured(element, shown) {
    let style = {}, position = 0;
    const add = (part) => {
      const classes = ["bold", "dim", "italic", "underline"].filter((name) => style[name]).map((name) => `ansi-${name}`);
      if (style.colour) { classes.push(`ansi-${style.colour}`); }
      if (part) { element.append(classes.length ? h("span", { class: classes.join(" ") }, part) : part); }
    };
    for (const code of shown.matchAll(CODE)) {
      add(shown.slice(position, code.index));
      style = changed(style, code[1].replace(/:/g, ";").split(";").map(Number));
      position = code.index + code[0].length;
    }
    add(shown.slice(position));
  }

  // What a code (SGR) makes of a style; backgrounds and all that is not listed are left out.
  function changed(before, numbers) {
    const style = { ...before };
    for (let place = 0; place < numbers.length; place += 1) {
      const n = numbers[place];
      if (n === 0) { for (const name of Object.keys(style)) { delete style[name]; } }
      else if (n === 1) { style.bold = true; } else if (n === 2) { style.dim = true; }
      else if (n === 3) { style.italic = true; } else if (n === 4) { style.underline = true; }
      else if (n === 22) { style.bold = style.dim = false; } else if (n === 23) { style.italic = false; }
      else if (n === 24) { style.underline = false; } else if (n === 39) { style.colour = ""; }
      else if (n >= 30 && n <= 37) { style.colour = NAMES[n - 30]; }
      else if (n >= 90 && n <= 97) { style.colour = n === 90 ? "grey" : NAMES[n - 90]; }
      else if (n === 38 || n === 48) {
        const long = numbers[place + 1] === 2;
        if (n === 38) { style.colour = long ? nearest(...numbers.slice(place + 2, place + 5)) : ofTable(numbers[place + 2]); }
        place += long ? 4 : 2;
      }
    }
    return style;
  }

  // One of the 256 colours: 16 named ones, a cube of 6 × 6 × 6, and greys.
  function ofTable(number) {
    if (!(number < 256)) { return ""; }
    if (number < 16) { return number === GREY ? "grey" : NAMES[number % 8]; }
    if (number >= 232) { return number < 246 ? "grey" : ""; }
    const cube = number - 16;
    return nearest(...[Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map((part) => part * 51));
  }

  // The named colour of the same hue.
  function nearest(red, green, blue) {
    const most = Math.max(red, green, blue), least = Math.min(red, green, blue), range = most - least;
    if (!(range > 40)) { return most > 60 && most < 160 ? "grey" : ""; }
    const turn = most === red ? ((green - blue) / range + 6) % 6 : most === green ? (blue - red) / range + 2 : (red - green) / range + 4;
    return ["red", "yellow", "green", "cyan", "blue", "magenta"][Math.round(turn) % 6];
  }

  mm.logLine = line;
})();
