"use strict";

// What the page shows; text from records only ever becomes text nodes and attributes, never markup.
const DATA = JSON.parse(document.getElementById("data").textContent);
const MISSING = "—";

/** An element. Attributes that begin with "on" are listeners; null and false leave an attribute out. */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

function byId(id) {
  return document.getElementById(id);
}

/** A number with so many decimals and separators for thousands. */
function fixed(value, decimals = 0) {
  if (value === null || value === undefined) return MISSING;
  return value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/** A number with so many significant digits. */
function significant(value, digits = 3) {
  if (value === null || value === undefined) return MISSING;
  const whole = Math.abs(value) >= 1 ? Math.floor(Math.log10(Math.abs(value))) + 1 : 0;
  return whole ? fixed(value, Math.max(0, digits - whole)) : String(Number(value.toPrecision(digits)));
}

function count(number, noun) {
  return `${fixed(number)} ${noun}${number === 1 ? "" : "s"}`;
}

let lastId = 0;

function newId() {
  lastId += 1;
  return `made-${lastId}`;
}

/** A labelled choice; `options` are pairs of value and text, `changed` gets the value. */
function choice(label, options, chosen, changed) {
  const id = newId();
  const made = options.map(([value, text]) => el("option", { value, selected: value === chosen }, text));
  return el("span", {}, el("label", { for: id }, label), el("select", { id, onchange: (event) => changed(event.target.value) }, made));
}

function checkbox(label, checked, changed) {
  return el("label", {}, el("input", { type: "checkbox", checked, onchange: (event) => changed(event.target.checked) }), label);
}

/** A small shape in a colour, as points have it in plots. */
function swatch(color, symbol = "circle") {
  const mark = el("span", { class: `swatch ${symbol}`, "aria-hidden": "true" });
  mark.style.background = shownColor(color);
  return mark;
}

/** A part that opens on a click; nothing where it has no content. */
function foldout(summary, ...content) {
  const found = content.flat().filter(Boolean);
  return found.length ? el("details", {}, el("summary", {}, summary), found) : null;
}
