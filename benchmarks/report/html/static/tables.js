/**
 * A table whose columns can be sorted, in a container that scrolls by itself.
 *
 * columns: {title, is_word}, the first one of row headers. rows: {header, texts, keys, look?, classes?}; keys are what a column
 * is sorted by, missing ones always last.
 */
function sortableTable(caption, columns, rows) {
  const body = el("tbody");
  const lines = rows.map((row, place) => {
    const header = el("th", { scope: "row" }, row.look ? swatch(row.look.ownColor, row.look.symbol) : null, row.header);
    const cells = row.texts.map((text, at) => {
      const kind = [columns[at + 1].is_word ? "word" : null, row.classes?.[at]].filter(Boolean).join(" ");
      return el("td", { class: kind || null }, text);
    });
    return { place, keys: [row.header, ...row.keys], words: [row.header, ...row.texts].join(" ").toLowerCase(), element: el("tr", {}, header, cells) };
  });
  const headers = columns.map((column, at) => {
    const button = el("button", { type: "button", onclick: () => sortBy(at) }, column.title);
    return el("th", { scope: "col", class: column.is_word ? "word" : null }, button);
  });
  const order = { at: null, down: false };

  function sortBy(at) {
    order.down = order.at === at ? !order.down : !columns[at].is_word;
    order.at = at;
    headers.forEach((header, place) => {
      if (place === at) header.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
    });
    lines.sort((one, other) => compareKeys(one.keys[at], other.keys[at], order.down) || one.place - other.place);
    body.append(...lines.map((line) => line.element));
  }

  body.append(...lines.map((line) => line.element));
  const table = el("table", { class: "data" }, el("caption", {}, caption), el("thead", {}, el("tr", {}, headers)), body);
  const container = el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": `${caption}, scrolls` }, table);
  return { container, lines };
}

function compareKeys(one, other, down) {
  if (one === null || other === null) return (one === null) - (other === null);
  const order = typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other), "en");
  return down ? -order : order;
}

const tableState = { chosen: "Accuracy", filter: "" };

function renderTables(set) {
  const styles = looks(set.rows), lookOf = new Map(set.rows.map((row, at) => [row.label, styles[at]]));
  const status = el("span", { role: "status", class: "hint" });
  const made = set.tables.map((table) => {
    const columns = [{ title: "model", is_word: true }, ...table.columns];
    const rows = table.labels.map((header, at) => ({ header, texts: table.texts[at], keys: table.keys[at], look: lookOf.get(header) }));
    return { table, ...sortableTable(`${table.name}: ${set.title}`, columns, rows) };
  });

  function filter(text) {
    tableState.filter = text;
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { lines } of made) {
      for (const line of lines) line.element.hidden = !words.every((word) => line.words.includes(word));
    }
    say();
  }

  function say() {
    const { lines } = made[current()];
    const shown = lines.filter((line) => !line.element.hidden).length;
    status.textContent = `${fixed(shown)} of ${count(lines.length, "row")}`;
  }

  function current() {
    return Math.max(0, made.findIndex(({ table }) => table.name === tableState.chosen));
  }

  function choose(at, focus = false) {
    tableState.chosen = made[at].table.name;
    tabs.forEach((tab, place) => {
      tab.setAttribute("aria-selected", String(place === at));
      tab.tabIndex = place === at ? 0 : -1;
      panels[place].hidden = place !== at;
    });
    if (focus) tabs[at].focus();
    say();
  }

  function move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    choose((current() + step + made.length) % made.length, true);
  }

  const ids = made.map(() => [newId(), newId()]);
  const tabs = made.map(({ table }, at) =>
    el("button", { type: "button", role: "tab", id: ids[at][0], "aria-controls": ids[at][1], onclick: () => choose(at), onkeydown: move }, table.name),
  );
  const panels = made.map(({ container, table }, at) =>
    el("div", { role: "tabpanel", id: ids[at][1], "aria-labelledby": ids[at][0] }, container, el("p", { class: "hint" }, table.caption)),
  );
  const id = newId();
  const input = el("input", { id, type: "search", value: tableState.filter, placeholder: "cnn bf16", oninput: (event) => filter(event.target.value) });
  byId("tables-body").replaceChildren(
    el("div", { class: "controls" },
      el("div", { class: "tabs", role: "tablist", "aria-label": "Tables" }, tabs),
      el("span", {}, el("label", { for: id }, "Filter rows"), input), status),
    ...panels,
    ...[
      foldout("Flags by row", set.notes.length ? el("ul", { class: "list" }, set.notes.map(([label, text]) => el("li", {}, el("b", {}, label), ` ${text}`))) : null),
      foldout(`Failed runs (${set.failures.length})`, set.failures.length ? el("ul", { class: "list" }, set.failures.map(failureLine)) : null),
    ].filter(Boolean),
  );
  choose(current());
  filter(tableState.filter);
}

function failureLine([label, seed, status, error]) {
  return el("li", {}, el("b", {}, label), ` seed ${seed}: ${status}. ${error ?? "no message"}`);
}
