// One response: up or down for each criterion. Where there is one criterion and no comment is
// asked for, a press may submit at once: by the labeler's choice, kept in this browser.
import { Rewriting } from "./rewriting.js";
import { Rows } from "./rows.js";

const REMEMBERED = "prefloop-submit-at-once";
// A second tap that was meant for the item before does not judge this one unread.
const TOO_SOON = 250;

export class Thumbs {
  constructor(form) {
    this.form = form;
    this.rows = new Rows(form);
    this.chips = [...form.querySelectorAll(".thumbs-reasons .chip-input")];
    this.rewriting = new Rewriting(form);
    this.shownAt = performance.now();
    this.bar = form.querySelector("#bar");
    this.offerAtOnce(form.querySelector("#at-once"));
    // Presses of a hand; what a key moves inside the group of choices only chooses.
    for (const label of form.querySelectorAll(".thumbs .choice-label")) {
      label.addEventListener("click", () => setTimeout(() => this.pressed(), 0));
    }
  }

  // Where more is asked than one press can say, a press only chooses. A review has no box: it is
  // never in a hurry.
  offerAtOnce(box) {
    this.isQuick = Boolean(box);
    const asksMore = this.rows.all.length > 1 || this.form.dataset.commentMin || this.form.dataset.revision !== "0";
    this.box = asksMore ? null : box;
    if (box) box.closest("label").hidden = asksMore;
    if (!this.box) return;
    const remembered = localStorage.getItem(REMEMBERED);
    box.checked = remembered ? remembered === "yes" : !this.chips.length;
    box.addEventListener("change", (event) => {
      // How one works is not part of the answer.
      event.stopPropagation();
      localStorage.setItem(REMEMBERED, box.checked ? "yes" : "no");
      this.draw();
    });
    this.draw();
  }

  get isAtOnce() {
    return Boolean(this.box?.checked);
  }

  draw() {
    this.bar.classList.toggle("is-at-once", this.isAtOnce);
  }

  get chosen() {
    return this.rows.current.querySelector("input[type=radio]:checked");
  }

  pressed() {
    if (this.isAtOnce && performance.now() - this.shownAt > TOO_SOON) this.form.requestSubmit();
  }

  // The same key again sends what it chose.
  choose(place) {
    const row = this.rows.current;
    const input = row.querySelectorAll("input[type=radio]")[place - 1];
    const isSecond = this.isQuick && input.checked && this.rows.all.length === 1;
    this.rows.choose(place);
    if (isSecond) this.form.requestSubmit();
    else this.pressed();
  }

  toggleChip(place) {
    const chip = this.chips[place];
    if (!chip || !this.chosen) return false;
    chip.checked = !chip.checked;
    chip.dispatchEvent(new Event("change", { bubbles: true }));
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
    const table = [
      { on: ["1", "2"], shown: ["1", "2"], words: this.isQuick ? "Good; bad. The same again submits" : "Good; bad", run: (name) => this.choose(Number(name)) },
      { on: ["ArrowLeft", "ArrowRight"], shown: ["←", "→"], words: "Good; bad", run: (name, event) => this.arrow(name, event) },
      ...this.rows.commands(),
    ];
    const keys = this.chips.slice(0, 7).map((_, place) => String(place + 3));
    if (keys.length) table.push({ on: keys, shown: [...new Set([keys[0], keys.at(-1)])].join(" … ").split(" "), words: "Reasons, once good or bad is chosen", run: (name) => this.toggleChip(Number(name) - 3) });
    if (this.rewriting.isOffered) table.push({ on: ["w"], shown: ["W"], words: "Write a better response", run: () => this.rewriting.open() });
    if (this.box) table.push({ on: ["o"], shown: ["O"], words: "One press submits: on or off", run: () => this.box.click() });
    return table;
  }

  // Inside a group of choices the arrows are the group's own.
  arrow(name, event) {
    if (event.target.closest(".thumbs")) return false;
    this.choose(name === "ArrowLeft" ? 1 : 2);
  }
}
