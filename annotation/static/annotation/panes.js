// Two responses side by side, with the same room for both; on a phone one a swipe away.
//
// How they are read (together, in full, with differences) holds for the rest of the session.
import { canMark, clearMarks, markDifference } from "./difference.js";

const PLACE = "prefloop-reading";
const AS_A_RULE = { together: true, whole: false, difference: false };
const KEYS = { difference: "d", together: "y", whole: "x" };
const WORDS = { difference: "Mark what only one of them says", together: "Scroll both together, or each by itself", whole: "Show both in full length, or in panes" };
const PAGE = 0.85;

const reading = { ...AS_A_RULE, ...JSON.parse(sessionStorage.getItem(PLACE) ?? "{}") };

export class Panes {
  constructor(form) {
    this.form = form;
    this.pair = form.querySelector("#pair");
    this.panes = [...this.pair.querySelectorAll(".response")];
    this.tabs = [...form.querySelectorAll("[data-side]")];
    this.buttons = Object.keys(KEYS).map((name) => form.querySelector(`#${name}`)).filter(Boolean);
    if (!canMark()) this.buttons = this.buttons.filter((button) => button.id !== "difference" || (button.hidden = true, false));
    for (const button of this.buttons) button.addEventListener("click", () => this.toggle(button.id));
    this.watchTabs();
    this.watchScrolling();
    this.draw();
  }

  toggle(name) {
    reading[name] = !reading[name];
    sessionStorage.setItem(PLACE, JSON.stringify(reading));
    this.draw();
  }

  draw() {
    for (const button of this.buttons) button.setAttribute("aria-pressed", String(reading[button.id]));
    this.form.classList.toggle("is-whole", reading.whole);
    const isWanted = () => this.buttons.some((button) => button.id === "difference") && reading.difference && this.form.isConnected;
    if (isWanted()) markDifference(...this.panes, isWanted);
    else if (canMark()) clearMarks();
  }

  watchTabs() {
    for (const tab of this.tabs) {
      tab.addEventListener("click", (event) => {
        event.preventDefault();
        const side = this.panes[tab.dataset.side - 1];
        this.pair.scrollTo({ left: side.offsetLeft - this.pair.offsetLeft });
      });
    }
    this.pair.addEventListener("scroll", () => {
      const seen = Math.round(this.pair.scrollLeft / this.pair.clientWidth);
      this.tabs.forEach((tab, place) => (place === seen ? tab.setAttribute("aria-current", "true") : tab.removeAttribute("aria-current")));
    }, { passive: true });
  }

  // The pane under the hand leads; the other follows in proportion, so that both end together.
  watchScrolling() {
    for (const pane of this.panes) {
      for (const kind of ["pointerenter", "wheel", "touchstart", "focus", "keydown"]) {
        pane.addEventListener(kind, () => (this.leader = pane), { passive: true });
      }
      pane.addEventListener("scroll", () => this.follow(pane), { passive: true });
    }
  }

  follow(pane) {
    if (!reading.together || pane !== this.leader) return;
    const other = this.panes.find((one) => one !== pane);
    const share = pane.scrollTop / Math.max(1, pane.scrollHeight - pane.clientHeight);
    other.scrollTop = share * (other.scrollHeight - other.clientHeight);
  }

  // By key both go on, each by as much of its room.
  scroll(step) {
    const long = this.panes.filter((pane) => pane.scrollHeight > pane.clientHeight + 1 && getComputedStyle(pane).overflowY === "auto");
    if (!long.length) return false;
    const longest = long.reduce((one, other) => (other.scrollHeight > one.scrollHeight ? other : one));
    for (const pane of reading.together ? [(this.leader = longest)] : long) pane.scrollBy({ top: step * pane.clientHeight * PAGE });
  }

  commands() {
    const toggles = this.buttons.map(({ id }) => ({ on: [KEYS[id]], shown: [KEYS[id].toUpperCase()], words: WORDS[id], run: () => this.toggle(id) }));
    if (!toggles.length) return [];
    return [
      ...toggles,
      { on: ["j", " ", "PageDown"], shown: ["Space", "J"], words: "Read on in both", repeats: true, run: (name, event) => isFree(event) && this.scroll(1) },
      { on: ["k", "Shift+ ", "PageUp"], shown: ["K"], words: "Back in both", repeats: true, run: (name, event) => isFree(event) && this.scroll(-1) },
    ];
  }
}

// The space bar presses what has the focus, where that can be pressed.
const isFree = (event) => event.key !== " " || !event.target.closest("button, a, summary, input");
