const DARK = window.matchMedia("(prefers-color-scheme: dark)");

function themeColor(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function channels(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

/** Relative luminance as WCAG 2.2 defines it. */
function luminance(rgb) {
  const [red, green, blue] = rgb.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** A model's colour; on a dark page those that could not be seen there are lightened, as far as it takes. */
function shownColor(hex) {
  let rgb = channels(hex);
  if (DARK.matches) {
    const behind = luminance(channels(themeColor("card")));
    while ((luminance(rgb) + 0.05) / (behind + 0.05) < 3.5) rgb = rgb.map((value) => Math.round(value + (255 - value) * 0.1 + 1));
  }
  return `rgb(${rgb.join(", ")})`;
}

function faded(color, alpha) {
  return color.replace("rgb(", "rgba(").replace(")", `, ${alpha})`);
}
