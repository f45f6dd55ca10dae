// The text of one run, coloured, with a cursor in it.

class Pane {
  constructor(run, index, app) {
    Object.assign(this, { run, index, app });
    this.root = document.getElementById(`pane-${index}`);
    this.text = document.getElementById(`text-${index}`);
    this.strip = this.root.querySelector(".strip");
    this.legend = this.root.querySelector(".legend");
    this.pattern = new Pattern(run, [{ unit: 0, sign: 1 }]);
    this.painted = [];
    this.marked = 0;
    this.write();
    this.inspector = new Inspector(this);
    this.listen();
    new ResizeObserver(() => this.drawStrip()).observe(this.strip);
  }

  write() {
    const { run, index } = this;
    const separate = this.app.level !== "character";
    const all = document.createDocumentFragment();
    this.spans = Array.from({ length: run.count }, (_, i) => {
      const { shown, kind, name, unknown } = run.symbol(i);
      const span = element("span", {
        id: `s${index}-${i}`,
        class: `s ${kind}${unknown ? " unknown" : ""}`,
        role: "option",
        "aria-selected": "false",
      });
      span.dataset.i = i;
      span.textContent = shown;
      if (kind !== "plain" || unknown)
        span.setAttribute("aria-label", unknown ? `${name}, not in the vocabulary` : name);
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
    const bar = (two) =>
      element("span", {
        class: `ramp ${two ? "two" : "one"}${root && mode === "depends" ? " root" : ""}`,
      });
    const parts = {
      depends: () => [
        "nothing",
        bar(),
        "as much as the strongest",
        measure === "squared"
          ? "· squared norm of the logit's gradient"
          : "· sum of roots of the loss's gradient",
      ],
      surprise: () => [
        "0",
        bar(),
        `${rounded(this.run.topLoss)} nats or more`,
        `· loss; ln V = ${rounded(Math.log(this.run.vocabulary))} nats is a blind guess`,
      ],
      difference: () => [
        `−${rounded(this.app.topDifference)}`,
        bar(true),
        `+${rounded(this.app.topDifference)} nats`,
        "· loss here minus loss of the other run",
      ],
      units: () => {
        const { low, high, middle, single, reach } = this.pattern;
        const sides = low < middle && middle < high;
        const ends = sides ? [middle - reach, middle + reach] : [low, high];
        const unit = single ? "" : ", mean share of the units' ranges";
        return [
          rounded(ends[0]),
          bar(sides),
          rounded(ends[1]),
          `· ${this.pattern.name}${unit}; from ${rounded(low)} to ${rounded(high)} in this text`,
        ];
      },
    }[mode]();
    const about = {
      depends: "surprise along the whole text",
      surprise: "surprise along the whole text",
      difference: "the same along the whole text",
      units: "the same along the whole text",
    }[mode];
    this.legend.replaceChildren(
      ...parts.map((part) => (typeof part === "string" ? element("span", { text: part }) : part)),
      element("span", { class: "quiet", text: `· strip above: ${about}; click it to go there` }),
    );
  }

  // --- the cursor

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
    this.inspector.show();
  }

  reveal() {
    const [box, span] = [this.text, this.spans[this.app.at]];
    const top = span.offsetTop;
    if (top < box.scrollTop + 24) box.scrollTop = top - box.clientHeight / 3;
    else if (top + span.offsetHeight > box.scrollTop + box.clientHeight - 24)
      box.scrollTop = top - (2 * box.clientHeight) / 3;
  }
}
