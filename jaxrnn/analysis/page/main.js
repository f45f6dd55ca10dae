// The page as a whole: one cursor, one stretch and one meaning of the colours for all panes.

class App {
  constructor(data) {
    this.level = data.level;
    this.colours = new Colours();
    this.mode = "depends";
    this.measure = "square_root";
    this.root = false;
    this.stretch = null;
    this.anchor = null;
    this.pointed = null;
    const runs = data.runs.map((run) => new Run(run));
    this.at = Math.min(runs[0].count - 1, 60);
    if (runs.length > 1)
      this.topDifference =
        quantile(
          runs[0].loss.map((loss, i) => Math.abs(loss - runs[1].loss[i])),
          0.99,
        ) || 1;
    this.panes = [];
    runs.forEach((run, index) => this.panes.push(new Pane(run, index, this)));
    this.tools = new UnitTools(this);
    this.follow();
    this.listen();
    this.charts();
    this.colours.changed.push(() => this.repaint());
    this.repaint();
    for (const pane of this.panes) pane.reveal();
  }

  get current() {
    return this.pointed ?? this.at;
  }

  // --- moving

  hover(i) {
    if (i === this.pointed) return;
    this.pointed = i;
    this.mark();
  }

  pin(i, reveal = false) {
    this.at = Math.max(0, Math.min(this.panes[0].run.count - 1, i));
    this.pointed = null;
    this.mark();
    if (reveal) for (const pane of this.panes) pane.reveal();
    for (const pane of this.panes) pane.drawStrip();
    this.remember();
  }

  tap(i) {
    if (this.choosing) {
      if (this.anchor === null) {
        this.anchor = i;
        this.say("now the last symbol of the stretch");
      } else {
        this.choose(this.anchor, i);
        this.choosing = false;
        this.anchor = null;
      }
      this.showStretch();
    }
    this.pin(i);
  }

  walk(to, choosing) {
    const from = this.at;
    if (choosing) this.anchor ??= from;
    this.pin(to, true);
    if (choosing) this.choose(this.anchor, this.at);
    else this.anchor = null;
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => {
      const name = (pane) => (this.panes.length > 1 ? `${pane.run.name}: ` : "");
      this.say(this.panes.map((pane) => name(pane) + pane.inspector.spoken()).join(" "));
    }, 120);
  }

  choose(a, b) {
    this.stretch = [Math.min(a, b), Math.max(a, b)];
    this.mark();
    this.showStretch();
    clearTimeout(this.finding);
    this.finding = setTimeout(() => {
      this.tools.finder.ask(STRETCH);
    }, 80);
    this.remember();
  }

  forget() {
    this.stretch = null;
    this.anchor = null;
    this.choosing = false;
    this.mark();
    this.showStretch();
    this.tools.finder.find();
    this.remember();
  }

  showStretch() {
    for (const bar of document.querySelectorAll(".stretch")) {
      const says = this.choosing
        ? this.anchor === null
          ? "tap its first symbol"
          : "tap its last symbol"
        : this.stretch
          ? `${this.stretch[1] - this.stretch[0] + 1} symbols chosen`
          : "";
      bar.querySelector("output").textContent = says;
      bar.querySelector(".clear").hidden = !this.stretch && !this.choosing;
    }
  }

  mark() {
    for (const pane of this.panes) pane.mark();
  }

  say(text) {
    document.getElementById("status").textContent = text;
  }

  // --- colours

  colourBy(mode) {
    this.mode = mode;
    document.querySelector(`input[name="mode"][value="${mode}"]`).checked = true;
    this.repaint();
    this.remember();
  }

  repaint() {
    document.body.dataset.mode = this.mode;
    for (const pane of this.panes) pane.paint();
    this.mark();
  }

  listen() {
    for (const mode of document.querySelectorAll('input[name="mode"]')) {
      mode.addEventListener("change", () => this.colourBy(mode.value));
    }
    document.getElementById("measure").addEventListener("change", (event) => {
      this.measure = event.target.value;
      this.repaint();
      this.remember();
    });
    document.getElementById("root").addEventListener("change", (event) => {
      this.root = event.target.checked;
      this.repaint();
    });
    for (const pane of this.panes) {
      const start = element("button", {
        type: "button",
        text: "Choose a stretch",
        on: {
          click: () => {
            this.choosing = true;
            this.anchor = null;
            this.showStretch();
          },
        },
      });
      const clear = element("button", {
        type: "button",
        class: "clear",
        text: "Clear",
        on: { click: () => this.forget() },
      });
      clear.hidden = true;
      pane.text.after(element("div", { class: "stretch row" }, start, clear, element("output")));
    }
    addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.target.matches("input:not([type=radio]):not([type=checkbox]), select, textarea"))
        return;
      const does = {
        d: () => this.colourBy("depends"),
        s: () => this.colourBy("surprise"),
        u: () => this.colourBy("units"),
        "[": () => this.tools.step(-1),
        "]": () => this.tools.step(1),
        Escape: () => this.forget(),
      }[event.key];
      if (does) does();
    });
  }

  charts() {
    const [first] = this.panes;
    const wide = Math.max(1, Math.round(Math.min(50, first.run.count / 20)));
    const two = this.panes.length > 1;
    const own = {
      title: "Surprise along the text",
      x_label: "symbol",
      y_label: `nats per symbol, mean of ${wide}`,
      curves: this.panes.flatMap(({ run }, k) => [
        { label: two ? `${run.name}: loss` : "loss", points: smooth(run.loss, wide), hue: k },
        {
          label: two ? `${run.name}: expected` : "expected by the model",
          points: smooth(run.entropy, wide),
          hue: two ? k : 1,
          dash: 1,
        },
      ]),
    };
    const merged = new Map();
    this.panes.forEach(({ run }, k) => {
      for (const chart of run.charts) {
        const there = merged.get(chart.title) ?? { ...chart, curves: [] };
        merged.set(chart.title, there);
        there.curves.push(
          ...chart.curves.map((curve, hue) => ({
            ...curve,
            label: two ? `${run.name}: ${curve.label}` : curve.label,
            hue,
            dash: k,
          })),
        );
      }
    });
    const place = document.getElementById("charts");
    place.append(
      lineChart(own, (i) => this.pin(i, true)),
      ...[...merged.values()].map((chart) => lineChart(chart)),
    );
  }

  // --- the address, so that a view can be noted down and opened again

  remember() {
    if (!this.tools) return;
    const parts = new URLSearchParams({ at: this.at, mode: this.mode, measure: this.measure });
    if (this.stretch) parts.set("stretch", this.stretch.join("-"));
    this.tools.chosenOf.forEach((chosen, k) => {
      if (chosen.length <= 24)
        parts.set(
          `units${k}`,
          chosen.map(({ unit, sign }) => (sign < 0 ? -unit - 1 : unit)).join("."),
        );
    });
    try {
      history.replaceState(null, "", `#${parts}`);
    } catch {
      // a browser that forbids it on files loses only the address
    }
  }

  follow() {
    const parts = new URLSearchParams(location.hash.slice(1));
    const whole = (text) => (/^-?\d+$/.test(text ?? "") ? Number(text) : null);
    const { count } = this.panes[0].run;
    const at = whole(parts.get("at"));
    if (at !== null) this.at = Math.max(0, Math.min(count - 1, at));
    if (parts.get("measure") in this.panes[0].run.measures) this.measure = parts.get("measure");
    document.getElementById("measure").value = this.measure;
    const stretch = (parts.get("stretch") ?? "").split("-").map(whole);
    if (stretch.length === 2 && stretch.every((i) => i !== null && i < count))
      this.stretch = stretch.sort((a, b) => a - b);
    this.panes.forEach(({ run }, k) => {
      const chosen = (parts.get(`units${k}`) ?? "")
        .split(".")
        .map(whole)
        .filter((n) => n !== null)
        .map((n) => (n < 0 ? { unit: -n - 1, sign: -1 } : { unit: n, sign: 1 }))
        .filter(({ unit }) => unit < run.units.length);
      if (chosen.length) this.tools.choose(k, chosen);
    });
    this.tools.of(0);
    const mode = document.querySelector(
      `input[name="mode"][value="${CSS.escape(parts.get("mode") ?? "depends")}"]`,
    );
    if (mode) {
      mode.checked = true;
      this.mode = mode.value;
    } else this.mode = "depends";
  }
}

// [place, mean of the `wide` values around it], at most 400 of them
function smooth(values, wide) {
  const sums = new Float64Array(values.length + 1);
  values.forEach((value, i) => (sums[i + 1] = sums[i] + value));
  const stride = Math.max(1, Math.floor(values.length / 400));
  const points = [];
  for (let i = 0; i < values.length; i += stride) {
    const [from, to] = [Math.max(0, i - (wide >> 1)), Math.min(values.length, i + (wide >> 1) + 1)];
    points.push([i + 1, (sums[to] - sums[from]) / (to - from)]);
  }
  return points;
}

const app = new App(JSON.parse(document.getElementById("data").textContent));
document.documentElement.dataset.ready = "yes";
