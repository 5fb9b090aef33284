// The work in hand: the item on screen, the one held ready after it, and answers on their way.
import { Held } from "./held.js";
import { Outbox } from "./outbox.js";
import { newKey, request, itemOf, wordsOf } from "./requests.js";
import { say, speak } from "./said.js";
import { Screen } from "./screen.js";
import { Unsent } from "./unsent.js";

const TRIES_AGAIN_AFTER = 3000;
const ONE_PRESS = 400;

export class Work {
  // `entered(screen)` is told of every new screen.
  constructor(main, entered) {
    this.main = main;
    this.urls = main.dataset;
    this.entered = entered;
    this.screen = null;
    // What somebody went away from, to change an older answer.
    this.parked = null;
    this.held = new Held(this.urls.ahead, () => (main.dataset.held = this.held.screen ? "1" : "0"));
    this.unsent = new Unsent(this);
    this.outbox = new Outbox(this.urls.labeler, this);
    this.adopt(main.querySelector("#item"));
    this.outbox.flush();
  }

  // What stands in the page already: at first, and when the empty page found work.
  adopt(node) {
    this.screen?.leave();
    this.enter(new Screen(node));
    if (!this.outbox.unsent.length) this.lookAhead();
  }

  go(screen) {
    this.screen.leave();
    this.screen.node.replaceWith(screen.node);
    window.htmx.process(screen.node);
    scrollTo(0, 0);
    this.enter(screen);
  }

  enter(screen) {
    this.screen = screen;
    screen.enter(this.urls.draft, () => this.submit());
    this.main.focus({ preventScroll: true });
    this.unsentChanged();
    this.entered(screen);
  }

  submit() {
    const { screen } = this;
    const problem = screen.problem();
    // A press too many for the item before asks nothing of this one.
    if (problem) return Date.now() - this.submittedAt < ONE_PRESS ? undefined : say(problem, { isError: true });
    this.submittedAt = Date.now();
    const words = screen.isChange ? "Changed." : "Saved.";
    const fields = screen.fields();
    screen.draft.forget();
    this.send({ url: this.urls.submit, fields, words, isNew: !screen.isChange, goesOn: true });
    this.unsent.forgetRefused(screen.assignment);
    this.next();
  }

  // A skip or a flag, from a dialog of its own.
  sendForm(form, words, goesOn) {
    const fields = [...new FormData(form)].filter(([name]) => name !== "csrfmiddlewaretoken" && name !== "assignment");
    const own = [["assignment", this.screen.assignment], ["client_key", newKey()]];
    this.send({ url: form.getAttribute("action"), fields: [...own, ...fields], words, isNew: false, goesOn });
    if (!goesOn) return;
    this.screen.draft.forget();
    this.next();
  }

  send(entry) {
    const field = (name) => entry.fields.find(([one]) => one === name)[1];
    const project = this.urls.next;
    const isLeased = !this.screen.isChange;
    this.outbox.put({ ...entry, project, isLeased, assignment: field("assignment"), key: field("client_key") });
  }

  next() {
    const screen = this.parked ?? this.held.take();
    this.parked = null;
    this.go(screen ?? this.waiting());
    if (screen) speak("Next item.");
  }

  waiting() {
    const copy = document.getElementById("waiting").content.cloneNode(true);
    return new Screen(copy.querySelector("#item"), { isWaiting: true });
  }

  // For the outbox: the item that the labeler has beside the one that this entry answers.
  heldBeside(entry) {
    if (entry.project !== this.urls.next) return null;
    const others = [this.screen, this.parked].filter((one) => one?.form && !one.isChange);
    const shown = others.map((one) => one.assignment).filter((one) => !this.outbox.has(one));
    const coming = this.outbox.unsent.filter((one) => one.isLeased && one.goesOn && one.project === entry.project);
    return [...shown, ...coming.map((one) => one.assignment)].find((one) => one !== entry.assignment) ?? null;
  }

  stored(entry, html) {
    if (entry.project !== this.urls.next) return;
    const node = html ? itemOf(html) : null;
    const brought = node ? new Screen(node) : null;
    this.unsent.count(entry);
    this.unsent.hearStored(entry);
    const here = [this.screen, this.parked].map((one) => one?.assignment);
    const isNews = brought && !(brought.form && (here.includes(brought.assignment) || this.outbox.has(brought.assignment)));
    const isOver = this.screen.isWaiting || (entry.goesOn && this.screen.assignment === entry.assignment && !this.screen.isChange);
    if (isNews && isOver) this.go(brought);
    else if (isNews && brought.form) this.held.keep(brought);
    if (isOver && !this.outbox.unsent.length) isNews ? this.lookAhead() : this.bring();
  }

  refused(entry) {
    this.unsent.hearRefused(entry);
    if (this.screen.isWaiting) this.visit(`${entry.project}${entry.assignment}/`, { values: entry.fields });
  }

  unsentChanged() {
    this.unsent?.draw();
  }

  lookAhead() {
    const { screen } = this;
    if (!screen.form || screen.isChange || this.held.screen) return;
    this.held.fetchBeside(screen.assignment, () => [this.screen, this.parked].includes(screen) && !this.held.screen);
  }

  // The next item, by itself: after an answer whose reply brought none.
  async bring() {
    const screen = await this.fetchScreen(this.urls.next);
    if (!this.screen.isWaiting) return;
    if (!screen) return void setTimeout(() => this.screen.isWaiting && this.bring(), TRIES_AGAIN_AFTER);
    this.go(screen);
    this.lookAhead();
  }

  async fetchScreen(url, options = {}) {
    try {
      const reply = await request(url);
      const html = await reply.text();
      const node = reply.ok ? itemOf(html) : null;
      if (node) return new Screen(node, options);
      say(wordsOf(html) || `The server could not do this (error ${reply.status}).`, { isError: true });
    } catch {
      say("No connection. Try again in a moment.", { isError: true });
    }
    return null;
  }

  // Away from the item in hand, to one that was answered or skipped before.
  async visit(url, options = {}) {
    await this.outbox.flush();
    if (this.outbox.unsent.length) return say("No connection. Answers given before can be changed when it is back.", { isError: true });
    const screen = await this.fetchScreen(url, options);
    if (!screen) return;
    if (!options.values) say("");
    if (this.screen.form && !this.screen.isChange && this.screen.assignment !== screen.assignment) this.parked = this.screen;
    this.go(screen);
    if (screen.isChange) speak("Changing your answer.");
  }

  // Back from a change that is not made.
  leave() {
    this.screen.draft?.giveUp();
    if (this.parked) return this.next();
    this.go(this.waiting());
    this.bring();
  }

  async keepLeases() {
    const screens = [this.screen, this.parked].filter((one) => one?.form && !one.isChange);
    const mine = [...screens.map((one) => one.assignment), ...(this.held.screen ? [this.held.assignment] : [])];
    if (!mine.length) return;
    try {
      const reply = await request(this.urls.heartbeat, mine.map((one) => ["assignment", one]));
      if (!reply.ok) return;
      const { live } = await reply.json();
      if (this.held.screen) this.held.stillLives(live.includes(Number(this.held.assignment)));
      this.lookAhead();
    } catch {
      // The next beat says it again.
    }
  }
}

