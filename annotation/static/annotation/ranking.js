// A list in order: kept as data, drawn into the page, written into the form's number fields.
import { speak } from "./said.js";

// How near the edge of the window a drag scrolls, and how far in a frame.
const EDGES = { top: 90, bottom: 190 };
const SCROLLS_BY = 14;

// One ranking a criterion: `order` holds the cards' indices, best first; `tied` those that are
// as good as the one above; `line` counts the cards above the line of the acceptable.
class Ranking {
  constructor(size) {
    this.order = [...Array(size).keys()];
    this.tied = new Set();
    this.line = size;
    this.done = false;
  }

  static fromRanks(ranks, acceptable) {
    const ranking = new Ranking(ranks.length);
    ranking.order.sort((a, b) => ranks[a] - ranks[b] || a - b);
    ranking.order.forEach((card, place) => {
      if (place && ranks[card] === ranks[ranking.order[place - 1]]) ranking.tied.add(card);
    });
    if (acceptable !== "") {
      ranking.line = ranking.order.filter((card) => ranks[card] <= Number(acceptable)).length;
    }
    ranking.done = true;
    return ranking;
  }

  place(card) {
    return this.order.indexOf(card);
  }

  move(card, place) {
    const from = this.place(card);
    const to = Math.max(0, Math.min(this.order.length - 1, place));
    this.done = true;
    if (from === to) return;
    // Who stood tied to the card now stands on its own, or on what is above it.
    const below = this.order[from + 1];
    if (!this.tied.has(card)) this.tied.delete(below);
    this.tied.delete(card);
    this.order.splice(from, 1);
    this.order.splice(to, 0, card);
    // Placed between two that are tied, it joins them.
    if (this.tied.has(this.order[to + 1])) this.tied.add(card);
    this.tidy();
  }

  toggleTie(card) {
    if (this.place(card) === 0) return;
    this.done = true;
    if (!this.tied.delete(card)) this.tied.add(card);
    this.tidy();
  }

  moveLine(count) {
    this.done = true;
    const down = count > this.line;
    this.line = Math.max(0, Math.min(this.order.length, count));
    while (this.splits()) this.line += down ? 1 : -1;
  }

  splits() {
    return this.line > 0 && this.line < this.order.length && this.tied.has(this.order[this.line]);
  }

  // The first is tied to nothing, and the line never runs through a tie.
  tidy() {
    this.tied.delete(this.order[0]);
    while (this.splits()) this.line += 1;
  }

  ranks() {
    const ranks = [];
    let rank = 0;
    this.order.forEach((card) => {
      if (!this.tied.has(card)) rank += 1;
      ranks[card] = rank;
    });
    return ranks;
  }

  acceptable() {
    if (this.line === this.order.length) return "";
    return this.line === 0 ? 0 : this.ranks()[this.order[this.line - 1]];
  }
}

export class RankingPage {
  constructor(form) {
    this.form = form;
    this.list = form.querySelector("#ranking");
    this.cards = [...this.list.querySelectorAll(".ranked")];
    this.cards.sort((a, b) => a.dataset.index - b.dataset.index);
    this.lineCard = this.list.querySelector("#line");
    const fields = [...form.querySelectorAll("[name^='acceptable_to-']")];
    this.criteria = fields.map((field) => field.name.slice("acceptable_to-".length));
    this.current = this.criteria[0];
    this.rankings = new Map(this.criteria.map((key) => [key, this.read(key)]));
    this.marked = Number(this.list.querySelector(".ranked").dataset.index);
    this.listen();
    this.measure();
    this.draw();
  }

  field(key, card) {
    return this.form.elements[`rank-${key}-${card}`];
  }

  read(key) {
    const ranks = this.cards.map((_, card) => this.field(key, card).value);
    if (ranks.some((rank) => rank === "")) return new Ranking(this.cards.length);
    return Ranking.fromRanks(ranks.map(Number), this.form.elements[`acceptable_to-${key}`].value);
  }

  get ranking() {
    return this.rankings.get(this.current);
  }

  change(act) {
    act(this.ranking);
    this.draw();
    this.write();
    this.tell();
    this.form.dispatchEvent(new Event("change", { bubbles: true }));
  }

  write() {
    const ranks = this.ranking.ranks();
    ranks.forEach((rank, card) => (this.field(this.current, card).value = rank));
    this.form.elements[`acceptable_to-${this.current}`].value = this.ranking.acceptable();
  }

  // For who does not see it move.
  tell() {
    const tied = this.ranking.tied.has(this.marked) ? ", tied with the one above" : "";
    const count = this.ranking.line;
    const line = count === this.cards.length ? "all are" : `the first ${count} of ${this.cards.length} are`;
    speak(`Response ${this.marked + 1}: rank ${this.ranking.ranks()[this.marked]}${tied}; ${count ? line : "none is"} acceptable.`);
  }

  draw() {
    const ranks = this.ranking.ranks();
    const wanted = this.ranking.order.map((card) => this.cards[card]);
    wanted.splice(this.ranking.line, 0, this.lineCard);
    this.arrange(wanted);
    this.ranking.order.forEach((card) => {
      const element = this.cards[card];
      element.classList.toggle("is-tied", this.ranking.tied.has(card));
      element.classList.toggle("is-marked", card === this.marked);
      element.querySelector(".rank").value = this.ranking.done ? ranks[card] : "–";
      element.querySelector("[data-tie]").setAttribute("aria-pressed", String(this.ranking.tied.has(card)));
    });
    for (const button of this.form.querySelectorAll("[data-rank-by]")) {
      button.setAttribute("aria-pressed", String(button.dataset.rankBy === this.current));
    }
  }

  // What stands right already stays, and with it focus and the finger that drags it.
  arrange(wanted) {
    const focused = document.activeElement;
    wanted.forEach((element, place) => {
      const there = this.list.children[place];
      if (there === element) return;
      if (this.list.moveBefore) this.list.moveBefore(element, there);
      else this.list.insertBefore(element, there);
    });
    if (focused !== document.activeElement && this.list.contains(focused)) focused.focus({ preventScroll: true });
  }

  // A card whose text fits needs no "Show all".
  measure() {
    for (const card of this.cards) {
      const text = card.querySelector(".ranked-text");
      card.classList.toggle("is-short", text.scrollHeight <= text.clientHeight + 2);
    }
    this.unfoldAllButton.hidden = this.cards.every((card) => card.classList.contains("is-short"));
  }

  show(key) {
    this.current = key;
    this.draw();
  }

  // By hand it is under the hand already, so nothing is scrolled.
  mark(card, { scrolls }) {
    this.marked = card;
    this.draw();
    this.cards[card].focus({ preventScroll: true });
    if (scrolls) this.cards[card].scrollIntoView({ block: "nearest" });
  }

  markNext(step) {
    const place = this.ranking.place(this.marked) + step;
    const card = this.ranking.order[Math.max(0, Math.min(this.cards.length - 1, place))];
    this.mark(card, { scrolls: true });
  }

  moveBy(card, step) {
    this.marked = card;
    this.change((ranking) => ranking.move(card, ranking.place(card) + step));
    this.cards[card].scrollIntoView({ block: "nearest" });
  }

  listen() {
    this.list.addEventListener("click", (event) => this.click(event));
    this.list.addEventListener("pointerdown", (event) => this.grab(event));
    this.form.querySelector("#order-is-right").addEventListener("click", () => this.change((r) => (r.done = true)));
    for (const button of this.form.querySelectorAll("[data-rank-by]")) {
      button.addEventListener("click", () => this.show(button.dataset.rankBy));
    }
    this.unfoldAllButton.addEventListener("click", () => this.unfoldAll());
  }

  get unfoldAllButton() {
    return this.form.querySelector("#unfold-all");
  }

  click(event) {
    const button = event.target.closest("button");
    const card = Number(event.target.closest(".ranked")?.dataset.index);
    if (button?.dataset.line) this.change((ranking) => ranking.moveLine(ranking.line + Number(button.dataset.line)));
    else if (button?.dataset.move) this.moveBy(card, Number(button.dataset.move));
    else if (button && "tie" in button.dataset) this.change((ranking) => ranking.toggleTie(card));
    else if (button && "unfold" in button.dataset) this.unfold(card);
    else if (!Number.isNaN(card) && !event.target.closest("a")) this.mark(card, { scrolls: false });
  }

  unfold(card, unfolded = !this.cards[card].classList.contains("is-unfolded")) {
    if (this.cards[card].classList.contains("is-short")) return false;
    this.cards[card].classList.toggle("is-unfolded", unfolded);
    const button = this.cards[card].querySelector("[data-unfold]");
    button.setAttribute("aria-expanded", String(unfolded));
    button.textContent = unfolded ? "Show less" : "Show all";
  }

  // All alike, so that none has more room than the others.
  unfoldAll() {
    const button = this.unfoldAllButton;
    const unfolded = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(unfolded));
    for (const card of this.cards.keys()) this.unfold(card, unfolded);
  }

  // Drag by the grip: mouse, pen and finger alike. The list is redrawn as the pointer passes cards,
  // and goes on scrolling while the pointer rests at an edge.
  grab(event) {
    const grip = event.target.closest(".grip");
    if (!grip || event.button !== 0) return;
    event.preventDefault();
    const dragged = grip.closest("li");
    dragged.classList.add("is-dragged");
    let y = event.clientY;
    let frame = 0;
    const move = (moved) => (y = moved.clientY);
    const follow = () => {
      if (y < EDGES.top) scrollBy({ top: -SCROLLS_BY, behavior: "instant" });
      else if (y > innerHeight - EDGES.bottom) scrollBy({ top: SCROLLS_BY, behavior: "instant" });
      this.dragTo(dragged, y);
      frame = requestAnimationFrame(follow);
    };
    const drop = (dropped) => {
      cancelAnimationFrame(frame);
      if (dropped.type === "pointerup") this.dragTo(dragged, dropped.clientY);
      dragged.classList.remove("is-dragged");
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", drop);
      removeEventListener("pointercancel", drop);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", drop);
    addEventListener("pointercancel", drop);
    frame = requestAnimationFrame(follow);
  }

  dragTo(dragged, y) {
    const others = this.ranking.order.map((card) => this.cards[card]).filter((card) => card !== dragged);
    const above = others.filter((card) => {
      const box = card.getBoundingClientRect();
      return box.top + box.height / 2 < y;
    }).length;
    if (dragged === this.lineCard) {
      if (above !== this.ranking.line) this.change((ranking) => ranking.moveLine(above));
      return;
    }
    const card = Number(dragged.dataset.index);
    this.marked = card;
    if (above !== this.ranking.place(card)) this.change((ranking) => ranking.move(card, above));
  }

  // Nothing to do with a list that nobody has put in order yet.
  problem() {
    const open = this.criteria.find((key) => !this.rankings.get(key).done);
    if (!open) return "";
    this.show(open);
    const button = this.form.querySelector(`[data-rank-by="${CSS.escape(open)}"]`);
    button?.scrollIntoView({ block: "center" });
    const by = button ? ` by “${button.textContent.trim()}”` : "";
    return `Put the list in order${by} first. If it already is, press O.`;
  }

  commands() {
    // Beyond the ninth place a card is moved there step by step.
    const digits = this.cards.slice(0, 9).map((_, card) => String(card + 1));
    const place = () => this.ranking.place(this.marked);
    return [
      { on: digits, shown: ["1", "…", digits.at(-1)], words: "Put the marked response at this rank", run: (name) => this.moveBy(this.marked, Number(name) - 1 - place()) },
      { on: ["ArrowUp", "ArrowDown"], shown: ["↑", "↓"], words: "Mark another response", repeats: true, run: (name) => this.markNext(name === "ArrowUp" ? -1 : 1) },
      { on: ["Shift+ArrowUp", "Shift+ArrowDown"], shown: ["Shift", "↑", "↓"], words: "Move the marked response", repeats: true, run: (name) => this.moveBy(this.marked, name === "Shift+ArrowUp" ? -1 : 1) },
      { on: ["t"], shown: ["T"], words: "As good as the one above", run: () => this.change((ranking) => ranking.toggleTie(this.marked)) },
      { on: ["a"], shown: ["A"], words: "None below the marked one is acceptable", run: () => this.change((ranking) => ranking.moveLine(place() + 1)) },
      { on: ["e"], shown: ["E"], words: "Show all of the marked response, or less", run: () => this.unfold(this.marked) },
      { on: ["v"], shown: ["V"], words: "Show all of every response, or less", run: () => this.unfoldAll() },
      { on: ["o"], shown: ["O"], words: "The order shown is right", run: () => this.change((ranking) => (ranking.done = true)) },
    ];
  }
}
