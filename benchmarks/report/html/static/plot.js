const CONFIG = { displaylogo: false, displayModeBar: false, responsive: true };
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon", "pentagon", "triangle-down", "triangle-left", "triangle-right"];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];

/** Text for Plotly, which reads a few tags in what it writes. */
function plotText(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/\$/g, "&#36;");
}

/** Each row's colour, and a symbol and a dash that tell rows of one colour apart. */
function looks(rows) {
  const seen = new Map();
  return rows.map((row) => {
    const place = seen.get(row.color) ?? 0;
    seen.set(row.color, place + 1);
    return { ownColor: row.color, color: shownColor(row.color), symbol: SYMBOLS[place % SYMBOLS.length], dash: DASHES[place % DASHES.length] };
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
