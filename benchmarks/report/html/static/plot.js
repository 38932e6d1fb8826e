const CONFIG = { displaylogo: false, displayModeBar: false, responsive: true };
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "star", "hexagon", "triangle-left", "triangle-right", "pentagon", "diamond-tall"];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];

/** Text for Plotly, which reads a few tags in what it writes. */
function plotText(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/\$/g, "&#36;");
}

/** Each row's colour; the best row of a model has its symbol, others of one colour the next ones that are free. */
function looks(rows) {
  const taken = new Map(rows.map((row) => [row.color, []]));
  return rows.map((row) => {
    const used = taken.get(row.color), place = used.length;
    const turned = SYMBOLS.map((_, at) => SYMBOLS[(SYMBOLS.indexOf(row.symbol) + at) % SYMBOLS.length]);
    used.push(turned.find((symbol) => !used.includes(symbol)) ?? row.symbol);
    return { ownColor: row.color, color: shownColor(row.color), symbol: used[place], dash: DASHES[place % DASHES.length] };
  });
}

function axis(title, more = {}) {
  return {
    title: { text: title, font: { size: 13, color: themeColor("ink") }, standoff: 8 },
    color: themeColor("muted"), gridcolor: themeColor("line"), linecolor: themeColor("muted"),
    zeroline: false, automargin: true, ...more,
  };
}

/** Draw into an element that has an aria-label saying what is seen. */
function draw(element, traces, layout) {
  const coarse = window.matchMedia("(pointer: coarse)").matches;
  const base = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
    dragmode: coarse ? false : "zoom", margin: { l: 10, r: 14, t: 10, b: 10 },
    font: { family: FONT, size: 12, color: themeColor("ink") },
    hoverlabel: { bgcolor: themeColor("card"), bordercolor: themeColor("muted"), font: { color: themeColor("ink"), family: FONT } },
  };
  Plotly.react(element, traces, { ...base, ...layout }, CONFIG);
}
