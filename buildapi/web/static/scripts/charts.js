/* Draw charts from the data beside each; colours follow the scheme, and are light on paper. */

import { fillOf } from "./chart_fills.js";
import { marksOf, pointRadii, resultOf } from "./chart_marks.js";
import { durationStep, timeLabels, timeMarks, valueText } from "./chart_ticks.js";
import { $, $$, element } from "./dom.js";
import { local } from "./durations.js";
import { fetched } from "./page_fetch.js";

const LIGHT = ["#0b57b8", "#c2410c", "#0e7490", "#7a2e8f", "#8a5300", "#17693a", "#b3261e", "#4d5a6a", "#a16207", "#9d174d"];
const DARK = ["#8ab8ff", "#fb9a63", "#67d3e8", "#d9a3ea", "#f0b860", "#7ad69b", "#ff9d94", "#a5aebb", "#e7d36a", "#f79ac3"];
const MARKS = 8;                 // of an axis of times, at most
const dark = matchMedia("(prefers-color-scheme: dark)");
const drawn = new Map();         // charts and what they show, by figure
let paper = false;

// colours.css has the colours of both schemes, and of paper for what is inside of "on-paper".
const sheet = document.body.appendChild(element("i", { class: "on-paper", hidden: "" }));
const css = (name) => getComputedStyle(paper ? sheet : document.documentElement).getPropertyValue(name).trim();

function colour(label, index) {
  const result = resultOf(label);
  if (result) return css(`--result-${result}`);
  const colours = dark.matches && !paper ? DARK : LIGHT;
  return colours[index % colours.length];
}

const fill = (label, index) => fillOf(marksOf(label, index).pattern, colour(label, index), css("--paper"));

function pie(spec) {
  return [{ data: spec.series[0].data, backgroundColor: spec.labels.map(fill), borderColor: css("--paper"), borderWidth: 1 }];
}

function bars(spec) {
  return spec.series.map(({ label, data }, index) => ({
    label, data, backgroundColor: fill(label, index), borderColor: colour(label, index),
    borderWidth: ({ raw }) => (raw ? 1 : 0),       // what is little is seen, and nothing is not
  }));
}

function lines(spec) {
  const joined = spec.shape !== "points";
  return spec.series.map(({ label, data }, index) => {
    const own = colour(label, index), { dashes, point } = marksOf(label, index);
    return {
      label, borderColor: own, borderWidth: 2, borderDash: dashes, pointStyle: point, showLine: joined, spanGaps: false, tension: 0,
      data: spec.times ? data.map((y, at) => ({ x: spec.labels[at], y })) : data,
      // 55 is an opacity of a third: an area must not hide those behind it
      backgroundColor: spec.shape === "area" ? `${own}55` : own,
      fill: spec.shape === "area",
      pointBackgroundColor: own,
      pointRadius: pointRadii(data, { lines: joined }),
    };
  });
}

const SHAPES = { pie, bar: bars, rows: bars };
const TYPES = { area: "line", points: "line", rows: "bar" };

const greatest = (spec) => Math.max(0, ...spec.series.flatMap(({ data }) => data.filter((value) => value !== null)));

function valueAxis(spec) {
  const isCount = !spec.unit && spec.series.every(({ data }) => data.every((value) => Number.isInteger(value ?? 0)));
  const ticks = { color: css("--ink"), stepSize: durationStep(greatest(spec), spec.unit) };
  if (isCount) ticks.precision = 0;
  if (durationStep(1, spec.unit)) ticks.callback = (value) => valueText(value, spec.unit);
  const isDuration = Boolean(ticks.callback);
  const title = { display: Boolean(spec.unit) && !isDuration, text: spec.unit, color: css("--ink") };
  const axis = { beginAtZero: true, stacked: spec.stacked, ticks, grid: { color: css("--line") }, title };
  if (spec.unit === "%" && greatest(spec) <= 100 && spec.shape !== "rows") axis.max = 100;
  return axis;
}

function labelAxis(spec) {
  const ticks = { color: css("--ink"), maxRotation: 50, autoSkip: true };
  const x = { stacked: spec.stacked, ticks, grid: { display: false } };
  if (!spec.times) return x;
  // Seconds on a linear axis: the time axis needs a date library [Chart.js, Time Cartesian Axis].
  const times = spec.labels, last = times[times.length - 1] ?? 0;
  const from = spec.from ?? times[0] ?? 0, to = Math.max(spec.to ?? last, last, from + 1);
  return {
    ...x, type: "linear", min: Math.min(from, times[0] ?? from), max: to,
    ticks: { ...ticks, maxRotation: 0, autoSkip: false },
    afterBuildTicks: (axis) => {
      const marks = timeMarks(axis.min, axis.max, Math.max(2, Math.min(MARKS, Math.floor(axis.width / 60) || MARKS)));
      const labels = timeLabels(marks);
      axis.ticks = marks.map((value, at) => ({ value, label: labels[at] }));
    },
    // Else it writes numbers in place of the labels.
    beforeTickToLabelConversion: (axis) => { axis.options.ticks.callback = (_, at) => axis.ticks[at].label; },
  };
}

function scales(spec) {
  if (spec.shape === "pie") return {};
  if (spec.shape === "rows") {
    const y = labelAxis(spec);
    return { x: valueAxis(spec), y: { ...y, ticks: { ...y.ticks, autoSkip: false } } };
  }
  return { x: labelAxis(spec), y: valueAxis(spec) };
}

function pointText(spec, item) {
  const value = spec.shape === "pie" ? item.parsed : spec.shape === "rows" ? item.parsed.x : item.parsed.y;
  const name = spec.shape === "pie" ? item.label : item.dataset.label;
  return `${name}: ${valueText(value, spec.unit)}`;
}

/* Return the entries of a legend with the dashes of their lines, which Chart.js takes from the points. */
function withDashes(chart) {
  const made = Chart.defaults.plugins.legend.labels.generateLabels(chart);
  return made.map((one) => ({ ...one, lineDash: chart.data.datasets[one.datasetIndex].borderDash, lineWidth: 2 }));
}

function config(spec) {
  const many = spec.shape === "pie" || spec.series.length > 1, isLine = !(spec.shape in SHAPES);
  const labels = { color: css("--ink"), boxWidth: 14, usePointStyle: isLine };
  if (isLine && spec.shape !== "points") Object.assign(labels, { pointStyle: "line", pointStyleWidth: 36, generateLabels: withDashes });
  const callbacks = { label: (item) => pointText(spec, item) };
  if (spec.times) callbacks.title = (items) => local(items[0].parsed.x);
  return {
    type: TYPES[spec.shape] || spec.shape,
    data: { labels: spec.times ? undefined : spec.labels, datasets: (SHAPES[spec.shape] || lines)(spec) },
    options: {
      animation: false,
      indexAxis: spec.shape === "rows" ? "y" : "x",
      maintainAspectRatio: false,
      interaction: {
        mode: spec.shape === "pie" || spec.shape === "points" ? "nearest" : "index",
        axis: spec.shape === "rows" ? "y" : "x",
        intersect: false,
      },
      plugins: { legend: { display: many, position: "bottom", labels }, tooltip: { callbacks } },
      scales: scales(spec),
    },
  };
}

const specOf = (figure) => JSON.parse($("script", figure).textContent);

function draw(figure) {
  const spec = specOf(figure);
  drawn.set(figure, { spec, chart: new Chart($("canvas", figure), config(spec)) });
  figure.classList.add("drawn");
}

function redraw({ spec, chart }) {
  const { data, options } = config(spec);
  chart.data = data;
  chart.options = options;
  chart.update("none");
}

const again = () => { for (const one of drawn.values()) redraw(one); };

/* Show in a chart what the page has now; its table stays as it is while somebody reads it. */
async function renew(figure) {
  const page = await fetched(location.href);
  const fresh = $("figure.chart[data-every]", page);
  if (!fresh) return;
  const one = drawn.get(figure);
  one.spec = specOf(fresh);
  redraw(one);
  $("script", figure).textContent = $("script", fresh).textContent;
  if (!$("details", figure).open) $("tbody", figure).replaceWith(document.adoptNode($("tbody", fresh)));
}

for (const figure of $$("figure.chart")) {
  draw(figure);
  const { every } = figure.dataset;
  if (every) setInterval(() => { if (!document.hidden) renew(figure).catch(() => {}); }, 1000 * every);
}
dark.addEventListener("change", again);
// A canvas is a picture: style sheets for print do not change its colours.
addEventListener("beforeprint", () => { paper = true; again(); });
addEventListener("afterprint", () => { paper = false; again(); });
