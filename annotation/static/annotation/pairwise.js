// Two responses: a scale for each criterion, a flag for both bad, and two panes to read.
import { Panes } from "./panes.js";
import { Rows } from "./rows.js";

export class Pairwise {
  constructor(form) {
    this.form = form;
    this.rows = new Rows(form);
    this.size = this.rows.current.querySelectorAll("input[type=radio]").length;
    this.panes = new Panes(form);
  }

  changed(event) {
    const row = event.target.closest(".criterion");
    if (!row) return;
    keepTieAndBad(row, event.target);
    this.rows.focus(row);
    if (event.isTrusted && event.target.type === "radio" && matchMedia("(width < 48rem)").matches) setTimeout(() => this.rows.moveOn(), 160);
  }

  chooseBad() {
    const bad = this.rows.current.querySelector("[name^='both_bad-']");
    bad.checked = !bad.checked;
    bad.dispatchEvent(new Event("change", { bubbles: true }));
    if (bad.checked) this.rows.move(1);
  }

  problem() {
    return this.rows.problem();
  }

  commands() {
    const digits = [...Array(this.size).keys()].map((place) => String(place + 1));
    const tie = digits[(this.size - 1) / 2];
    return [
      { on: digits, shown: ["1", "…", digits.at(-1)], words: `From “1 is better” to “2 is better”; ${tie} is a tie`, run: (name) => this.rows.choose(Number(name)) },
      { on: ["b"], shown: ["B"], words: "Both are bad", run: () => this.chooseBad() },
      ...this.rows.commands(),
      ...this.panes.commands(),
    ];
  }
}

// Both bad is a flag on a tie: the two follow each other.
function keepTieAndBad(row, input) {
  const bad = row.querySelector("[name^='both_bad-']");
  if (input === bad && bad.checked) row.querySelector("input[value='0']").checked = true;
  else if (input !== bad && input.value !== "0") bad.checked = false;
}
