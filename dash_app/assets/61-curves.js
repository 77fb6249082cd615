// Curves as pages keep them: buckets whose width in steps is a power of two, joined with what the server sends, cut,
// smoothed, and put on an axis. Nothing here draws.
(function () {
  "use strict";

  const COLUMNS = ["steps", "last", "mean", "low", "high", "count", "times"];
  const begin = (step, width) => Math.floor(step / width) * width;
  const empty = () => ({ width: 1, steps: [], last: [], mean: [], low: [], high: [], count: [], times: [], nans: [], sampled: false });

  // A curve of the server with all its columns: raw points leave out what is the same for each of them.
  function whole(fresh) {
    return {
      width: fresh.width, steps: fresh.steps, last: fresh.last || fresh.steps, mean: fresh.mean, low: fresh.low || fresh.mean, high: fresh.high || fresh.mean,
      count: fresh.count || fresh.steps.map(() => 1), times: fresh.times, nans: fresh.nans || [], sampled: Boolean(fresh.sampled),
    };
  }

  // The first index whose value is not below a limit.
  function place(values, limit) {
    let low = 0, high = values.length;
    while (low < high) { const middle = (low + high) >> 1; if (values[middle] < limit) { low = middle + 1; } else { high = middle; } }
    return low;
  }

  function part(curve, from, to) {
    const cut = Object.assign({}, curve);
    for (const name of COLUMNS) { cut[name] = curve[name].slice(from, to); }
    return cut;
  }

  // The same curve in wider buckets: means weighted by their points, extremes kept.
  function widened(curve, width) {
    const wide = Object.assign(empty(), { width, nans: curve.nans, sampled: curve.sampled });
    let bucket = null;
    for (let i = 0; i < curve.steps.length; i += 1) {
      const at = wide.steps.length - 1, mine = begin(curve.steps[i], width);
      if (mine !== bucket) {
        bucket = mine;
        for (const name of COLUMNS) { wide[name].push(curve[name][i]); }
        continue;
      }
      const count = wide.count[at] + curve.count[i];
      wide.mean[at] += (curve.mean[i] - wide.mean[at]) * curve.count[i] / count;
      wide.low[at] = Math.min(wide.low[at], curve.low[i]);
      wide.high[at] = Math.max(wide.high[at], curve.high[i]);
      wide.count[at] = count;
      wide.last[at] = curve.last[i];
      wide.times[at] = curve.times[i];
    }
    return wide;
  }

  // What is known, and what the server says from one bucket on.
  function joined(known, answer) {
    const fresh = whole(answer);
    if (!known || answer.width < known.width) { return fresh; }
    const old = answer.width > known.width ? widened(known, answer.width) : known;
    const from = answer.from, kept = part(old, 0, place(old.steps, from));
    for (const name of COLUMNS) { kept[name].push(...fresh[name]); }
    kept.nans = old.nans.slice(0, place(old.nans, from)).concat(fresh.nans);
    kept.sampled = kept.sampled || fresh.sampled;
    return kept;
  }

  // What a page has of a curve, as the server wants to hear it; "" for nothing.
  function since(key, curve) {
    if (!curve || !(curve.steps.length || curve.nans.length)) { return ""; }
    const newest = Math.max(curve.last.length ? curve.last.at(-1) : -Infinity, curve.nans.length ? curve.nans.at(-1) : -Infinity);
    return `${key}:${curve.width}:${newest}`;
  }

  function between(curve, from, to) {
    const cut = part(curve, place(curve.last, from), place(curve.steps, to + 1e-9));
    cut.nans = curve.nans.filter((step) => step >= from && step <= to);
    return cut;
  }

  // Exponential moving average, corrected for its beginning at zero.
  function smoothed(values, weight) {
    let average = 0, share = 1;
    return values.map((value) => {
      if (!Number.isFinite(value)) { return null; }
      share *= weight;
      average = weight * average + (1 - weight) * value;
      return average / (1 - share);
    });
  }

  // A straight line between neighbours, and the outer lines beyond the ends; null without points.
  function interpolated(xs, ys, x) {
    if (!xs.length) { return null; }
    if (xs.length === 1) { return ys[0]; }
    const right = Math.min(xs.length - 1, Math.max(1, place(xs, x))), left = right - 1;
    const run = xs[right] - xs[left];
    return run ? ys[left] + (ys[right] - ys[left]) * (x - xs[left]) / run : ys[right];
  }

  const middle = (curve, i) => (curve.steps[i] + curve.last[i]) / 2;
  const middles = (curve) => curve.steps.map((_step, i) => middle(curve, i));
  const AXIS_KEYS = { tokens: "train/tokens", epoch: "train/epoch" };
  const UNITS = [["s", 1, 120], ["min", 60, 7200], ["h", 3600, 259200], ["d", 86400, Infinity]];

  // Seconds of a run, and the curve that tells best which step was when.
  function clockOf(curves) {
    const all = [...curves.values()].filter((curve) => curve.times.length);
    const best = all.reduce((one, other) => (!one || other.times.length > one.times.length ? other : one), null);
    return { best, begin: Math.min(...all.map((curve) => curve.times[0])), end: Math.max(...all.map((curve) => curve.times.at(-1))) };
  }
  const unitOf = (seconds) => UNITS.find(([, , limit]) => seconds < limit);

  // Where the points of a run lie on an axis: by step, tokens, epoch or time, and which step is at a place of it.
  function axis(kind, curves, unit) {
    const clock = clockOf(curves), when = clock.best;
    const stepAt = (t) => {
      if (!when) { return null; }
      return Math.max(when.steps[0], Math.min(when.last.at(-1), interpolated(when.times, when.last, t)));
    };
    if (kind === "time") {
      const scale = (t) => (t === null ? null : (t - clock.begin) / unit[1]);
      return {
        of: (curve) => curve.times.map(scale), at: (step) => (when ? scale(interpolated(when.last, when.times, step)) : null),
        when: scale, step: (x) => (when ? interpolated(when.times, when.last, x * unit[1] + clock.begin) : null),
      };
    }
    const table = curves.get(AXIS_KEYS[kind]);
    if (!AXIS_KEYS[kind]) { return { of: middles, at: (step) => step, when: stepAt, step: (x) => x }; }
    const xs = table ? [0, ...middles(table)] : [], ys = table ? [0, ...table.mean] : [];
    const at = (step) => (step === null ? null : interpolated(xs, ys, step));
    return { of: (curve) => middles(curve).map(at), at, when: (t) => at(stepAt(t)), step: (x) => interpolated(ys, xs, x) };
  }

  mm.curves = { empty, whole, joined, widened, since, between, smoothed, interpolated, axis, clockOf, unitOf, middle, AXIS_KEYS };
})();
