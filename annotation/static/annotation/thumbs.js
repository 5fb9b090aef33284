// One response: up or down for each criterion.
import { Rows } from "./rows.js";

export class Thumbs {
  constructor(form) {
    this.rows = new Rows(form);
  }

  changed(event) {
    const row = event.target.closest(".criterion");
    if (!row) return;
    this.rows.focus(row);
    if (event.isTrusted && matchMedia("(width < 48rem)").matches) setTimeout(() => this.rows.moveOn(), 160);
  }

  problem() {
    return this.rows.problem();
  }

  commands() {
    return [
      { on: ["1", "2"], shown: ["1", "2"], words: "Good; bad", run: (name) => this.rows.choose(Number(name)) },
      ...this.rows.commands(),
    ];
  }
}
