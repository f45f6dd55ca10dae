// Choosing units: one, or a pattern of several, and where in the text it is high.

class UnitTools {
  constructor(app) {
    this.app = app;
    for (const id of ["layer", "unit", "add", "chosen", "peaks"]) {
      this[id] = document.getElementById(id);
    }
    this.layer.addEventListener("change", () =>
      this.select(this.index, this.run.layers[this.layer.value].first),
    );
    this.unit.addEventListener("change", () => this.byNumber());
    this.add.addEventListener("click", () => this.toggle(this.focused, 1));
    for (const whose of document.querySelectorAll('input[name="whose"]')) {
      whose.addEventListener("change", () => this.of(Number(whose.value)));
    }
    this.chosenOf = app.panes.map(() => [{ unit: 0, sign: 1 }]);
    this.finder = new Finder(this);
    this.of(0);
  }

  get run() {
    return this.app.panes[this.index].run;
  }

  get now() {
    return this.chosenOf[this.index];
  }

  of(index) {
    this.index = index;
    for (const whose of document.querySelectorAll('input[name="whose"]'))
      whose.checked = Number(whose.value) === index;
    this.layer.replaceChildren(
      ...this.run.layers.map((layer, k) =>
        element("option", { value: k, text: `${layer.name} (${layer.numbers.length})` }),
      ),
    );
    this.focused = this.now[0].unit;
    this.show();
    this.finder.find();
  }

  byNumber() {
    const layer = this.run.layers[this.layer.value];
    const wanted = Number(this.unit.value);
    const there = layer.numbers.reduce((a, b) =>
      Math.abs(b - wanted) < Math.abs(a - wanted) ? b : a,
    );
    this.select(this.index, layer.first + layer.numbers.indexOf(there));
  }

  step(direction) {
    const { length } = this.run.units;
    this.select(this.index, (this.focused + direction + length) % length);
    const unit = this.run.units[this.focused];
    this.app.say(`${unit.name}, from ${rounded(unit.low)} to ${rounded(unit.high)}`);
  }

  // one unit alone
  select(index, unit, sign = 1) {
    this.choose(index, [{ unit, sign }]);
  }

  choose(index, chosen) {
    if (index !== this.index) this.of(index);
    this.chosenOf[index] = chosen;
    this.focused = chosen[0].unit;
    this.app.panes[index].pattern = new Pattern(this.run, chosen);
    this.show();
    this.app.colourBy("units");
  }

  toggle(unit, sign) {
    const without = this.now.filter((each) => each.unit !== unit);
    const chosen = without.length === this.now.length ? [...this.now, { unit, sign }] : without;
    if (chosen.length) this.choose(this.index, chosen);
  }

  show() {
    const { run } = this;
    const focused = run.units[this.focused];
    this.layer.value = focused.layer;
    this.unit.value = focused.number;
    this.unit.max = run.layers[focused.layer].numbers.at(-1);
    const several = this.now.length > 1;
    this.chosen.replaceChildren(
      ...this.now.slice(0, 24).map(({ unit, sign }) => {
        const { name } = run.units[unit];
        const chip = element(
          "span",
          { class: "chip on" },
          element("span", { text: `${several && sign < 0 ? "− " : ""}${name}` }),
        );
        if (several) {
          chip.append(
            element("button", {
              type: "button",
              text: "±",
              "aria-label": `turn ${name} round`,
              on: {
                click: () =>
                  this.choose(
                    this.index,
                    this.now.map((e) => (e.unit === unit ? { unit, sign: -sign } : e)),
                  ),
              },
            }),
          );
          chip.append(
            element("button", {
              type: "button",
              text: "×",
              "aria-label": `leave ${name} out`,
              on: { click: () => this.toggle(unit, sign) },
            }),
          );
        }
        return chip;
      }),
    );
    if (this.now.length > 24)
      this.chosen.append(
        element("span", { class: "quiet", text: `and ${this.now.length - 24} more` }),
      );
    this.showPeaks();
    this.finder.mark();
  }

  // the stretches around the highest values, no two of them near each other
  showPeaks() {
    const { values } = this.app.panes[this.index].pattern;
    // a unit that was found with a minus sign is the lower the more
    const sign = this.now.length === 1 ? this.now[0].sign : 1;
    document.getElementById("peaks-title").textContent =
      `Where it is ${sign > 0 ? "highest" : "lowest"}`;
    const order = Array.from(values.keys()).sort((a, b) => sign * (values[b] - values[a]));
    const taken = [];
    for (const i of order) {
      if (taken.length === 6) break;
      if (taken.every((other) => Math.abs(other - i) > 24)) taken.push(i);
    }
    this.peaks.replaceChildren(
      ...taken.map((i) => element("li", {}, this.snippet(i, rounded(values[i])))),
    );
  }

  snippet(i, amount) {
    const { run } = this;
    const part = (from, to) => {
      const symbols = [];
      for (let k = Math.max(0, from); k < Math.min(run.count, to); k++)
        symbols.push(run.symbol(k).shown);
      return symbols.join(this.app.level === "character" ? "" : " ");
    };
    const wide = this.app.level === "character" ? 18 : 4;
    const symbol = run.symbol(i);
    return element(
      "button",
      { type: "button", on: { click: () => this.app.pin(i, true) } },
      element("bdi", { class: "context before", text: part(i - wide, i) }),
      element("b", {}, element("bdi", { text: symbol.kind === "space" ? "␣" : symbol.shown })),
      element("bdi", { class: "context", text: part(i + 1, i + wide) }),
      element("span", { class: "amount", text: amount }),
    );
  }
}
