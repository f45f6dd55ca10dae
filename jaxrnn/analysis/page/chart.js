// Small line charts in SVG, with their numbers as a table for those who do not see them.

const SVG = "http://www.w3.org/2000/svg";

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value;
    else if (name === "on")
      for (const [event, call] of Object.entries(value)) made.addEventListener(event, call);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function drawn(tag, attributes = {}, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
}

function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= raw) ?? raw;
  const found = [];
  for (let t = Math.ceil(low / step) * step; t <= high + step / 1e6; t += step) found.push(t);
  return found;
}

// powers of ten between two numbers, or where there are too few of them 1, 2 and 5 times these
function powers(low, high) {
  const found = [];
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const stride = Math.ceil((last - first) / 6);
  for (let power = first; power <= last; power++) {
    const within = (factor) => Number(`${factor}e${power}`);
    if (last - first > 3) {
      if (power % stride === 0) found.push(within(1));
    } else found.push(...[1, 2, 5].map(within));
  }
  return found.filter((t) => t >= low * 0.999 && t <= high * 1.001);
}

function shortened(number) {
  const size = Math.abs(number);
  if (size >= 1e4) return `${Number((number / 1000).toPrecision(3))}k`;
  if (size && size < 1e-3) return powerOfTen(number);
  return String(Number(number.toPrecision(3))).replace("-", "−");
}

// 3·10⁻⁴
function powerOfTen(number) {
  const [factor, power] = number.toExponential(0).split("e");
  const raised = power
    .replace("+", "")
    .replace(/[-\d]/g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]));
  return `${factor === "1" ? "" : `${factor}·`}10${raised}`;
}

function lineChart({ title, x_label, y_label, curves, logarithmic }, jump) {
  const [width, height, left, right, top, bottom] = [460, 230, 46, 12, 10, 34];
  const figure = element("figure", { class: "chart" });
  figure.append(element("figcaption", { text: title }));
  const usable = curves
    .map((curve) => ({ ...curve, points: curve.points.filter(([, y]) => !logarithmic || y > 0) }))
    .filter((curve) => curve.points.length);
  if (!usable.length) {
    figure.append(element("p", { class: "note", text: "nothing to draw here" }));
    return figure;
  }
  const scale = (y) => (logarithmic ? Math.log10(y) : y);
  const [x0, x1] = extremes(usable.flatMap((c) => c.points.map(([x]) => x)));
  let [y0, y1] = extremes(usable.flatMap((c) => c.points.map(([, y]) => scale(y))));
  if (!logarithmic) y0 = Math.min(y0, 0) < 0 ? y0 : Math.max(0, y0 - 0.15 * (y1 - y0));
  if (y1 - y0 < 1e-9) [y0, y1] = [y0 - 0.5, y1 + 0.5];
  const px = (x) => left + ((x - x0) / (x1 - x0 || 1)) * (width - left - right);
  const py = (y) => height - bottom - ((scale(y) - y0) / (y1 - y0)) * (height - top - bottom);
  const ends = usable.map(
    (c) => `${c.label}: from ${shortened(c.points[0][1])} to ${shortened(c.points.at(-1)[1])}`,
  );
  const svg = drawn("svg", {
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": `${title}. ${y_label} by ${x_label}. ${ends.join("; ")}`,
  });
  for (const t of logarithmic ? powers(10 ** y0, 10 ** y1) : ticks(y0, y1, 4)) {
    const y = py(t);
    svg.append(drawn("line", { class: "grid", x1: left, x2: width - right, y1: y, y2: y }));
    svg.append(
      drawn("text", { class: "tick", x: left - 6, y: y + 4, "text-anchor": "end" }, shortened(t)),
    );
  }
  for (const t of ticks(x0, x1, 5)) {
    const label = shortened(t);
    svg.append(
      drawn(
        "text",
        { class: "tick", x: px(t), y: height - bottom + 16, "text-anchor": "middle" },
        label,
      ),
    );
  }
  svg.append(
    drawn(
      "text",
      { class: "tick", x: (left + width - right) / 2, y: height - 3, "text-anchor": "middle" },
      x_label,
    ),
  );
  usable.forEach((curve, k) => {
    const path = curve.points.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join("L");
    const look = `curve c${(curve.hue ?? k) % 4} d${(curve.dash ?? 0) % 2}`;
    if (curve.points.length < 2) {
      const [[x, y]] = curve.points;
      svg.append(drawn("circle", { class: look, cx: px(x), cy: py(y), r: 3 }));
    } else svg.append(drawn("path", { class: look, d: `M${path}` }));
  });
  const rule = drawn("line", { class: "rule", y1: top, y2: height - bottom, visibility: "hidden" });
  svg.append(rule);
  const legend = element("ul", { class: "curve-legend" });
  const entries = usable.map((curve, k) => {
    const look = `c${(curve.hue ?? k) % 4} d${(curve.dash ?? 0) % 2}`;
    const key = drawn("svg", { class: "key", viewBox: "0 0 22 8", "aria-hidden": "true" });
    key.append(drawn("path", { class: `curve ${look}`, d: "M0 4H22" }));
    const number = element("output", { text: "" });
    legend.append(element("li", {}, key, element("bdi", { text: curve.label }), number));
    return number;
  });
  const place = (event) => {
    const box = svg.getBoundingClientRect();
    return (
      x0 +
      ((((event.clientX - box.left) / box.width) * width - left) / (width - left - right)) *
        (x1 - x0)
    );
  };
  svg.addEventListener("pointermove", (event) => {
    const x = Math.min(x1, Math.max(x0, place(event)));
    rule.setAttribute("visibility", "visible");
    usable.forEach((curve, k) => {
      const [nx, y] = nearest(curve.points, x);
      if (!k) for (const end of ["x1", "x2"]) rule.setAttribute(end, px(nx));
      entries[k].textContent = `${rounded(y)} at ${shortened(nx)}`;
    });
  });
  svg.addEventListener("pointerleave", () => {
    rule.setAttribute("visibility", "hidden");
    for (const number of entries) number.textContent = "";
  });
  if (jump) {
    svg.classList.add("jumps");
    svg.addEventListener("click", (event) => jump(Math.round(place(event))));
  }
  figure.append(
    element("p", { class: "axis", text: `${y_label}${logarithmic ? ", logarithmic" : ""}` }),
    svg,
    legend,
    numbers(usable, x_label),
  );
  return figure;
}

function nearest(points, x) {
  let [low, high] = [0, points.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle][0] <= x) low = middle;
    else high = middle;
  }
  return Math.abs(points[low][0] - x) <= Math.abs(points[high][0] - x) ? points[low] : points[high];
}

function numbers(curves, x_label) {
  const details = element(
    "details",
    { class: "as-numbers" },
    element("summary", { text: "as numbers" }),
  );
  details.addEventListener("toggle", () => {
    if (details.querySelector("table")) return;
    const table = element("table");
    table.append(
      element(
        "tr",
        {},
        ...[x_label, ...curves.map((c) => c.label)].map((text) =>
          element("th", { text, scope: "col" }),
        ),
      ),
    );
    const [first] = curves;
    const stride = Math.max(1, Math.ceil(first.points.length / 40));
    for (let i = 0; i < first.points.length; i += stride) {
      const x = first.points[i][0];
      const cells = curves.map((c) => rounded(nearest(c.points, x)[1]));
      table.append(
        element(
          "tr",
          {},
          element("th", { text: shortened(x), scope: "row" }),
          ...cells.map((text) => element("td", { text })),
        ),
      );
    }
    details.append(element("div", { class: "scroll" }, table));
  });
  return details;
}
