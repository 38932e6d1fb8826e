const PART_TITLES = {
  import_s: "import", data_s: "data", build_s: "build", probe_s: "selecting precision", first_step_s: "first step (compile)",
  train_s: "training", eval_s: "evaluation", measure_s: "measuring", profile_s: "profile", write_s: "writing", other_s: "other",
};
// Tol (2021), qualitative "muted", with training in the blue of the page.
const PART_COLORS = {
  import_s: "#999933", data_s: "#117733", build_s: "#DDCC77", probe_s: "#CC6677", first_step_s: "#882255", train_s: "#0072B2",
  eval_s: "#88CCEE", measure_s: "#44AA99", profile_s: "#AA4499", write_s: "#332288", other_s: "#BBBBBB",
};

function renderLedger(set, isShown) {
  const box = byId("ledger-body");
  const rows = set.rows.map((row, at) => ({ ...row, at })).filter((row) => row.ledger && row.ledger.some((value) => value !== null));
  if (!rows.length) {
    box.replaceChildren(el("p", { class: "hint" }, "None of these runs succeeded."));
    return;
  }
  const parts = DATA.ledger_parts.map((name, at) => ({ name, at })).filter(({ at }) => rows.some((row) => row.ledger[at]));
  const shown = rows.filter((row) => isShown(row.at));
  const chart = el("div", { class: "chart", role: "img", "aria-label": `Seconds of a run by part, of ${shown.map((row) => row.label).join(", ")}; the table below has the numbers` });
  chart.style.height = `${Math.max(9, 5 + 1.9 * shown.length)}rem`;
  const total = (row) => row.ledger.reduce((sum, value) => sum + (value ?? 0), 0);
  const key = el("div", { class: "controls" }, parts.map(({ name }) => el("span", { class: "hint" }, swatch(PART_COLORS[name], "square"), PART_TITLES[name] ?? name)));
  const styles = looks(set.rows);
  const table = sortableTable(
    `Seconds by part: ${set.title}`,
    [{ title: "model", is_word: true }, ...parts.map(({ name }) => ({ title: PART_TITLES[name] ?? name })), { title: "together" }],
    rows.map((row) => ({
      header: row.label, look: styles[row.at],
      texts: [...parts.map(({ at }) => significant(row.ledger[at])), significant(total(row))], keys: [...parts.map(({ at }) => row.ledger[at]), total(row)],
    })),
  );
  box.replaceChildren(
    el("div", { class: "card" }, key, chart, el("p", { class: "hint" }, "Seconds per run, mean over seeds, of the models selected above. Throughput excludes compilation.")),
    foldout("As a table", table.container),
  );
  const traces = parts.map(({ name, at }) => ({
    type: "bar", orientation: "h", y: shown.map((row) => plotText(row.label)), x: shown.map((row) => row.ledger[at] ?? 0), marker: { color: shownColor(PART_COLORS[name]) },
    hoverinfo: "text", textposition: "none", hovertext: shown.map((row) => plotText(`${row.label}, ${PART_TITLES[name] ?? name}: ${significant(row.ledger[at])} s`)),
  }));
  draw(chart, traces, { barmode: "stack", bargap: 0.3, dragmode: false, xaxis: axis("seconds"), yaxis: axis("", { autorange: "reversed", type: "category", color: themeColor("ink"), gridcolor: "rgba(0,0,0,0)" }) });
}
