const compareState = { before: 0, after: 1 };
const RATES = DATA.rates;

function renderCompare() {
  const box = byId("compare-body");
  if (DATA.sweeps.length < 2) {
    box.replaceChildren(el("p", { class: "hint" }, "There is only one sweep, so nothing to compare."));
    return;
  }
  compareState.after = nearestSweep();
  const result = el("div");
  const show = () => result.replaceChildren(...comparison(DATA.sweeps[compareState.before], DATA.sweeps[compareState.after]));
  const pick = (label, side) => sweepChoice(label, compareState[side], (value) => {
    compareState[side] = Number(value);
    show();
  });
  box.replaceChildren(el("div", { class: "controls" }, pick("A", "before"), pick("B", "after")), result);
  show();
}

/** The first sweep beside the one chosen that has most rows in common with it. */
function nearestSweep() {
  const common = DATA.sweeps.map((sweep, at) => (at === compareState.before ? -1 : matched(DATA.sweeps[compareState.before].rows, sweep.rows).length));
  return common.indexOf(Math.max(...common));
}

function sweepChoice(label, chosen, changed) {
  const id = newId();
  const groups = DATA.machines.map((machine, place) => el("optgroup", { label: machine.name }, DATA.sweeps.map((sweep, at) =>
    (sweep.machine === place ? el("option", { value: at, selected: at === chosen }, sweep.name) : null))));
  return el("span", {}, el("label", { for: id }, label), el("select", { id, onchange: (event) => changed(event.target.value) }, groups));
}

/** Pairs of rows with the same label; of the models that are left on both sides, the most accurate row of each. */
function matched(before, after) {
  const found = before.map((row) => [row, after.find((other) => other.label === row.label)]).filter(([, other]) => other);
  const paired = new Set(found.flat());
  const left = [before, after].map((rows) => rows.filter((row) => !paired.has(row)));
  const matchedModels = new Set(found.map(([row]) => row.model));
  for (const model of new Set(left[0].map((row) => row.model))) {
    if (matchedModels.has(model)) continue;
    const pair = left.map((rows) => rows.find((row) => row.model === model));
    if (pair[0] && pair[1]) found.push(pair);
  }
  return found;
}

function comparison(before, after) {
  const pairs = matched(before.rows, after.rows);
  if (!pairs.length) return [el("p", { class: "hint" }, "A and B have no row in common.")];
  const columns = [
    { title: "model", is_word: true }, { title: "accuracy A, %" }, { title: "accuracy B, %" }, { title: "B − A, points" }, { title: "95% intervals", is_word: true },
    ...RATES.flatMap(([, title, unit]) => [{ title: `${title} A, ${unit}` }, { title: `${title} B, ${unit}` }, { title: `${title} B / A` }]),
  ];
  const rows = pairs.map(([one, other]) => {
    const change = other.test_top1_pct - one.test_top1_pct;
    const rates = RATES.flatMap(([name]) => [one[name], other[name], one[name] && other[name] ? other[name] / one[name] : null]);
    const written = (row, name) => row.texts[name] ?? significant(row[name]);
    const texts = RATES.flatMap(([name], at) => [written(one, name), written(other, name), significant(rates[3 * at + 2])]);
    const apart = one.test_top1_low_pct > other.test_top1_high_pct || other.test_top1_low_pct > one.test_top1_high_pct;
    return {
      header: one.label === other.label ? one.label : `${one.label} / ${other.label}`,
      texts: [fixed(one.test_top1_pct, 2), fixed(other.test_top1_pct, 2), `${change < 0 ? "−" : "+"}${fixed(Math.abs(change), 2)}`, apart ? "apart" : "overlap", ...texts],
      keys: [one.test_top1_pct, other.test_top1_pct, change, apart ? "apart" : "overlap", ...rates],
      classes: [null, null, apart ? "better" : null],
    };
  });
  const num = before.rows.length + after.rows.length - 2 * pairs.length;
  const left = num ? ` ${count(num, "row")} of A or B without a counterpart.` : "";
  const noise = [...new Set([before.machine, after.machine])].map((machine) => `${DATA.machines[machine].name}: ${DATA.machines[machine].noise}`).join(" ");
  return [
    sortableTable("B compared with A", columns, rows).container,
    el("p", { class: "hint" }, `Means over the seeds of each side.${left} Overlapping intervals don't decide which is better; python -m benchmarks.compare tests runs in pairs. ${noise}`),
  ];
}
