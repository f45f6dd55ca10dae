// Two hues, warm and cold, that colour-blind readers tell apart, each in steps from the page's own
// colour. The strongest of both leave the text on them readable, in light and in dark.

const STEPS = 64;

class Colours {
  constructor() {
    this.changed = [];
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => {
      this.read();
      for (const redraw of this.changed) redraw();
    });
    this.read();
  }

  read() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => toOklab(style.getPropertyValue(name).trim());
    const page = colour("--paper");
    this.warm = shades(page, colour("--warm"));
    this.cold = shades(page, colour("--cold"));
    this.ink = style.getPropertyValue("--ink").trim();
  }

  // of a value from -1, all cold, to 1, all warm; nothing at 0
  of(value) {
    const step = Math.round(Math.min(1, Math.abs(value)) * STEPS);
    if (!step) return "";
    return (value > 0 ? this.warm : this.cold)[step];
  }
}

function shades(from, to) {
  return Array.from({ length: STEPS + 1 }, (_, i) => {
    const t = i / STEPS;
    return toCss(from.map((a, k) => a + (to[k] - a) * t));
  });
}

function toOklab(hex) {
  const [r, g, b] = [1, 3, 5]
    .map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function toCss([lightness, a, b]) {
  return `oklab(${lightness.toFixed(4)} ${a.toFixed(4)} ${b.toFixed(4)})`;
}
