// The text of one run, coloured, and beside it what is known of the symbol under the cursor.

class Pane {
  constructor(run, index, app) {
    Object.assign(this, { run, index, app });
    this.root = document.getElementById(`pane-${index}`);
    this.text = document.getElementById(`text-${index}`);
    this.strip = this.root.querySelector(".strip");
    this.legend = this.root.querySelector(".legend");
    this.inspector = this.root.querySelector(".inspector");
    this.pattern = new Pattern(run, [{ unit: 0, sign: 1 }]);
    this.painted = [];
    this.marked = 0;
    this.write();
    this.inspectorParts();
    this.listen();
    new ResizeObserver(() => this.drawStrip()).observe(this.strip);
  }

  write() {
    const { run, index } = this;
    const separate = this.app.level !== "character";
    const all = document.createDocumentFragment();
    this.spans = Array.from({ length: run.count }, (_, i) => {
      const { shown, kind, name, unknown } = run.symbol(i);
      const span = element("span", { id: `s${index}-${i}`, class: `s ${kind}${unknown ? " unknown" : ""}`, role: "option", "aria-selected": "false" });
      span.dataset.i = i;
      span.textContent = shown;
      if (kind !== "plain" || unknown) span.setAttribute("aria-label", unknown ? `${name}, not in the vocabulary` : name);
      all.append(span);
      if (kind === "line") all.append(document.createElement("br"));
      else if (separate) all.append(" ");
      return span;
    });
    this.text.append(all);
  }

  listen() {
    const place = (event) => {
      const span = event.target.closest?.(".s");
      return span ? Number(span.dataset.i) : null;
    };
    let from = null;
    this.text.addEventListener("pointermove", (event) => {
      const i = place(event);
      if (i === null || event.pointerType === "touch") return;
      if (from !== null && i !== from) this.app.choose(from, i);
      this.app.hover(i);
    });
    this.text.addEventListener("pointerleave", () => this.app.hover(null));
    this.text.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "touch" && event.button === 0) from = place(event);
    });
    addEventListener("pointerup", () => (from = null));
    this.text.addEventListener("click", (event) => {
      const i = place(event);
      this.column = null;
      if (i !== null) this.app.tap(i);
    });
    this.text.addEventListener("keydown", (event) => this.key(event));
    this.strip.addEventListener("click", (event) => {
      const box = this.strip.getBoundingClientRect();
      this.app.pin(Math.floor(((event.clientX - box.left) / box.width) * this.run.count), true);
    });
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const { at } = this.app;
    const to = {
      ArrowLeft: () => at - 1,
      ArrowRight: () => at + 1,
      ArrowUp: () => this.line(-1),
      ArrowDown: () => this.line(1),
      Home: () => 0,
      End: () => this.run.count - 1,
      PageUp: () => at - 200,
      PageDown: () => at + 200,
    }[event.key];
    if (!to) return;
    event.preventDefault();
    if (!["ArrowUp", "ArrowDown"].includes(event.key)) this.column = null;
    this.app.walk(to(), event.shiftKey);
  }

  // the symbol above or below the cursor, as the lines are drawn
  line(direction) {
    const { at } = this.app;
    const here = this.spans[at].getBoundingClientRect();
    // over several lines the cursor keeps to the column that it came from
    this.column ??= here.left - this.text.getBoundingClientRect().left;
    const column = this.column + this.text.getBoundingClientRect().left;
    let best = at;
    let row = null;
    for (let i = at + direction; i >= 0 && i < this.run.count; i += direction) {
      const box = this.spans[i].getBoundingClientRect();
      const apart = direction * (box.top - here.top) > here.height / 2;
      if (!apart) continue;
      row ??= box.top;
      if (Math.abs(box.top - row) > here.height / 2) break;
      const off = (k) => Math.abs(this.spans[k].getBoundingClientRect().left - column);
      if (best === at || off(i) < off(best)) best = i;
    }
    return best;
  }

  // --- colours

  colour(i) {
    const { mode } = this.app;
    if (mode === "units") return this.pattern.colour(i);
    if (!i) return 0;
    if (mode === "difference") {
      const [mine, other] = [this.run, this.app.panes[1 - this.index].run];
      return (mine.loss[i - 1] - other.loss[i - 1]) / this.app.topDifference;
    }
    return this.run.loss[i - 1] / this.run.topLoss;
  }

  paint() {
    const whole = this.app.mode !== "depends";
    for (const i of this.painted) this.spans[i].style.backgroundColor = "";
    this.painted = [];
    if (whole) {
      for (let i = 0; i < this.run.count; i++) this.put(i, this.colour(i));
    } else this.paintDepends();
    this.drawStrip();
    this.explain();
  }

  paintDepends() {
    for (const i of this.painted) this.spans[i].style.backgroundColor = "";
    this.painted = [];
    const { current, measure, root } = this.app;
    if (!current) return;
    const { lags } = this.run.measures[measure];
    for (let lag = 0; lag < Math.min(lags, current); lag++) {
      const share = this.run.share(measure, current, lag);
      this.put(current - 1 - lag, root ? Math.sqrt(share) : share);
    }
  }

  put(i, value) {
    const colour = this.app.colours.of(value);
    if (!colour) return;
    this.spans[i].style.backgroundColor = colour;
    this.painted.push(i);
  }

  drawStrip() {
    const { strip, run } = this;
    const width = Math.round(strip.clientWidth * devicePixelRatio);
    if (!width) return;
    strip.width = width;
    const context = strip.getContext("2d");
    context.clearRect(0, 0, width, strip.height);
    // of the symbols that share a column the one furthest from nothing
    for (let x = 0; x < width; x++) {
      const first = Math.floor((x / width) * run.count);
      const end = Math.max(first + 1, Math.floor(((x + 1) / width) * run.count));
      let most = 0;
      for (let i = first; i < end; i++) {
        const value = this.colour(i);
        if (Math.abs(value) > Math.abs(most)) most = value;
      }
      context.fillStyle = this.app.colours.of(most) || "transparent";
      context.fillRect(x, 0, 1, strip.height);
    }
    context.fillStyle = this.app.colours.ink;
    context.fillRect((this.app.at / run.count) * width - 1, 0, 2, strip.height);
  }

  explain() {
    const { mode, measure, root } = this.app;
    const bar = (low, high, two) => element("span", { class: `ramp ${two ? "two" : "one"}${root && mode === "depends" ? " root" : ""}` });
    const parts = {
      depends: () => [
        "nothing", bar(), "as much as the strongest",
        measure === "squared" ? "· squared norm of the logit's gradient" : "· sum of roots of the loss's gradient",
      ],
      surprise: () => ["0", bar(), `${rounded(this.run.topLoss)} nats or more`, `· loss; ln V = ${rounded(Math.log(this.run.vocabulary))} nats is a blind guess`],
      difference: () => [`−${rounded(this.app.topDifference)}`, bar(0, 0, true), `+${rounded(this.app.topDifference)} nats`, "· loss here minus loss of the other run"],
      units: () => {
        const { low, high, middle, single, reach } = this.pattern;
        const sides = low < middle && middle < high;
        const ends = sides ? [middle - reach, middle + reach] : [low, high];
        const unit = single ? "" : "mean share of the units' ranges";
        return [rounded(ends[0]), bar(0, 0, sides), rounded(ends[1]), `· ${this.pattern.name}${unit && `, ${unit}`}; from ${rounded(low)} to ${rounded(high)} in this text`];
      },
    }[mode]();
    const about = { depends: "surprise along the whole text", surprise: "surprise along the whole text", difference: "the same along the whole text", units: "the same along the whole text" }[mode];
    this.legend.replaceChildren(
      ...parts.map((part) => (typeof part === "string" ? element("span", { text: part }) : part)),
      element("span", { class: "quiet", text: `· strip above: ${about}; click it to go there` }),
    );
  }

  // --- the symbol under the cursor

  mark() {
    const { current, stretch } = this.app;
    this.spans[this.marked].classList.remove("at");
    this.marked = current;
    this.spans[current].classList.add("at");
    for (const span of this.text.querySelectorAll(".in")) {
      span.classList.remove("in");
      span.setAttribute("aria-selected", "false");
    }
    if (stretch) {
      for (let i = stretch[0]; i <= stretch[1]; i++) {
        this.spans[i].classList.add("in");
        this.spans[i].setAttribute("aria-selected", "true");
      }
    }
    this.text.setAttribute("aria-activedescendant", `s${this.index}-${this.app.at}`);
    if (this.app.mode === "depends") this.paintDepends();
    this.inspect();
  }

  reveal() {
    const [box, span] = [this.text, this.spans[this.app.at]];
    const top = span.offsetTop;
    if (top < box.scrollTop + 24) box.scrollTop = top - box.clientHeight / 3;
    else if (top + span.offsetHeight > box.scrollTop + box.clientHeight - 24) box.scrollTop = top - (2 * box.clientHeight) / 3;
  }

  inspectorParts() {
    const part = (name, tag = "div") => (this[name] = element(tag, { class: name }));
    this.inspector.append(
      element("div", { class: "headline" }, part("glyph"), element("div", {}, part("place"), part("numbers"))),
      element("h3", { text: "Predicted" }), part("guesses", "ol"),
      element("h3", { text: "Depended on" }), part("lagChart"), part("memory", "p"), part("inputs", "ol"),
      element("h3", { text: "Units far from their mean here" }), part("standout"),
    );
  }

  inspect() {
    const { run, app } = this;
    const i = app.current;
    const symbol = run.symbol(i);
    this.glyph.textContent = symbol.kind === "space" ? "␣" : symbol.shown;
    this.glyph.classList.toggle("long", symbol.shown.length > 2);
    this.place.textContent = `${symbol.name} · ${(i + 1).toLocaleString("en")} of ${run.count.toLocaleString("en")}`;
    if (!i) {
      this.numbers.textContent = "the first symbol is read, not predicted";
      for (const part of [this.guesses, this.lagChart, this.inputs]) part.replaceChildren();
      this.memory.textContent = "";
    } else {
      const [loss, expected] = [run.loss[i - 1], run.entropy[i - 1]];
      this.numbers.replaceChildren(
        element("b", { text: percent(Math.exp(-loss)) }),
        ` · loss ${rounded(loss)} nats, expected ${rounded(expected)} · rank ${run.rank[i - 1]} of ${run.vocabulary}`,
      );
      this.showGuesses(i);
      this.showLags(i);
    }
    this.showStandout(i);
  }

  showGuesses(i) {
    const { run } = this;
    const rows = [];
    for (let k = 0; k < run.most; k++) {
      const place = (i - 1) * run.most + k;
      rows.push([run.table[run.likeliest[place]], run.probability[place], run.rank[i - 1] === k + 1]);
    }
    if (run.rank[i - 1] > run.most) rows.push([run.symbol(i), Math.exp(-run.loss[i - 1]), true]);
    this.guesses.replaceChildren(
      ...rows.map(([symbol, p, came]) => {
        const fill = element("span", { class: "fill" });
        fill.style.width = `${100 * p}%`;
        return element("li", { class: came ? "came" : "" },
          element("bdi", { class: "sym", text: symbol.kind === "space" ? "␣" : symbol.shown, "aria-label": symbol.name }),
          element("span", { class: "track", "aria-hidden": "true" }, fill),
          element("span", { class: "amount", text: percent(p) }),
          element("span", { class: "tick", text: came ? "✓" : "", "aria-label": came ? "came" : "" }));
      }),
    );
  }

  showLags(i) {
    const { run, app } = this;
    const measure = run.measures[app.measure];
    const seen = Math.min(measure.lags, i);
    const shares = Array.from({ length: seen }, (_, lag) => run.share(app.measure, i, lag));
    const total = shares.reduce((a, b) => a + b, 0) || 1;
    const [width, height] = [300, 64];
    const svg = drawn("svg", { viewBox: `0 0 ${width} ${height + 16}`, role: "img", "aria-label": `Connectivity by symbols back, from 0 to ${measure.lags - 1}` });
    const step = width / measure.lags;
    const tall = (share) => height * (app.root ? Math.sqrt(share) : share);
    const path = shares.map((share, lag) => `M${((lag + 0.5) * step).toFixed(1)} ${height}v${-tall(share).toFixed(1)}`).join("");
    svg.append(drawn("path", { class: "bars", d: path, "stroke-width": Math.max(1, step * 0.7) }));
    svg.append(drawn("line", { class: "grid", x1: 0, x2: width, y1: height, y2: height }));
    for (const t of ticks(0, measure.lags, 4).filter((t) => t < measure.lags)) {
      svg.append(drawn("text", { class: "tick", x: (t + 0.5) * step, y: height + 13, "text-anchor": t ? "middle" : "start" }, t ? shortened(t) : "0 back"));
    }
    this.lagChart.replaceChildren(svg);
    const numbers = measure.memory.map(({ label, values }) => `${label} ${rounded(values[i - 1])}`);
    this.memory.textContent = `${numbers.join(", ")} symbols; strongest ${rounded(measure.largest[i - 1])}`;
    const order = shares.map((_, lag) => lag).sort((a, b) => shares[b] - shares[a]).slice(0, 4);
    this.inputs.replaceChildren(
      ...order.map((lag) => {
        const symbol = run.symbol(i - 1 - lag);
        return element("li", {},
          element("bdi", { class: "sym", text: symbol.kind === "space" ? "␣" : symbol.shown, "aria-label": symbol.name }),
          ` ${lag ? `${lag} back` : "the last"}, ${percent(shares[lag] / total)}`);
      }),
    );
  }

  showStandout(i) {
    const { run } = this;
    const far = run.units
      .map((unit, k) => [k, unit.deviation > 1 ? (unit.bytes[i] - unit.mean) / unit.deviation : 0])
      .sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]))
      .slice(0, 5);
    this.standout.replaceChildren(
      ...far.map(([k, off]) => element("button", {
        type: "button",
        class: "chip",
        text: `${run.units[k].name}  ${off > 0 ? "+" : "−"}${Math.abs(off).toFixed(1)} σ`,
        on: { click: () => this.app.tools.select(this.index, k) },
      })),
    );
  }

  // what a screen reader says of the symbol
  spoken() {
    const { run, app } = this;
    const i = app.at;
    if (!i) return `${run.symbol(0).name}, the first symbol, read and not predicted`;
    const best = run.table[run.likeliest[(i - 1) * run.most]];
    const { lags } = run.measures[app.measure];
    let strongest = 0;
    for (let lag = 1; lag < Math.min(lags, i); lag++) {
      if (run.share(app.measure, i, lag) > run.share(app.measure, i, strongest)) strongest = lag;
    }
    const unit = app.mode === "units" ? ` ${this.pattern.name} at ${rounded(this.pattern.values[i])}.` : "";
    return `${run.symbol(i).name}, predicted with ${percent(Math.exp(-run.loss[i - 1]))}, loss ${rounded(run.loss[i - 1])} nats; ` +
      `likeliest ${best.name}; depended most on ${run.symbol(i - 1 - strongest).name}, ${strongest ? `${strongest} back` : "the last"}.${unit}`;
  }
}
