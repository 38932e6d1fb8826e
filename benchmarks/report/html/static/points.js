const COSTS = DATA.costs;
const pointState = { cost: "train_img_per_s" };

function renderPoints(set, isShown) {
  const known = COSTS.filter(([cost]) => set.points.some((point) => point[cost] !== null && point.top1_pct !== null));
  const box = byId("points");
  if (!known.length) {
    box.replaceChildren(el("h3", {}, "Accuracy against cost"), el("p", { class: "hint" }, "None of these runs was tested and timed."));
    return;
  }
  if (!known.some(([cost]) => cost === pointState.cost)) pointState.cost = known[0][0];
  const chart = el("div", { class: "chart", role: "img" });
  const pick = choice("against", known.map(([cost, title]) => [cost, title]), pointState.cost, (cost) => {
    pointState.cost = cost;
    drawPoints(chart, set, isShown);
  });
  box.replaceChildren(
    el("h3", {}, "Test accuracy"), el("div", { class: "controls" }, pick), chart,
    el("p", { class: "hint" }, "Bars: 95% intervals. Line: Pareto front of all rows. The tables below have the numbers."),
  );
  drawPoints(chart, set, isShown);
}

function drawPoints(chart, set, isShown) {
  const [cost, title, format] = COSTS.find(([name]) => name === pointState.cost);
  const styles = looks(set.rows);
  const shown = set.points
    .map((point, at) => ({ ...point, at, x: point[cost], y: point.top1_pct, label: set.rows[at].label, ...styles[at] }))
    .filter((point) => point.x > 0 && point.y !== null && isShown(point.at));
  const best = shown.filter((point) => point.fronts.includes(cost)).sort((one, other) => one.x - other.x);
  chart.setAttribute("aria-label", `Test accuracy against ${title}: ${count(shown.length, "row")}; on the front: ${best.map((point) => point.label).join(", ")}`);
  const extent = (values) => [Math.min(...values), Math.max(...values)];
  const [left, right] = shown.length ? extent(shown.map((point) => Math.log10(point.x))) : [0, 1];
  const [low, high] = shown.length ? extent(shown.flatMap((point) => [point.low_pct ?? point.y, point.high_pct ?? point.y])) : [0, 100];
  const ranges = { x: padded(left, right, 0.14, 0.3), y: padded(low, high, 0.1, 0.4) };
  const traces = [
    { x: best.map((p) => p.x), y: best.map((p) => p.y), mode: "lines", hoverinfo: "skip", line: { color: themeColor("muted"), width: 1.2, dash: "dot" } },
    ...shown.map((point) => pointTrace(point, cost)),
  ];
  const ticks = [1, 2, 5].flatMap((digit) => Array.from({ length: 30 }, (_, at) => digit * 10 ** (at - 12))).sort((one, other) => one - other);
  const labels = shown.length <= 14 ? placedLabels(shown, best, ranges, chart) : [];
  draw(chart, traces, {
    xaxis: axis(title, { type: "log", tickformat: format, range: ranges.x, tickvals: ticks }),
    yaxis: axis(DATA.accuracy, { range: ranges.y }), annotations: labels,
  });
}

function padded(low, high, share, least) {
  const room = Math.max((high - low) * share, least / 2);
  return [low - room, high + room];
}

function pointTrace(point, cost) {
  const interval = point.low_pct === null ? "" : ` [${fixed(point.low_pct, 2)}, ${fixed(point.high_pct, 2)}]`;
  const text = `${point.label}: ${fixed(point.y, 2)}%${interval}, ${point.texts[cost] ?? significant(point[cost], 4)} ${COSTS.find(([name]) => name === cost)[1]}`;
  const bars = point.low_pct === null ? {} : { type: "data", symmetric: false, array: [point.high_pct - point.y], arrayminus: [point.y - point.low_pct], thickness: 1.2, width: 4, color: point.color };
  return {
    x: [point.x], y: [point.y], mode: "markers", hoverinfo: "text", hovertext: [plotText(text)], error_y: bars, name: plotText(point.label),
    marker: { color: point.color, symbol: point.symbol, size: 11, line: { color: themeColor("ink"), width: 0.8 } },
  };
}

const PLACES = [[12, 0], [-12, 0], ...[14, -14, 28, -28, 44, -44, 60, -60].flatMap((up) => [[14, up], [-14, up]])];
const NEAR = 14;

/** Labels beside their points, each in the first of its places where it meets no point, bar, part of the front's line or other label; cut where it would leave the plot. */
function placedLabels(points, line, ranges, chart) {
  const width = Math.max(200, chart.clientWidth - 80), height = Math.max(150, chart.clientHeight - 60);
  const across = (x) => ((Math.log10(x) - ranges.x[0]) / (ranges.x[1] - ranges.x[0])) * width;
  const up = (y) => ((y - ranges.y[0]) / (ranges.y[1] - ranges.y[0])) * height;
  const around = (point, wide, low, high) => ({ left: across(point.x) - wide, right: across(point.x) + wide, bottom: up(low), top: up(high) });
  const taken = [
    ...points.flatMap((point) => [
      [{ ...around(point, 8, point.y, point.y), bottom: up(point.y) - 8, top: up(point.y) + 8 }],
      [around(point, 3, point.low_pct ?? point.y, point.high_pct ?? point.y)],
    ]),
    ...line.slice(1).map((end, at) => alongLine([across(line[at].x), up(line[at].y)], [across(end.x), up(end.y)])),
  ];
  return points.map((point) => {
    const x = across(point.x), y = up(point.y);
    const room = Math.max(2, Math.floor((Math.max(x, width - x) - 18) / 6.8));
    const label = point.label.length > room ? `${point.label.slice(0, room - 1)}…` : point.label;
    const size = { wide: label.length * 6.8 + 4, high: 15 };
    const places = PLACES.map(([dx, dy]) => {
      const left = dx > 0 ? x + dx : dx < 0 ? x + dx - size.wide : x - size.wide / 2;
      return { dx, dy, left, right: left + size.wide, bottom: y + dy - size.high / 2, top: y + dy + size.high / 2 };
    });
    const inside = places.filter((box) => box.left >= 0 && box.right <= width && box.bottom >= 0 && box.top <= height);
    const crosses = (box, other) => box.left < other.right && other.left < box.right && box.bottom < other.top && other.bottom < box.top;
    const meets = (box) => taken.filter((boxes) => boxes.some((other) => crosses(box, other))).length;
    const box = (inside.length ? inside : places).reduce((best, one) => (meets(one) < meets(best) ? one : best));
    taken.push([box]);
    return {
      x: Math.log10(point.x), y: point.y, text: plotText(label),
      ...(Math.abs(box.dy) <= NEAR
        ? { showarrow: false, xshift: box.dx, yshift: box.dy }
        : { showarrow: true, arrowhead: 0, arrowwidth: 0.8, arrowcolor: themeColor("muted"), ax: box.dx, ay: -box.dy }),
      xanchor: box.dx > 0 ? "left" : box.dx < 0 ? "right" : "center", font: { size: 12, color: themeColor("ink") },
    };
  });
}

/** Small boxes that cover a line from one place to another, in pixels. */
function alongLine([left, from], [right, to]) {
  const steps = Math.ceil(Math.hypot(right - left, to - from) / 6);
  return Array.from({ length: steps + 1 }, (_, at) => {
    const x = left + ((right - left) * at) / steps, y = from + ((to - from) * at) / steps;
    return { left: x - 3, right: x + 3, bottom: y - 3, top: y + 3 };
  });
}
