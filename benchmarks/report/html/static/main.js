const MOST_TOGGLED = 8;
const pageState = { set: 0, shown: new Set() };

/** The rows that plots begin with: all where they are few, else the best of each model, or of the only one. */
function firstShown(set) {
  const all = set.rows.map((_, at) => at), best = bestOfEach(set);
  return new Set(all.length > MOST_TOGGLED && best.length > 1 ? best : all.slice(0, MOST_TOGGLED));
}

function bestOfEach(set) {
  const models = set.rows.map((row) => row.model);
  return models.map((model, at) => (models.indexOf(model) === at ? at : -1)).filter((at) => at >= 0);
}

function renderToggles(set) {
  const styles = looks(set.rows);
  const boxes = set.rows.map((row, at) => {
    const input = el("input", { type: "checkbox", checked: pageState.shown.has(at), onchange: (event) => toggle([at], event.target.checked) });
    return el("label", {}, input, swatch(row.color, styles[at].symbol), row.label);
  });
  const button = (text, places) => el("button", { type: "button", class: "plain", onclick: () => {
    pageState.shown = new Set(places());
    boxes.forEach((box, at) => (box.firstChild.checked = pageState.shown.has(at)));
    renderPlots(set);
  } }, text);
  const buttons = [button("All", () => set.rows.keys()), button("None", () => []), button("Best of each model", () => bestOfEach(set))];
  byId("toggles").replaceChildren(el("fieldset", { class: "toggles" },
    el("legend", {}, "Models in the plots"), el("div", { class: "line" }, el("div", { class: "buttons" }, buttons), el("div", { class: "choices" }, boxes))));

  function toggle(places, shown) {
    for (const at of places) {
      if (shown) pageState.shown.add(at);
      else pageState.shown.delete(at);
    }
    renderPlots(set);
  }
}

function renderPlots(set) {
  const isShown = (at) => pageState.shown.has(at);
  renderPoints(set, isShown);
  renderCurves(set, isShown);
  renderLedger(set, isShown);
}

function renderTiles(set) {
  const best = (name) => set.points.reduce((found, point, at) => (point[name] !== null && (found === null || point[name] > set.points[found][name]) ? at : found), null);
  const tile = (value, text) => el("li", {}, el("b", {}, value), el("span", {}, text));
  const [good, fast, quick] = ["top1_pct", "train_img_per_s", "infer_img_per_s"].map(best);
  const tiles = [];
  if (good !== null) tiles.push(tile(`${fixed(set.points[good].top1_pct, 2)}%`, `best test accuracy: ${set.rows[good].label}`));
  if (fast !== null) tiles.push(tile(`${set.points[fast].texts.train_img_per_s} img/s`, `fastest in training: ${set.rows[fast].label}`));
  if (quick !== null) tiles.push(tile(`${set.points[quick].texts.infer_img_per_s} img/s`, `fastest in inference: ${set.rows[quick].label}`));
  if (set.gallery) tiles.push(tile(count(set.gallery.num_wrong_for_all, "image"), `wrong in all ${count(set.gallery.num_runs, "run")}, of ${fixed(set.gallery.num_images)}`));
  byId("tiles").replaceChildren(...tiles);
}

function show(place) {
  const set = DATA.sets[place], machine = DATA.machines[set.machine];
  pageState.set = place;
  pageState.shown = firstShown(set);
  byId("machine-line").textContent = `${machine.hardware}; ${count(machine.num_runs, "run")}, ${machine.dates}`;
  const ofMachine = DATA.sweeps.findIndex((sweep) => sweep.machine === set.machine && sweep.name === `${set.title}: latest runs`);
  compareState.before = Math.max(0, ofMachine);
  render();
}

function render() {
  const set = DATA.sets[pageState.set];
  renderTiles(set);
  renderToggles(set);
  renderPlots(set);
  renderTables(set);
  renderConfusion(set);
  renderGallery(set);
  renderCompare();
  renderEnvironment(set);
}

const picker = byId("set");
picker.append(...DATA.machines.map((machine, place) => el("optgroup", { label: machine.name },
  DATA.sets.map((set, at) => (set.machine === place ? el("option", { value: at }, set.title) : null)))));
picker.addEventListener("change", () => show(Number(picker.value)));
DARK.addEventListener("change", render);
let drawnWidth = window.innerWidth;
window.addEventListener("resize", () => {  // a phone that is turned: labels have other places
  if (window.innerWidth === drawnWidth) return;
  drawnWidth = window.innerWidth;
  renderPlots(DATA.sets[pageState.set]);
});
show(0);
// For whoever takes a picture: all is drawn, pictures of test images included.
window.fmnistZooShown = Promise.all(Object.values(datasets).map((data) => data.sheet)).then(() => new Promise((done) => {
  requestAnimationFrame(() => requestAnimationFrame(() => done(true)));
}));
