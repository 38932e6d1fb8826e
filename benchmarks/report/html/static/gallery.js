const galleryState = { label: "" };

function renderGallery(set) {
  const box = byId("mistakes-body");
  if (!set.gallery) {
    const reasons = set.reasons.length ? ` (${set.reasons.join("; ")})` : "";
    box.replaceChildren(el("p", { class: "hint" }, `Predictions of these runs are not available${reasons}.`));
    return;
  }
  const found = set.gallery, data = dataset(set.dataset);
  const parts = el("div", { class: "pair" });
  const share = (number) => `${fixed(number)} of ${fixed(found.num_images)} test images (${fixed((100 * number) / found.num_images, 2)}%)`;
  const show = () => parts.replaceChildren(
    galleryPart("Wrong in every run", `${share(found.num_wrong_for_all)}, possibly mislabelled; most confident first.`, found.wrong_for_all, set, data, (one) => `${fixed(100 * one.value)}% confidence`),
    galleryPart("Most disputed", found.num_disputed ? `Runs disagree on ${share(found.num_disputed)}; most disagreement between architectures first.` : "There is only one architecture, or all runs agree.", found.disputed, set, data, (one) => `${fixed(one.value, 2)} bit`),
  );
  const classes = [["", "all classes"], ...set.classes.map((name, at) => [String(at), name])];
  if (!classes.some(([value]) => value === galleryState.label)) galleryState.label = "";
  const pick = choice("True class", classes, galleryState.label, (label) => {
    galleryState.label = label;
    show();
  });
  box.replaceChildren(el("div", { class: "controls" }, pick), parts, ...(data.reason ? [el("p", { class: "hint" }, data.reason)] : []));
  show();
}

function galleryPart(title, text, images, set, data, value) {
  const chosen = images.filter((one) => galleryState.label === "" || data.labels[one.image] === Number(galleryState.label));
  const tiles = chosen.map((one) => {
    const truth = set.classes[data.labels[one.image]];
    const named = one.named.slice(0, 3).map(([label, runs]) => `${set.classes[label]} ${runs}`);
    const name = `Test image ${one.image}, labelled ${truth}; runs say ${named.join(", ")}`;
    return { canvas: () => picture(data, one.image, name), title: truth, lines: [named.join(", "), `#${one.image}`, value(one)] };
  });
  const left = chosen.length ? pictureList(tiles, 15) : [el("p", { class: "hint" }, "None of the images shown is of this class.")];
  return el("div", { class: "card" }, el("h3", {}, title), el("p", { class: "hint" }, text), ...(images.length ? left : []));
}
