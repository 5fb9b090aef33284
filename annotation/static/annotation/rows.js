// The rows of criteria: one is current; a digit chooses in it and moves on.
export class Rows {
  constructor(form) {
    this.form = form;
    form.addEventListener("focusin", (event) => this.follow(event.target));
  }

  get all() {
    return [...this.form.querySelectorAll(".criterion")];
  }

  get current() {
    return this.form.querySelector(".criterion.is-current");
  }

  follow(target) {
    const row = target.closest(".criterion");
    if (row && row !== this.current) this.focus(row);
  }

  focus(row) {
    for (const other of this.all) other.classList.toggle("is-current", other === row);
  }

  move(step) {
    const all = this.all;
    const next = all[all.indexOf(this.current) + step];
    if (!next) return false;
    // Real focus in a row would stay behind with the old one.
    if (this.current.contains(document.activeElement)) document.activeElement.blur();
    this.focus(next);
    return true;
  }

  choose(place) {
    const input = this.current.querySelectorAll("input[type=radio]")[place - 1];
    if (!input) return false;
    input.checked = true;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    this.move(1);
    return true;
  }

  // By hand on a phone one row is seen at a time: on to the next open one.
  moveOn() {
    const all = this.all;
    const next = all.slice(all.indexOf(this.current) + 1).find((row) => !isAnswered(row));
    if (next) this.focus(next);
  }

  problem() {
    const open = this.all.find((row) => !isAnswered(row));
    if (!open) return "";
    this.focus(open);
    return `Choose first: ${open.querySelector(".criterion-name").firstChild.textContent.trim()}.`;
  }

  commands() {
    if (this.all.length < 2) return [];
    return [
      { on: ["ArrowUp", "ArrowDown"], shown: ["↑", "↓"], words: "To another criterion", repeats: true, run: (name) => this.move(name === "ArrowUp" ? -1 : 1) },
    ];
  }
}

const isAnswered = (row) => Boolean(row.querySelector("input[type=radio]:checked"));
