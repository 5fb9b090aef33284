// What only one of two texts says, marked word by word in both, alike.
//
// Words that both texts have once are anchors (patience diff): fast on long texts, and the same
// whichever text stands first. The page is marked by ranges, so nothing in it moves.
const WORD = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{N}\p{M}_]+|[^\s\p{L}\p{N}]/gu;
const NAME = "difference";
const AT_A_TIME = 8; // milliseconds between breaths
// Fewer common words than this between two differences are chance.
const LEAST_COMMON = 3;

export const canMark = () => Boolean(window.CSS?.highlights);

export function clearMarks() {
  CSS.highlights.delete(NAME);
}

// Resolves when both are marked; `isWanted` is asked along the way.
export async function markDifference(first, second, isWanted) {
  const texts = [wordsOf(first), wordsOf(second)];
  const common = await commonWords(texts[0].words, texts[1].words);
  if (!isWanted()) return;
  const highlight = new Highlight();
  texts.forEach(({ words, places }, side) => {
    for (const range of rangesOf(words.length, places, common[side])) highlight.add(range);
  });
  CSS.highlights.set(NAME, highlight);
}

function wordsOf(element) {
  const words = [];
  const places = [];
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    for (const found of node.data.matchAll(WORD)) {
      words.push(found[0]);
      places.push([node, found.index, found.index + found[0].length]);
    }
  }
  return { words, places };
}

// Words next to each other in one piece of text are one range.
function rangesOf(count, places, isCommon) {
  const ranges = [];
  let last = null;
  for (let place = 0; place < count; place += 1) {
    if (isCommon[place]) {
      last = null;
      continue;
    }
    const [node, from, to] = places[place];
    if (last?.startContainer === node) last.endOffset = to;
    else ranges.push((last = { startContainer: node, startOffset: from, endContainer: node, endOffset: to }));
  }
  return ranges.map((range) => new StaticRange(range));
}

// For each text: which of its words the other has too, at the same point of the course.
async function commonWords(a, b) {
  const common = [new Uint8Array(a.length), new Uint8Array(b.length)];
  const open = [[0, a.length, 0, b.length]];
  let started = performance.now();
  while (open.length) {
    open.push(...split(a, b, open.pop(), common));
    if (performance.now() - started > AT_A_TIME) {
      await new Promise((resolve) => setTimeout(resolve));
      started = performance.now();
    }
  }
  common.forEach(dropChance);
  return common;
}

// Takes what is common at both ends, then parts the rest at its anchors.
function split(a, b, [fromA, toA, fromB, toB], common) {
  const match = (x, y) => (common[0][x] = common[1][y] = 1);
  while (fromA < toA && fromB < toB && a[fromA] === b[fromB]) match(fromA++, fromB++);
  while (fromA < toA && fromB < toB && a[toA - 1] === b[toB - 1]) match(--toA, --toB);
  if (fromA === toA || fromB === toB) return [];
  const parts = [];
  let [x, y] = [fromA, fromB];
  for (const [anchorA, anchorB] of anchors(a, b, fromA, toA, fromB, toB)) {
    parts.push([x, anchorA, y, anchorB]);
    match(anchorA, anchorB);
    [x, y] = [anchorA + 1, anchorB + 1];
  }
  if (parts.length) parts.push([x, toA, y, toB]);
  return parts;
}

// Words that stand once in each, in the longest run that is in order in both.
function anchors(a, b, fromA, toA, fromB, toB) {
  const inA = onlyOnce(a, fromA, toA);
  const inB = onlyOnce(b, fromB, toB);
  const pairs = [];
  for (const [word, place] of inA) {
    if (place >= 0 && inB.get(word) >= 0) pairs.push([place, inB.get(word)]);
  }
  return longestRising(pairs);
}

function onlyOnce(words, from, to) {
  const places = new Map();
  for (let place = from; place < to; place += 1) places.set(words[place], places.has(words[place]) ? -1 : place);
  return places;
}

function longestRising(pairs) {
  const tops = [];
  const before = pairs.map(() => -1);
  pairs.forEach(([, y], index) => {
    let [low, high] = [0, tops.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (pairs[tops[middle]][1] < y) low = middle + 1;
      else high = middle;
    }
    if (low) before[index] = tops[low - 1];
    tops[low] = index;
  });
  const run = [];
  for (let index = tops.at(-1) ?? -1; index >= 0; index = before[index]) run.unshift(pairs[index]);
  return run;
}

function dropChance(isCommon) {
  let start = 0;
  for (let place = 1; place <= isCommon.length; place += 1) {
    if (place < isCommon.length && isCommon[place] === isCommon[start]) continue;
    const isInside = start > 0 && place < isCommon.length;
    if (isCommon[start] && isInside && place - start < LEAST_COMMON) isCommon.fill(0, start, place);
    start = place;
  }
}
