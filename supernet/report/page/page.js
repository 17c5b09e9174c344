"use strict";
// Draws the charts: unpacks plotly and the benchmark's values, and gives both the page's colours.

const unpacked = async (id) => {
  const text = atob(document.getElementById(id).textContent);
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
};

const data = JSON.parse(document.getElementById("data").textContent);
const quiet = { responsive: true, displayModeBar: false };
const withButtons = {
  responsive: true, displaylogo: false,
  modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]],
};
const isNarrow = () => window.innerWidth < 600;

// Colours are written as variables of the page: what "var(--red)" is depends on light and dark.
const coloured = (value) => {
  const style = getComputedStyle(document.documentElement);
  const text = JSON.stringify(value).replace(/var\((--\w+)\)/g, (_, name) => style.getPropertyValue(name).trim());
  return JSON.parse(text);
};

const axis = (own) => ({
  gridcolor: "var(--line)", linecolor: "var(--line)", zerolinecolor: "var(--line)",
  automargin: true, ...own, title: { standoff: 8, ...(own || {}).title },
});

const layout = (own) => coloured({
  paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
  font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: "var(--ink)" },
  margin: { l: 48, r: 12, t: 14, b: 40 },
  hoverlabel: {
    bgcolor: "var(--shade)", bordercolor: "var(--grey)", font: { color: "var(--ink)" }, align: "left",
  },
  // A finger that drags over a chart scrolls the page.
  dragmode: isNarrow() ? false : "zoom",
  showlegend: true, legend: { orientation: "h", y: -0.24, x: 0 }, modebar: {
    bgcolor: "rgba(0,0,0,0)", color: "var(--grey)", activecolor: "var(--ink)",
  },
  ...own, xaxis: axis(own.xaxis), yaxis: axis(own.yaxis),
});

const drawCharts = () => {
  for (const [name, chart] of Object.entries(data.charts)) {
    chart.panels.forEach((panel, number) => {
      Plotly.react(`${name}-${number}`, coloured(panel.traces), layout(panel.layout), quiet);
    });
  }
};

// The scatter of all cells.

const costs = { params: ["M parameters", 1e6], flops: ["M multiply-adds", 1e6] };
const groups = {
  front: ["cells of front.json", { symbol: "diamond", size: 8, color: "var(--green)", line: { width: 1, color: "var(--page)" } }],
  baseline: ["without a search", { symbol: "square", size: 11, color: "var(--ink)", line: { width: 1, color: "var(--page)" } }],
  answer: ["other answers", { symbol: "triangle-up", size: 13, color: "var(--purple)", line: { width: 1, color: "var(--page)" } }],
  found: ["found", { symbol: "star", size: 20, color: "var(--red)", line: { width: 1, color: "var(--page)" } }],
};

const scatterOf = (scatter, values) => {
  const count = scatter.codes.length / 6;
  const columns = new Map(scatter.names.map((name, number) => [name, values.subarray(number * count, (number + 1) * count)]));
  const codes = Array.from({ length: count }, (_, row) => scatter.codes.slice(6 * row, 6 * row + 6));
  const words = new Map([...scatter.datasets, ...scatter.columns]);
  const chosen = (name) => document.getElementById(`scatter-${name}`).value;
  const key = (column) => (column in costs ? column : `${chosen("dataset")} ${column}`);
  const shown = (column, value) => (column in costs ? value / costs[column][1] : 100 * value);
  const title = (column) => (column in costs ? costs[column][0] : `${words.get(column)} (%), ${words.get(chosen("dataset"))}`);

  const hover = (code, value) => {
    const accuracies = scatter.columns.filter(([column]) => !(column in costs))
      .map(([column, name]) => `${name} ${(100 * value(key(column))).toFixed(2)} %`);
    const sizes = Object.entries(costs).map(([cost, [unit, by]]) => `${(value(cost) / by).toFixed(3)} ${unit}`);
    return [code === null ? "expected value" : `<b>${code}</b>`, ...accuracies, ...sizes].join("<br>");
  };

  // The cells that no other one beats on both axes.
  const best = (x, y) => {
    const across = x in costs ? 1 : -1;
    const up = y in costs ? -1 : 1;
    const order = Array.from({ length: count }, (_, row) => row);
    const [xs, ys] = [columns.get(key(x)), columns.get(key(y))];
    order.sort((a, b) => across * (xs[a] - xs[b]) || up * (ys[b] - ys[a]));
    let top = -Infinity;
    return order.filter((row) => up * ys[row] > top && ((top = up * ys[row]), true));
  };

  const cloud = (rows, x, y, more) => ({
    type: "scatter", mode: "markers", hovertemplate: "%{text}<extra></extra>",
    x: rows.map((row) => shown(x, columns.get(key(x))[row])),
    y: rows.map((row) => shown(y, columns.get(key(y))[row])),
    text: rows.map((row) => hover(codes[row], (name) => columns.get(name)[row])),
    ...more,
  });

  // One around the other, since runs may have found the same cell.
  const ringed = (color, number) => ({ symbol: "circle-open", size: 11 + 7 * number, color, line: { width: 3 } });

  const marks = (x, y) => [...new Set(scatter.marks.map((mark) => mark.group))].map((group) => {
    const found = scatter.marks.filter((mark) => mark.group === group);
    const at = (mark, name) => mark.values[scatter.names.indexOf(name)];
    const { label, colour, ring } = found[0];
    const [name, marker] = groups[group] || [label, ringed(colour, ring)];
    return {
      type: "scatter", mode: "markers", name, marker, hovertemplate: "%{text}<extra></extra>",
      x: found.map((mark) => shown(x, at(mark, key(x)))),
      y: found.map((mark) => shown(y, at(mark, key(y)))),
      text: found.map((mark) => `${mark.label}<br>${hover(mark.code, (name) => at(mark, name))}`),
    };
  });

  return () => {
    const [x, y] = [chosen("x"), chosen("y")];
    const rows = Array.from({ length: count }, (_, row) => row);
    const traces = [
      cloud(rows, x, y, { name: "all cells", marker: { size: isNarrow() ? 3 : 4, color: "var(--cloud)", opacity: 0.45 } }),
      cloud(best(x, y), x, y, { name: "best of both axes", mode: "lines", line: { color: "var(--blue)", width: 1.5, shape: x in costs ? "hv" : "vh" } }),
      ...marks(x, y),
    ];
    const own = { margin: { l: 48, r: 12, t: 34, b: 40 }, hovermode: "closest", xaxis: { title: { text: title(x) } }, yaxis: { title: { text: title(y) } }, legend: { orientation: "h", y: -0.12, x: 0 } };
    Plotly.react("scatter", coloured(traces), layout(own), isNarrow() ? quiet : withButtons);
  };
};

const start = async () => {
  const script = document.createElement("script");
  script.textContent = new TextDecoder().decode(await unpacked("plotly"));
  document.head.append(script);
  const draws = [drawCharts];
  if (data.scatter) {
    const draw = scatterOf(data.scatter, new Float64Array(await unpacked("values")));
    for (const [name, value] of Object.entries(data.scatter.start)) {
      const select = document.getElementById(`scatter-${name}`);
      select.value = value;
      select.addEventListener("change", draw);
    }
    draws.push(draw);
  }
  const drawAll = () => draws.forEach((draw) => draw());
  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
};

start().catch((error) => {
  const note = document.createElement("p");
  note.className = "problem";
  note.textContent = `The charts cannot be drawn here (${error.message}); they need a browser of 2023 or later. The texts and tables are complete.`;
  document.querySelector("main").prepend(note);
});
