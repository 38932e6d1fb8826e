const datasets = {};

/** What the page knows of a dataset's test images: true classes, and a sheet of pictures once it is decoded. */
function dataset(checksum) {
  if (!checksum) return null;
  if (!(checksum in datasets)) {
    const { labels, atlas, reason } = DATA.datasets[checksum];
    const found = { labels: bytes(labels), reason, atlas, places: new Map(), sheet: null };
    if (atlas) {
      atlas.images.forEach((image, place) => found.places.set(image, place));
      const sheet = new Image();
      sheet.src = `data:image/png;base64,${atlas.png}`;
      found.sheet = sheet.decode().then(() => sheet);
    }
    datasets[checksum] = found;
  }
  return datasets[checksum];
}

function bytes(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** What a row's runs get wrong: {image, predicted, runs, confidence_pct}, five bytes each. */
function unpacked(text) {
  const view = new DataView(bytes(text).buffer);
  return Array.from({ length: view.byteLength / 5 }, (_, at) => ({
    image: view.getUint16(5 * at, true), predicted: view.getUint8(5 * at + 2), runs: view.getUint8(5 * at + 3), confidence_pct: view.getUint8(5 * at + 4),
  }));
}

/** A picture of a test image with its name for those who don't see it; null where the page has none. */
function picture(data, image, name) {
  const place = data.places.get(image);
  if (place === undefined) return null;
  const { columns, side } = data.atlas;
  const canvas = el("canvas", { width: side, height: side, role: "img", "aria-label": name });
  data.sheet.then((sheet) => canvas.getContext("2d").drawImage(sheet, (place % columns) * side, Math.floor(place / columns) * side, side, side, 0, 0, side, side));
  return canvas;
}

/** A list of pictures with lines below; the first of them, and a button for the rest. */
function pictureList(tiles, first = 24) {
  const list = el("ul", { class: "pictures", role: "list" });
  const add = (some) => list.append(...some.map(({ canvas, title, lines }) => el("li", {}, canvas(), el("b", {}, title), lines.map((line) => el("div", {}, line)))));
  add(tiles.slice(0, first));
  if (tiles.length <= first) return [list];
  const button = el("button", { type: "button", class: "plain more", onclick: () => {
    add(tiles.slice(first));
    list.children[first].tabIndex = -1;
    list.children[first].focus();
    button.remove();
  } }, `Show ${fixed(tiles.length - first)} more`);
  return [list, button];
}
