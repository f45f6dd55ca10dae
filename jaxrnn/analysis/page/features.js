// What a unit may follow: numbers for each symbol, found in the text alone.

const CHARACTERS = [
  ["position in the line", (text) => since(text, (c) => c === "\n")],
  [
    "symbols until the line ends",
    (text) => since([...text].reverse(), (c) => c === "\n").reverse(),
  ],
  ["position in the word", (text) => since(text, (c) => !isWord(c))],
  [
    "upper-case names",
    (text) => matches(text.join(""), /\p{Lu}{2,}(?:[ '’.-]+\p{Lu}{2,})*/gu, text),
  ],
  ["lines that end with a colon", (text) => matches(text.join(""), /^.*:$/gmu, text)],
  ["upper-case letters", (text) => text.map((c) => Number(/\p{Lu}/u.test(c)))],
  [
    "first letter of a word",
    (text) => text.map((c, i) => Number(isWord(c) && !(i && isWord(text[i - 1])))),
  ],
  [
    "last letter of a word",
    (text) =>
      text.map((c, i) => Number(isWord(c) && !(i + 1 < text.length && isWord(text[i + 1])))),
  ],
  ["inside quotation marks", inQuotes],
  ["inside brackets", inBrackets],
  ["spaces and line ends", (text) => text.map((c) => Number(/\s/u.test(c)))],
  ["punctuation", (text) => text.map((c) => Number(/\p{P}/u.test(c)))],
  ["vowels", (text) => text.map((c) => Number(/[aeiouy]/iu.test(c)))],
  ["digits", (text) => text.map((c) => Number(/\p{Nd}/u.test(c)))],
];

const WORDS = [
  ["position in the line", (text) => since(text, (c) => c === "\n")],
  ["position in the sentence", (text) => since(text, (c) => /^[.!?\n]$/u.test(c))],
  ["length of the word", (text) => text.map((c) => c.length)],
  ["inside quotation marks", inQuotes],
  ["inside brackets", inBrackets],
  ["punctuation", (text) => text.map((c) => Number(/^\p{P}+$/u.test(c)))],
  ["digits", (text) => text.map((c) => Number(/\p{Nd}/u.test(c)))],
];

function isWord(character) {
  return /[\p{L}\p{M}\p{N}'’_]/u.test(character);
}

// how many symbols stand between each one and the last that starts anew
function since(text, starts) {
  let passed = 0;
  return [...text].map((c) => {
    const now = passed;
    passed = starts(c) ? 0 : passed + 1;
    return starts(c) ? 0 : now;
  });
}

function inQuotes(text) {
  let open = false;
  return text.map((c) => {
    const before = open;
    if (c === '"') open = !open;
    if (c === "“" || c === "«") open = true;
    if (c === "”" || c === "»") open = false;
    return Number(before || open);
  });
}

function inBrackets(text) {
  let depth = 0;
  return text.map((c) => {
    const before = depth;
    if ("([{".includes(c)) depth += 1;
    if (")]}".includes(c)) depth = Math.max(0, depth - 1);
    return Math.max(before, depth);
  });
}

// 1 for every symbol that has a part in a match of the joined text
function matches(joined, expression, symbols, separator = "") {
  const found = new Array(symbols.length).fill(0);
  const ends = [];
  let place = 0;
  for (const symbol of symbols) {
    place += symbol.length;
    ends.push(place);
    place += separator.length;
  }
  let i = 0;
  for (const match of joined.matchAll(expression)) {
    if (!match[0].length) continue;
    const last = match.index + match[0].length;
    while (i < symbols.length && ends[i] <= match.index) i += 1;
    while (i < symbols.length && ends[i] - symbols[i].length < last) found[i++] = 1;
  }
  return found;
}

// Pearson's correlation of each unit with the feature, over the symbols from `start` to `end`
function correlations(run, feature, start, end) {
  const count = end - start;
  let mean = 0;
  for (let i = start; i < end; i++) mean += feature[i] / count;
  let spread = 0;
  for (let i = start; i < end; i++) spread += (feature[i] - mean) ** 2;
  return run.units.map(({ bytes }) => {
    let [sum, squares, product] = [0, 0, 0];
    for (let i = start; i < end; i++) {
      sum += bytes[i];
      squares += bytes[i] * bytes[i];
      product += bytes[i] * (feature[i] - mean);
    }
    const size = Math.sqrt(Math.max(0, squares - (sum * sum) / count) * spread);
    return size > 0 ? product / size : 0;
  });
}

// Units that are high over all of a stretch and low around it (or the other way), best first. The
// gap is what lies between the lowest value inside and the highest around, as a part of the range.
function followers(run, [first, last], margin) {
  const around = [];
  for (let i = Math.max(0, first - margin); i < first; i++) around.push(i);
  for (let i = last + 1; i <= Math.min(run.count - 1, last + margin); i++) around.push(i);
  if (!around.length) return [];
  return run.units
    .map(({ bytes }, unit) => {
      let [low, high] = [255, 0];
      for (let i = first; i <= last; i++) {
        low = Math.min(low, bytes[i]);
        high = Math.max(high, bytes[i]);
      }
      let [outerLow, outerHigh] = [255, 0];
      for (const i of around) {
        outerLow = Math.min(outerLow, bytes[i]);
        outerHigh = Math.max(outerHigh, bytes[i]);
      }
      const [above, below] = [(low - outerHigh) / 255, (outerLow - high) / 255];
      return { unit, sign: above >= below ? 1 : -1, score: Math.max(above, below) };
    })
    .sort((a, b) => b.score - a.score);
}
