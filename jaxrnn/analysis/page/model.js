// What one run did with the text, unpacked.

function unpack(text, Kind) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new Kind(bytes.buffer);
}

class Run {
  constructor(data) {
    this.name = data.name;
    this.table = data.symbols;
    this.tokens = unpack(data.tokens, Uint32Array);
    this.count = this.tokens.length;
    this.vocabulary = data.vocabulary;
    this.most = data.most;
    this.charts = data.charts;
    // of symbol i these stand at i - 1: the first one is not predicted
    this.loss = unpack(data.loss, Float32Array);
    this.entropy = unpack(data.entropy, Float32Array);
    this.rank = unpack(data.rank, Uint32Array);
    this.likeliest = unpack(data.likeliest, Uint32Array);
    this.probability = unpack(data.probability, Float32Array);
    this.measures = {};
    for (const [name, packed] of Object.entries(data.measures)) {
      this.measures[name] = {
        lags: packed.lags,
        bytes: unpack(packed.bytes, Uint8Array),
        largest: unpack(packed.largest, Float32Array),
        memory: Object.entries(packed.memory).map(([label, values]) => ({
          label,
          values: unpack(values, Float32Array),
        })),
      };
    }
    this.layers = [];
    this.units = [];
    for (const packed of data.units) {
      const bytes = unpack(packed.bytes, Uint8Array);
      const low = unpack(packed.low, Float32Array);
      const high = unpack(packed.high, Float32Array);
      const layer = { name: packed.name, first: this.units.length, numbers: packed.numbers };
      packed.numbers.forEach((number, k) => {
        this.units.push({
          name: `${packed.name} ${number}`,
          layer: this.layers.length,
          number,
          low: low[k],
          high: high[k],
          bytes: bytes.subarray(k * this.count, (k + 1) * this.count),
        });
      });
      this.layers.push(layer);
    }
    for (const unit of this.units) Object.assign(unit, moments(unit.bytes));
    this.topLoss = quantile(this.loss, 0.99) || 1;
  }

  symbol(i) {
    return this.table[this.tokens[i]];
  }

  // the connectivity of the prediction of symbol i with the symbol `lag` before its input
  share(measure, i, lag) {
    const { lags, bytes } = this.measures[measure];
    return (bytes[(i - 1) * lags + lag] / 255) ** 2;
  }

  value(unit, i) {
    return unit.low + ((unit.high - unit.low) * unit.bytes[i]) / 255;
  }
}

function moments(bytes) {
  let sum = 0;
  let squares = 0;
  for (const b of bytes) {
    sum += b;
    squares += b * b;
  }
  const mean = sum / bytes.length;
  return { mean, deviation: Math.sqrt(Math.max(0, squares / bytes.length - mean * mean)) };
}

function quantile(values, part) {
  const sorted = Float32Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}

// A choice of units, each with a sign, as one number for each symbol: of one unit its value; of
// several the mean of their places between lowest and highest, turned round where the sign is -1.
class Pattern {
  constructor(run, chosen) {
    this.run = run;
    this.chosen = chosen;
    this.single = chosen.length === 1;
    const { count } = run;
    this.values = new Float32Array(count);
    if (this.single) {
      const unit = run.units[chosen[0].unit];
      for (let i = 0; i < count; i++) this.values[i] = run.value(unit, i);
      [this.low, this.high] = [unit.low, unit.high];
      // a value without a sign, such as a gate's, has its middle at its lowest
      this.middle = unit.low < 0 ? 0 : unit.low;
      if (unit.high <= 0) this.middle = unit.high;
    } else {
      for (const { unit, sign } of chosen) {
        const { bytes } = run.units[unit];
        for (let i = 0; i < count; i++) {
          this.values[i] += (sign > 0 ? bytes[i] : 255 - bytes[i]) / 255 / chosen.length;
        }
      }
      this.low = Math.min(...extremes(this.values));
      this.high = Math.max(...extremes(this.values));
      this.middle = this.values.reduce((a, b) => a + b, 0) / count;
    }
    this.reach = Math.max(this.high - this.middle, this.middle - this.low) || 1;
  }

  colour(i) {
    return (this.values[i] - this.middle) / this.reach;
  }

  get name() {
    const names = this.chosen.map(({ unit, sign }) => {
      const turned = sign < 0 && !this.single ? "−" : "";
      return turned + this.run.units[unit].name;
    });
    return names.length > 3 ? `${names.length} units` : names.join(", ");
  }
}

function extremes(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function rounded(number) {
  if (!Number.isFinite(number)) return "–";
  const size = Math.abs(number);
  if (size === 0) return "0";
  if (size >= 1e5 || size < 1e-3) return powerOfTen(number);
  return number.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2).replace("-", "−");
}

function percent(part) {
  if (part >= 0.9995) return "100 %";
  if (part < 1e-4) return "< 0.01 %";
  return `${(100 * part).toFixed(part < 0.01 ? 2 : part < 0.1 ? 1 : 0)} %`;
}

function counted(number) {
  return number.toLocaleString("en");
}
