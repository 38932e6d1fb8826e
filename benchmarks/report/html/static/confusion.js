const confusionState = { label: null };

function renderConfusion(set) {
  const rows = set.rows.map((row, at) => ({ ...row, at })).filter((row) => row.confusion);
  const box = byId("confusion-body");
  if (!rows.length) {
    box.replaceChildren(el("p", { class: "hint" }, "None of these runs was tested."));
    return;
  }
  if (!rows.some((row) => row.label === confusionState.label)) confusionState.label = rows[0].label;
  const area = el("div", { class: "matrix-pair" });
  const show = () => showMatrix(area, set, rows.find((row) => row.label === confusionState.label));
  const pick = choice("Model", rows.map((row) => [row.label, row.label]), confusionState.label, (label) => {
    confusionState.label = label;
    show();
  });
  box.replaceChildren(
    el("div", { class: "controls" }, pick),
    el("p", { class: "hint" }, "Test images by true class (rows) and predicted class (columns). Click a cell to see its images, or use the arrow keys and Enter."),
    area,
  );
  show();
}

function showMatrix(area, set, row) {
  const { counts, num_runs: numRuns } = row.confusion;
  const panel = el("div", { class: "card panel", role: "region", tabindex: "0", "aria-label": "Images of the selected cell" });
  const [worst, places] = worstCell(counts);
  const buttons = counts.map((line, truth) => line.map((number, predicted) => cell(number, truth, predicted)));

  function cell(number, truth, predicted) {
    const isRight = truth === predicted;
    const what = isRight ? `${set.classes[truth]} classified correctly` : `${set.classes[truth]} taken for ${set.classes[predicted]}`;
    const button = el("button", {
      type: "button", tabindex: "-1", "aria-pressed": "false", "aria-label": `${fixed(number)}: ${what}`,
      onclick: () => choose(truth, predicted), onkeydown: (event) => move(event, truth, predicted),
    }, fixed(number));
    const total = counts[truth].reduce((sum, value) => sum + value, 0);
    const share = isRight ? 0.1 + 0.35 * (number / Math.max(total, 1)) : 0.55 * Math.sqrt(number / Math.max(worst, 1));
    if (number) button.style.background = `rgb(${themeColor(isRight ? "right" : "wrong")} / ${share.toFixed(3)})`;
    return button;
  }

  function choose(truth, predicted) {
    for (const button of buttons.flat()) {
      button.setAttribute("aria-pressed", "false");
      button.tabIndex = -1;
    }
    buttons[truth][predicted].setAttribute("aria-pressed", "true");
    buttons[truth][predicted].tabIndex = 0;
    showCell(panel, set, row, truth, predicted);
  }

  function move(event, truth, predicted) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const next = step && buttons[truth + step[0]]?.[predicted + step[1]];
    if (step) event.preventDefault();
    if (!next) return;
    buttons[truth][predicted].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  const recall = (line, truth) => fixed((100 * line[truth]) / Math.max(line.reduce((sum, value) => sum + value, 0), 1), 1);
  const head = el("tr", {}, el("th", { scope: "col" }, el("span", { class: "hidden" }, "true class")),
    set.classes.map((name) => el("th", { scope: "col" }, el("span", {}, name))), el("th", { scope: "col" }, el("span", {}, "recall, %")));
  const body = buttons.map((line, truth) => el("tr", {}, el("th", { scope: "row" }, set.classes[truth]), line.map((button) => el("td", {}, button)), el("td", { class: "recall" }, recall(counts[truth], truth))));
  const caption = `${row.label}: ${numRuns > 1 ? `summed over ${numRuns} seeds` : "one run"}`;
  area.replaceChildren(
    el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": `Confusion matrix of ${row.label}, scrolls` },
      el("table", { class: "matrix" }, el("caption", {}, caption), el("thead", {}, head), el("tbody", {}, body))),
    panel,
  );
  choose(...places);
}

/** The largest count beside the diagonal, and where it is. */
function worstCell(counts) {
  let found = [0, [0, 0]];
  counts.forEach((line, truth) => line.forEach((number, predicted) => {
    if (truth !== predicted && number > found[0]) found = [number, [truth, predicted]];
  }));
  return found;
}

function showCell(panel, set, row, truth, predicted) {
  const isRight = truth === predicted;
  const title = isRight ? `${set.classes[truth]}, classified correctly` : `${set.classes[truth]} taken for ${set.classes[predicted]}`;
  const number = row.confusion.counts[truth][predicted];
  const data = dataset(set.dataset), packed = set.errors[row.at];
  const lines = [`${count(number, "time")} in ${count(row.confusion.num_runs, "run")}.`];
  let tiles = [];
  if (!number) lines.push("No images.");
  else if (!packed) lines.push(...missingReasons(set, row));
  else {
    const found = isRight ? rightImages(data, unpacked(packed), truth) : wrongImages(data, unpacked(packed), truth, predicted);
    tiles = found.filter((one) => data.places.has(one.image)).map((one) => tile(data, one, row, title));
    if (!data.atlas) lines.push(data.reason);
    else if (isRight) lines.push(`${count(tiles.length, "image")} classified correctly by every run, among the pictures on this page.`);
    else lines.push(`${count(found.length, "test image")}${tiles.length < found.length ? `, ${fixed(tiles.length)} of them with a picture on this page` : ""}.`);
  }
  panel.replaceChildren(el("h3", {}, title), el("p", { class: "hint", role: "status" }, lines.join(" ")), ...(tiles.length ? pictureList(tiles) : []));
  panel.scrollTop = 0;
}

function missingReasons(set, row) {
  if (row.num_voting) return ["Images omitted: the page would be too large."];
  return [`Predictions not available${set.reasons.length ? ` (${set.reasons.join("; ")})` : ""}.`];
}

/** Those that most runs take for that class first, then those of which they are surest. */
function wrongImages(data, errors, truth, predicted) {
  return errors
    .filter((one) => one.predicted === predicted && data.labels[one.image] === truth)
    .sort((one, other) => other.runs - one.runs || other.confidence_pct - one.confidence_pct || one.image - other.image);
}

function rightImages(data, errors, truth) {
  const wrong = new Set(errors.map((one) => one.image));
  return (data.atlas?.images ?? []).filter((image) => data.labels[image] === truth && !wrong.has(image)).map((image) => ({ image })).sort((one, other) => one.image - other.image);
}

function tile(data, one, row, what) {
  const lines = one.runs === undefined ? [] : [row.num_voting > 1 ? `${one.runs} of ${row.num_voting} runs` : null, `${one.confidence_pct}% confidence`].filter(Boolean);
  return { canvas: () => picture(data, one.image, `Test image ${one.image}: ${what}`), title: `#${one.image}`, lines };
}
