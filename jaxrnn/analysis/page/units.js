// Choosing units, and finding those that follow a stretch of the text or a feature of it.

const STRETCH = "stretch";
const OWN = "own";
const SHOWN = 14;

class UnitTools {
  constructor(app) {
    this.app = app;
    for (const id of ["layer", "unit", "add", "chosen", "peaks", "feature", "expression", "margin", "found"]) {
      this[id] = document.getElementById(id);
    }
    this.note = document.getElementById("found-note");
    this.features = app.level === "character" ? CHARACTERS : WORDS;
    const choices = [[STRETCH, "the chosen stretch"], ...this.features.map(([name], k) => [String(k), name]), [OWN, "a regular expression"]];
    this.feature.append(...choices.map(([value, text]) => element("option", { value, text })));
    this.layer.addEventListener("change", () => this.select(this.index, this.run.layers[this.layer.value].first));
    this.unit.addEventListener("change", () => this.byNumber());
    this.add.addEventListener("click", () => this.toggle(this.focused, 1));
    this.feature.addEventListener("change", () => this.find());
    this.margin.addEventListener("change", () => this.find());
    this.expression.addEventListener("input", () => this.find());
    for (const whose of document.querySelectorAll('input[name="whose"]')) {
      whose.addEventListener("change", () => this.of(Number(whose.value)));
    }
    // what a stretch needs is not there yet
    this.feature.value = "0";
    this.chosenOf = app.panes.map(() => [{ unit: 0, sign: 1 }]);
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
    for (const whose of document.querySelectorAll('input[name="whose"]')) whose.checked = Number(whose.value) === index;
    this.layer.replaceChildren(...this.run.layers.map((layer, k) => element("option", { value: k, text: `${layer.name} (${layer.numbers.length})` })));
    this.focused = this.now[0].unit;
    this.show();
    this.find();
  }

  byNumber() {
    const layer = this.run.layers[this.layer.value];
    const wanted = Number(this.unit.value);
    const there = layer.numbers.reduce((a, b) => (Math.abs(b - wanted) < Math.abs(a - wanted) ? b : a));
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
        const chip = element("span", { class: "chip on" }, element("span", { text: `${several && sign < 0 ? "− " : ""}${name}` }));
        if (several) {
          chip.append(element("button", { type: "button", text: "±", "aria-label": `turn ${name} round`, on: { click: () => this.choose(this.index, this.now.map((e) => (e.unit === unit ? { unit, sign: -sign } : e))) } }));
          chip.append(element("button", { type: "button", text: "×", "aria-label": `leave ${name} out`, on: { click: () => this.toggle(unit, sign) } }));
        }
        return chip;
      }),
    );
    if (this.now.length > 24) this.chosen.append(element("span", { class: "quiet", text: `and ${this.now.length - 24} more` }));
    this.showPeaks();
    this.markFound();
  }

  // the stretches around the highest values, no two of them near each other
  showPeaks() {
    const { values } = this.app.panes[this.index].pattern;
    // a unit that was found with a minus sign is the lower the more
    const sign = this.now.length === 1 ? this.now[0].sign : 1;
    document.getElementById("peaks-title").textContent = `Where it is ${sign > 0 ? "highest" : "lowest"}`;
    const order = Array.from(values.keys()).sort((a, b) => sign * (values[b] - values[a]));
    const taken = [];
    for (const i of order) {
      if (taken.length === 6) break;
      if (taken.every((other) => Math.abs(other - i) > 24)) taken.push(i);
    }
    this.peaks.replaceChildren(...taken.map((i) => element("li", {}, this.snippet(i, rounded(values[i])))));
  }

  snippet(i, amount) {
    const { run } = this;
    const part = (from, to) => {
      const symbols = [];
      for (let k = Math.max(0, from); k < Math.min(run.count, to); k++) symbols.push(run.symbol(k).shown);
      return symbols.join(this.app.level === "character" ? "" : " ");
    };
    const wide = this.app.level === "character" ? 18 : 4;
    const symbol = run.symbol(i);
    return element("button", { type: "button", on: { click: () => this.app.pin(i, true) } },
      element("bdi", { class: "context before", text: part(i - wide, i) }),
      element("b", {}, element("bdi", { text: symbol.kind === "space" ? "␣" : symbol.shown })),
      element("bdi", { class: "context", text: part(i + 1, i + wide) }),
      element("span", { class: "amount", text: amount }));
  }

  // --- what follows the text

  find() {
    const kind = this.feature.value;
    document.getElementById("expression-field").hidden = kind !== OWN;
    document.getElementById("margin-field").hidden = kind !== STRETCH;
    if (kind === STRETCH) this.findStretch();
    else this.findFeature(kind);
  }

  findStretch() {
    const { stretch } = this.app;
    if (!stretch) {
      this.list([], [], "Choose a stretch: drag over the text, or hold shift and use the arrow keys.");
      return;
    }
    const margin = Math.max(1, Math.min(50, Number(this.margin.value) || 4));
    const found = followers(this.run, stretch, margin);
    const strict = found.filter(({ score }) => score > 0);
    const many = strict.length === 1 ? "1 unit keeps" : `${strict.length} units keep`;
    this.list(["unit", "gap / range", ""], found.slice(0, SHOWN).map((row) => ({ ...row, cells: [signed(row.score)] })),
      `${stretch[1] - stretch[0] + 1} symbols. ${many} clear of all values within ${margin} symbols around it, all along it.`);
    if (strict.length > 1) {
      this.note.append(" ", element("button", { type: "button", text: `Choose these ${strict.length} as the pattern`, on: { click: () => this.choose(this.index, strict.map(({ unit, sign }) => ({ unit, sign }))) } }));
    }
  }

  findFeature(kind) {
    const { run } = this;
    const text = Array.from(run.tokens, (token) => run.table[token].text);
    let feature;
    if (kind === OWN) {
      if (!this.expression.value) return this.list([], [], "Give an expression, such as [A-Z]{2,}; the symbols that it matches are 1, the others 0.");
      const separator = this.app.level === "character" ? "" : " ";
      try {
        feature = matches(text.join(separator), new RegExp(this.expression.value, "gmu"), text, separator);
      } catch (error) {
        return this.list([], [], `The expression cannot be read: ${error.message}`);
      }
    } else feature = this.features[kind][1](text);
    const [low, high] = extremes(feature);
    if (low === high) return this.list([], [], "It is the same at every symbol of this text, so no unit can follow it.");
    const half = run.count >> 1;
    const whole = correlations(run, feature, 0, run.count);
    const [first, second] = [correlations(run, feature, 0, half), correlations(run, feature, half, run.count)];
    const rows = whole
      .map((r, unit) => ({ unit, sign: r < 0 ? -1 : 1, score: r, cells: [signed(r), signed(first[unit]), signed(second[unit])] }))
      .sort((a, b) => Math.abs(b.score) - Math.abs(a.score))
      .slice(0, SHOWN);
    const on = feature.filter((value) => value > 0).length;
    this.list(["unit", "r", "1st half", "2nd half", ""], rows,
      `From ${low} to ${high}, above 0 at ${on.toLocaleString("en")} of ${run.count.toLocaleString("en")} symbols; Pearson's r, best of ${run.units.length.toLocaleString("en")} units. A unit that follows it has the same r in both halves of the text.`);
    return undefined;
  }

  list(heads, rows, note) {
    this.note.textContent = note;
    this.found.tHead.rows[0].replaceChildren(...heads.map((text) => element("th", { text, scope: "col" })));
    this.found.tBodies[0].replaceChildren(
      ...rows.map(({ unit, sign, cells }) => {
        const { name } = this.run.units[unit];
        const pick = element("button", { type: "button", class: "link", text: name, on: { click: () => this.select(this.index, unit, sign) } });
        const box = element("input", { type: "checkbox", "aria-label": `${name} in the pattern`, on: { change: () => this.toggle(unit, sign) } });
        const row = element("tr", {}, element("td", {}, box, pick), ...cells.map((text) => element("td", { text })));
        row.dataset.unit = unit;
        const strip = element("canvas", { class: "mini", height: 14, width: 150, "aria-hidden": "true" });
        this.drawMini(strip, unit);
        row.append(element("td", {}, strip));
        return row;
      }),
    );
    this.markFound();
  }

  // the unit along 150 symbols around the cursor
  drawMini(canvas, unit) {
    const pattern = new Pattern(this.run, [{ unit, sign: 1 }]);
    const start = Math.max(0, Math.min(this.run.count - 150, this.app.at - 75));
    const context = canvas.getContext("2d");
    for (let x = 0; x < 150 && start + x < this.run.count; x++) {
      context.fillStyle = this.app.colours.of(pattern.colour(start + x)) || "transparent";
      context.fillRect(x, 0, 1, 14);
    }
  }

  markFound() {
    const now = new Set(this.now.map(({ unit }) => unit));
    for (const row of this.found.tBodies[0].rows) {
      const chosen = now.has(Number(row.dataset.unit));
      row.classList.toggle("on", chosen);
      row.querySelector("input").checked = chosen;
    }
  }
}

function signed(number) {
  return `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(2)}`;
}
