// One table of keys: what is pressed, what it does, and what the sheet says of it.
//
// A row is { on: [names], shown: [key caps], words, run(name, event) }. A name is a digit, a small
// letter, "Enter", "ArrowUp", "Shift+ArrowUp", "?" and the like. `run` returns false when the key
// had nothing to do, so that the browser or a later row may have it.

const WRITES = "textarea, select, input:not([type=radio], [type=checkbox])";

export function nameOf(event) {
  const digit = /^(?:Digit|Numpad)([0-9])$/.exec(event.code);
  if (digit && !event.shiftKey) return digit[1];
  if (event.key.length > 1 || event.key === " ") return event.shiftKey ? `Shift+${event.key}` : event.key;
  // On a Greek or Russian keyboard the letter is found by its place.
  const letter = /^Key([A-Z])$/.exec(event.code);
  return (letter && event.key > "~" ? letter[1] : event.key).toLowerCase();
}

export const isWriting = (target) => Boolean(target.closest(WRITES));

// Runs the first row that knows the key and has something to do.
export function press(table, event) {
  const name = nameOf(event);
  for (const row of table) {
    if (!row.on.includes(name) || (event.repeat && !row.repeats)) continue;
    if (row.run(name, event) !== false) {
      event.preventDefault();
      return true;
    }
  }
  return false;
}

export function drawSheet(list, table) {
  list.replaceChildren(
    ...table.filter((row) => row.words).flatMap((row) => {
      const keys = document.createElement("dt");
      keys.append(...row.shown.flatMap((cap) => [cap === "…" ? cap : keyCap(cap), " "]));
      const words = document.createElement("dd");
      words.textContent = row.words;
      return [keys, words];
    }),
  );
}

function keyCap(text) {
  const cap = document.createElement("kbd");
  cap.textContent = text;
  return cap;
}
