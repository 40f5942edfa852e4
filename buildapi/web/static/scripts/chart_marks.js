/* How the series of a chart differ, beside their colours: by patterns, dashes and the shapes of points. */

// Results have the same everywhere, whatever else is in the chart.
const RESULTS = {
  success: 0, warnings: 2, failure: 1, exception: 6, retry: 3, skipped: 4, cancelled: 5, none: 7,
  running: 0, pending: 4, abandoned: 6,
};
const WORDS = { failed: "failure", done: "success", claimed: "pending", "no result": "none" };
export const PATTERNS = ["solid", "rising", "dots", "falling", "horizontal", "vertical", "crossed", "hatched"];
const POINTS = ["circle", "rect", "triangle", "rectRot", "star", "crossRot", "rectRounded", "cross"];
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 2], [14, 4], [1, 2], [8, 2, 2, 2, 2, 2]];

/* Return the result that a label names, as in the names of its colour; empty for another label. */
export function resultOf(label) {
  const word = String(label).toLowerCase().replace(/ \(%\)$/, "");
  const result = WORDS[word] || word;
  return Object.hasOwn(RESULTS, result) ? result : "";
}

/* Return the marks of a series: the kind of its pattern, its dashes, and the shape of its points. */
export function marksOf(label, index) {
  const result = resultOf(label);
  const own = result ? RESULTS[result] : index % PATTERNS.length;
  return { pattern: PATTERNS[own], dashes: DASHES[own], point: POINTS[own] };
}

/* Return the radius of each point: those that no line leads to are seen in any case. */
export function pointRadii(values, { lines = true, most = 60 } = {}) {
  const isThere = (value) => value !== null && value !== undefined;
  return values.map((value, index) => {
    if (!isThere(value)) return 0;
    const alone = !isThere(values[index - 1]) && !isThere(values[index + 1]);
    return !lines || alone ? 3 : values.length > most ? 0 : 2;
  });
}
