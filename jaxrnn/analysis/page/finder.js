// Finding units that follow a chosen stretch of the text, or a feature of it.

const STRETCH = "stretch";
const OWN = "own";
const SHOWN = 14;

class Finder {
  constructor(tools) {
    this.tools = tools;
    for (const id of ["feature", "expression", "margin", "found"]) {
      this[id] = document.getElementById(id);
    }
    this.note = document.getElementById("found-note");
    this.features = tools.app.level === "character" ? CHARACTERS : WORDS;
    const choices = [
      [STRETCH, "the chosen stretch"],
      ...this.features.map(([name], k) => [String(k), name]),
      [OWN, "a regular expression"],
    ];
    this.feature.append(...choices.map(([value, text]) => element("option", { value, text })));
    // what a stretch needs is not there yet
    this.feature.value = "0";
    this.feature.addEventListener("change", () => this.find());
    this.margin.addEventListener("change", () => this.find());
    this.expression.addEventListener("input", () => this.find());
  }

  ask(kind) {
    this.feature.value = kind;
    this.find();
  }

  find() {
    const kind = this.feature.value;
    document.getElementById("expression-field").hidden = kind !== OWN;
    document.getElementById("margin-field").hidden = kind !== STRETCH;
    if (kind === STRETCH) this.findStretch();
    else this.findFeature(kind);
  }

  findStretch() {
    const { stretch } = this.tools.app;
    if (!stretch) {
      this.list(
        [],
        [],
        "Choose a stretch: drag over the text, or hold shift and use the arrow keys.",
      );
      return;
    }
    const margin = Math.max(1, Math.min(50, Number(this.margin.value) || 4));
    const found = followers(this.tools.run, stretch, margin);
    const strict = found.filter(({ score }) => score > 0);
    const many = strict.length === 1 ? "1 unit keeps" : `${strict.length} units keep`;
    this.list(
      ["unit", "gap / range", ""],
      found.slice(0, SHOWN).map((row) => ({ ...row, cells: [signed(row.score)] })),
      `${stretch[1] - stretch[0] + 1} symbols. ${many} clear, all along it, ` +
        `of all values within ${margin} symbols around it.`,
    );
    if (strict.length > 1) {
      this.note.append(
        " ",
        element("button", {
          type: "button",
          text: `Choose these ${strict.length} as the pattern`,
          on: {
            click: () =>
              this.tools.choose(
                this.tools.index,
                strict.map(({ unit, sign }) => ({ unit, sign })),
              ),
          },
        }),
      );
    }
  }

  findFeature(kind) {
    const { run } = this.tools;
    const text = Array.from(run.tokens, (token) => run.table[token].text);
    let feature;
    if (kind === OWN) {
      if (!this.expression.value)
        return this.list(
          [],
          [],
          "Give an expression, such as [A-Z]{2,}; the symbols that it matches are 1, the others 0.",
        );
      const separator = this.tools.app.level === "character" ? "" : " ";
      try {
        feature = matches(
          text.join(separator),
          new RegExp(this.expression.value, "gmu"),
          text,
          separator,
        );
      } catch (error) {
        return this.list([], [], `The expression cannot be read: ${error.message}`);
      }
    } else feature = this.features[kind][1](text);
    const [low, high] = extremes(feature);
    if (low === high)
      return this.list(
        [],
        [],
        "It is the same at every symbol of this text, so no unit can follow it.",
      );
    const half = run.count >> 1;
    const whole = correlations(run, feature, 0, run.count);
    const [first, second] = [
      correlations(run, feature, 0, half),
      correlations(run, feature, half, run.count),
    ];
    const rows = whole
      .map((r, unit) => ({
        unit,
        sign: r < 0 ? -1 : 1,
        score: r,
        cells: [signed(r), signed(first[unit]), signed(second[unit])],
      }))
      .sort((a, b) => Math.abs(b.score) - Math.abs(a.score))
      .slice(0, SHOWN);
    const on = feature.filter((value) => value > 0).length;
    this.list(
      ["unit", "r", "1st half", "2nd half", ""],
      rows,
      `From ${low} to ${high}, above 0 at ${counted(on)} of ${counted(run.count)} symbols; ` +
        `Pearson's r, best of ${counted(run.units.length)} units. ` +
        "A unit that follows it has the same r in both halves of the text.",
    );
    return undefined;
  }

  list(heads, rows, note) {
    this.note.textContent = note;
    this.found.tHead.rows[0].replaceChildren(
      ...heads.map((text) => element("th", { text, scope: "col" })),
    );
    this.found.tBodies[0].replaceChildren(
      ...rows.map(({ unit, sign, cells }) => {
        const { name } = this.tools.run.units[unit];
        const pick = element("button", {
          type: "button",
          class: "link",
          text: name,
          on: { click: () => this.tools.select(this.tools.index, unit, sign) },
        });
        const box = element("input", {
          type: "checkbox",
          "aria-label": `${name} in the pattern`,
          on: { change: () => this.tools.toggle(unit, sign) },
        });
        const row = element(
          "tr",
          {},
          element("td", {}, box, pick),
          ...cells.map((text) => element("td", { text })),
        );
        row.dataset.unit = unit;
        const strip = element("canvas", {
          class: "mini",
          height: 14,
          width: 150,
          "aria-hidden": "true",
        });
        this.drawMini(strip, unit);
        row.append(element("td", {}, strip));
        return row;
      }),
    );
    this.mark();
  }

  // the unit along 150 symbols around the cursor
  drawMini(canvas, unit) {
    const pattern = new Pattern(this.tools.run, [{ unit, sign: 1 }]);
    const start = Math.max(0, Math.min(this.tools.run.count - 150, this.tools.app.at - 75));
    const context = canvas.getContext("2d");
    for (let x = 0; x < 150 && start + x < this.tools.run.count; x++) {
      context.fillStyle = this.tools.app.colours.of(pattern.colour(start + x)) || "transparent";
      context.fillRect(x, 0, 1, 14);
    }
  }

  mark() {
    const now = new Set(this.tools.now.map(({ unit }) => unit));
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
