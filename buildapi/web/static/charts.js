// Draws the charts of a report from the data beside each; colours follow the scheme, also on paper.
"use strict";
(() => {
  const LIGHT = ["#0b57b8", "#c2410c", "#17693a", "#7a2e8f", "#8a5300", "#0e7490", "#b3261e", "#4d5a6a", "#a16207", "#9d174d"];
  const DARK = ["#8ab8ff", "#fb9a63", "#7ad69b", "#d9a3ea", "#f0b860", "#67d3e8", "#ff9d94", "#a5aebb", "#e7d36a", "#f79ac3"];
  const WORDS = { failed: "failure", done: "success", claimed: "pending", "no result": "none" };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const drawn = [];
  let paper = false;

  // colours.css has the colours of both schemes, and of paper for what is inside of "on-paper".
  const sheet = document.body.appendChild(Object.assign(document.createElement("i"), { className: "on-paper", hidden: true }));
  const css = (name) => getComputedStyle(paper ? sheet : document.documentElement).getPropertyValue(name).trim();
  const ink = () => css("--ink");
  const line = () => css("--line");

  function colour(label, index) {
    const word = String(label).toLowerCase();
    const own = css(`--result-${(WORDS[word] || word).replace(/[^a-z]+/g, "-")}`);
    if (own) return own;
    const colours = dark.matches && !paper ? DARK : LIGHT;
    return colours[index % colours.length];
  }

  function moment(seconds) {
    const options = { month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hour12: false };
    return new Date(seconds * 1000).toLocaleString(undefined, options);
  }

  function datasets(spec) {
    if (spec.shape === "pie") {
      const colours = spec.labels.map(colour);
      const edge = css("--paper");
      return [{ data: spec.series[0].data, backgroundColor: colours, borderColor: edge, borderWidth: 1 }];
    }
    return spec.series.map((series, index) => {
      const own = colour(series.label, index);
      const points = spec.times ? series.data.map((y, i) => ({ x: spec.labels[i], y })) : series.data;
      const filled = spec.shape === "area";
      const bars = spec.shape === "bar" || spec.shape === "rows";
      return {
        label: series.label,
        data: points,
        borderColor: own,
        // 55 is an opacity of a third: an area must not hide those behind it
        backgroundColor: filled && !spec.stacked ? `${own}55` : own,
        fill: filled,
        borderWidth: bars ? 0 : 2,
        pointRadius: points.length > 60 || filled ? 0 : 2,
        tension: 0,
      };
    });
  }

  function scales(spec) {
    if (spec.shape === "pie") return {};
    const ticks = { color: ink(), maxRotation: 50, autoSkip: true };
    const grid = { color: line() };
    const title = { display: Boolean(spec.unit), text: spec.unit, color: ink() };
    const y = { beginAtZero: true, stacked: spec.stacked, ticks: { color: ink() }, grid, title };
    if (spec.unit === "%" && spec.stacked) y.max = 100;
    const x = { stacked: spec.stacked, ticks, grid: { display: false } };
    if (spec.shape === "rows") return { x: y, y: { ...x, ticks: { ...ticks, autoSkip: false } } };
    // Seconds on a linear axis: the time axis needs a date library [Chart.js, Time Cartesian Axis].
    if (spec.times) Object.assign(x, { type: "linear", ticks: { ...ticks, callback: moment } });
    return { x, y };
  }

  function config(spec) {
    const many = spec.shape === "pie" || spec.series.length > 1;
    const legend = { display: many, position: "bottom", labels: { color: ink(), boxWidth: 14 } };
    const tooltip = spec.times ? { callbacks: { title: (items) => moment(items[0].parsed.x) } } : {};
    return {
      type: { area: "line", rows: "bar" }[spec.shape] || spec.shape,
      data: { labels: spec.times ? undefined : spec.labels, datasets: datasets(spec) },
      options: {
        animation: false,
        indexAxis: spec.shape === "rows" ? "y" : "x",
        maintainAspectRatio: false,
        interaction: { mode: spec.shape === "pie" ? "nearest" : "index", axis: spec.shape === "rows" ? "y" : "x", intersect: false },
        plugins: { legend, tooltip },
        scales: scales(spec),
      },
    };
  }

  function draw(figure) {
    const spec = JSON.parse(figure.querySelector("script").textContent);
    drawn.push({ spec, chart: new Chart(figure.querySelector("canvas"), config(spec)) });
    figure.classList.add("drawn");
  }

  function again() {
    for (const { spec, chart } of drawn) {
      const { data, options } = config(spec);
      chart.data = data;
      chart.options = options;
      chart.update("none");
    }
  }

  document.querySelectorAll("figure.chart").forEach(draw);
  dark.addEventListener("change", again);
  // A canvas is a picture: style sheets for print do not change its colours.
  addEventListener("beforeprint", () => { paper = true; again(); });
  addEventListener("afterprint", () => { paper = false; again(); });
})();
