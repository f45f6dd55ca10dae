// What is known of the symbol under the cursor.

class Inspector {
  constructor(pane) {
    Object.assign(this, { pane, run: pane.run, app: pane.app });
    const part = (name, tag = "div") => (this[name] = element(tag, { class: name }));
    pane.root
      .querySelector(".inspector")
      .append(
        element(
          "div",
          { class: "headline" },
          part("glyph"),
          element("div", {}, part("place"), part("numbers")),
        ),
        element("h3", { text: "Predicted" }),
        part("guesses", "ol"),
        element("h3", { text: "Depended on" }),
        part("lagChart"),
        part("memory", "p"),
        part("inputs", "ol"),
        element("h3", { text: "Units far from their mean here" }),
        part("standout"),
      );
  }

  show() {
    const { run, app } = this;
    const i = app.current;
    const symbol = run.symbol(i);
    this.glyph.textContent = symbol.kind === "space" ? "␣" : symbol.shown;
    this.glyph.classList.toggle("long", symbol.shown.length > 2);
    this.place.textContent = `${symbol.name} · ${counted(i + 1)} of ${counted(run.count)}`;
    if (!i) {
      this.numbers.textContent = "the first symbol is read, not predicted";
      for (const part of [this.guesses, this.lagChart, this.inputs]) part.replaceChildren();
      this.memory.textContent = "";
    } else {
      const [loss, expected] = [run.loss[i - 1], run.entropy[i - 1]];
      this.numbers.replaceChildren(
        element("b", { text: percent(Math.exp(-loss)) }),
        ` · loss ${rounded(loss)} nats, expected ${rounded(expected)}`,
        ` · rank ${counted(run.rank[i - 1])} of ${counted(run.vocabulary)}`,
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
      rows.push([
        run.table[run.likeliest[place]],
        run.probability[place],
        run.rank[i - 1] === k + 1,
      ]);
    }
    if (run.rank[i - 1] > run.most) rows.push([run.symbol(i), Math.exp(-run.loss[i - 1]), true]);
    this.guesses.replaceChildren(
      ...rows.map(([symbol, p, came]) => {
        const fill = element("span", { class: "fill" });
        fill.style.width = `${100 * p}%`;
        return element(
          "li",
          { class: came ? "came" : "" },
          element("bdi", {
            class: "sym",
            text: symbol.kind === "space" ? "␣" : symbol.shown,
            "aria-label": symbol.name,
          }),
          element("span", { class: "track", "aria-hidden": "true" }, fill),
          element("span", { class: "amount", text: percent(p) }),
          element("span", {
            class: "tick",
            text: came ? "✓" : "",
            "aria-label": came ? "came" : "",
          }),
        );
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
    const svg = drawn("svg", {
      viewBox: `0 0 ${width} ${height + 16}`,
      role: "img",
      "aria-label": `Connectivity by symbols back, from 0 to ${measure.lags - 1}`,
    });
    const step = width / measure.lags;
    const tall = (share) => height * (app.root ? Math.sqrt(share) : share);
    const path = shares
      .map(
        (share, lag) => `M${((lag + 0.5) * step).toFixed(1)} ${height}v${-tall(share).toFixed(1)}`,
      )
      .join("");
    svg.append(drawn("path", { class: "bars", d: path, "stroke-width": Math.max(1, step * 0.7) }));
    svg.append(drawn("line", { class: "grid", x1: 0, x2: width, y1: height, y2: height }));
    for (const t of ticks(0, measure.lags, 4).filter((t) => t < measure.lags)) {
      svg.append(
        drawn(
          "text",
          {
            class: "tick",
            x: (t + 0.5) * step,
            y: height + 13,
            "text-anchor": t ? "middle" : "start",
          },
          t ? shortened(t) : "0 back",
        ),
      );
    }
    this.lagChart.replaceChildren(svg);
    const numbers = measure.memory.map(({ label, values }) => `${label} ${rounded(values[i - 1])}`);
    const strongest = rounded(measure.largest[i - 1]);
    this.memory.textContent = `${numbers.join(", ")} symbols; strongest ${strongest}`;
    const order = shares
      .map((_, lag) => lag)
      .sort((a, b) => shares[b] - shares[a])
      .slice(0, 4);
    this.inputs.replaceChildren(
      ...order.map((lag) => {
        const symbol = run.symbol(i - 1 - lag);
        return element(
          "li",
          {},
          element("bdi", {
            class: "sym",
            text: symbol.kind === "space" ? "␣" : symbol.shown,
            "aria-label": symbol.name,
          }),
          ` ${lag ? `${lag} back` : "the last"}, ${percent(shares[lag] / total)}`,
        );
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
      ...far.map(([k, off]) =>
        element("button", {
          type: "button",
          class: "chip",
          text: `${run.units[k].name}  ${off > 0 ? "+" : "−"}${Math.abs(off).toFixed(1)} σ`,
          on: { click: () => this.app.tools.select(this.pane.index, k) },
        }),
      ),
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
    const unit =
      app.mode === "units"
        ? ` ${this.pane.pattern.name} at ${rounded(this.pane.pattern.values[i])}.`
        : "";
    const back = strongest ? `${strongest} back` : "the last";
    const [loss, cause] = [run.loss[i - 1], run.symbol(i - 1 - strongest).name];
    return (
      `${run.symbol(i).name}, predicted with ${percent(Math.exp(-loss))}, ` +
      `loss ${rounded(loss)} nats; likeliest ${best.name}; ` +
      `depended most on ${cause}, ${back}.${unit}`
    );
  }
}
