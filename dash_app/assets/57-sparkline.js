// A curve as small as a word, from a few numbers; the number beside it says what screen readers need.
(function () {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg", WIDTH = 72, HEIGHT = 22, EDGE = 2;

  mm.sparkline = () => {
    const svg = document.createElementNS(SVG, "svg"), line = document.createElementNS(SVG, "polyline"), dot = document.createElementNS(SVG, "circle");
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("class", "sparkline");
    svg.setAttribute("aria-hidden", "true");
    dot.setAttribute("r", "1.8");
    svg.append(line, dot);
    let drawn = "";
    const draw = (values) => {
      const key = values.join(" ");
      if (key === drawn) { return; }
      drawn = key;
      svg.toggleAttribute("data-empty", values.length < 2);
      if (values.length < 2) { return; }
      const low = Math.min(...values), spread = Math.max(...values) - low || 1;
      const points = values.map((value, at) => [EDGE + at * (WIDTH - 2 * EDGE) / (values.length - 1), HEIGHT - EDGE - (value - low) / spread * (HEIGHT - 2 * EDGE)]);
      line.setAttribute("points", points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "));
      const [x, y] = points[points.length - 1];
      dot.setAttribute("cx", x.toFixed(1));
      dot.setAttribute("cy", y.toFixed(1));
    };
    svg.toggleAttribute("data-empty", true);
    return { element: svg, draw };
  };
})();
