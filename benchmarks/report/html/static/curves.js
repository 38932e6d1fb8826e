const curveState = { what: "top1_pct", by: "epoch", train: true };
const CURVE_TITLES = { top1_pct: "top-1, %", loss: "loss" };
const BY_TITLES = { epoch: "epochs", elapsed_s: "seconds of training" };

function renderCurves(set, isShown) {
  const box = byId("curves");
  if (!set.rows.some((row) => row.curves)) {
    box.replaceChildren(el("h3", {}, "Learning curves"), el("p", { class: "hint" }, "None of these runs has a history."));
    return;
  }
  const chart = el("div", { class: "chart", role: "img" });
  const redraw = () => drawCurves(chart, set, isShown);
  const set_ = (name) => (value) => {
    curveState[name] = value;
    redraw();
  };
  const controls = [
    choice("show", Object.entries(CURVE_TITLES).map(([value, text]) => [value, text === "loss" ? "loss" : "accuracy"]), curveState.what, set_("what")),
    choice("by", Object.entries(BY_TITLES), curveState.by, set_("by")),
  ];
  const validated = set.rows.some((row) => row.curves?.val_top1_pct || row.curves?.val_loss);
  if (validated) controls.push(checkbox("show training", curveState.train, set_("train")));
  const several = set.rows.some((row) => row.curves?.num_runs > 1);
  const lines = validated ? "Thick: validation; thin: training. " : "Training only: these runs have no validation. ";
  box.replaceChildren(
    el("h3", {}, "Learning curves"), el("div", { class: "controls" }, controls), chart,
    el("p", { class: "hint" }, `${lines}${several ? "Means over seeds; bands from minimum to maximum." : "One run each."}`),
  );
  redraw();
}

function drawCurves(chart, set, isShown) {
  const styles = looks(set.rows);
  const traces = [];
  set.rows.forEach((row, at) => {
    if (!row.curves || !isShown(at)) return;
    const splits = ["val", "train"].filter((split) => row.curves[`${split}_${curveState.what}`]);
    for (const split of splits) {
      if (split === "val" || curveState.train || !splits.includes("val")) traces.push(...curveTraces(row, split, styles[at]));
    }
  });
  chart.setAttribute("aria-label", `Learning curves, ${CURVE_TITLES[curveState.what]} by ${BY_TITLES[curveState.by]}, of ${set.rows.filter((row, at) => row.curves && isShown(at)).map((row) => row.label).join(", ")}`);
  const longest = Math.max(0, ...set.rows.map((row) => row.curves?.epoch.length ?? 0));
  const x = curveState.by === "epoch" ? { tickformat: "d", ...(longest <= 12 ? { dtick: 1 } : {}) } : { rangemode: "tozero" };
  draw(chart, traces, { xaxis: axis(BY_TITLES[curveState.by], x), yaxis: axis(CURVE_TITLES[curveState.what]) });
}

function curveTraces(row, split, style) {
  const curve = row.curves[`${split}_${curveState.what}`];
  const places = curve.mean.map((_, at) => at).filter((at) => curve.mean[at] !== null && row.curves[curveState.by][at] !== null);
  const x = places.map((at) => row.curves[curveState.by][at]);
  const pick = (name) => places.map((at) => curve[name][at]);
  const isMain = split === "val" || !row.curves[`val_${curveState.what}`];
  const name = plotText(`${row.label}, ${split === "val" ? "validation" : "training"}`);
  const line = {
    x, y: pick("mean"), mode: x.length > 1 && x.length > 12 ? "lines" : "lines+markers", name, hoverinfo: "text",
    hovertext: pick("mean").map((value, at) => `${name}: ${significant(value, 4)} after ${significant(x[at])} ${BY_TITLES[curveState.by]}`),
    line: { color: style.color, width: isMain ? 2.4 : 1.1, dash: style.dash }, marker: { size: isMain ? 7 : 4, symbol: style.symbol, color: style.color },
  };
  if (row.curves.num_runs < 2 || !isMain) return [line];
  const band = {
    x: [...x, ...[...x].reverse()], y: [...pick("high"), ...pick("low").reverse()], fill: "toself", mode: "lines", hoverinfo: "skip",
    line: { width: 0 }, fillcolor: faded(style.color, 0.16),
  };
  return [band, line];
}
