// What is said of answers on their way: how many wait, and which the server would not take.
import { OUTCOME } from "./outbox.js";
import { say } from "./said.js";

const QUIET_FOR = 1500;
const byId = (id) => document.getElementById(id);
const answers = (count) => (count === 1 ? "1 answer" : `${count} answers`);

export function actButton(words, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button";
  button.textContent = words;
  button.addEventListener("click", act);
  return button;
}

export class Unsent {
  constructor(work) {
    this.work = work;
    this.today = Number(byId("today").dataset.today);
  }

  // The server counted today's answers for the page; since then they are counted here.
  count(entry) {
    if (entry.isNew) this.today += 1;
  }

  draw() {
    const { outbox } = this.work;
    const { unsent, refused } = outbox;
    const isStuck = outbox.state === OUTCOME.lost || outbox.state === OUTCOME.signedOut;
    this.work.main.dataset.unsent = unsent.length;
    this.drawToday(unsent.filter((entry) => entry.isNew).length);
    const chip = byId("on-the-way");
    chip.hidden = !refused.length && !(unsent.length && (isStuck || unsent[0].at < Date.now() - QUIET_FOR));
    chip.textContent = refused.length ? `${answers(refused.length)} not taken` : `${answers(unsent.length)} waiting for the connection`;
    if (outbox.state === OUTCOME.signedOut && unsent.length) chip.textContent = `Sign in again: ${answers(unsent.length)} waiting`;
    this.drawWaiting(unsent.length, isStuck);
    this.drawDialog(unsent, refused);
    clearTimeout(this.timer);
    if (unsent.length && chip.hidden) this.timer = setTimeout(() => this.draw(), QUIET_FOR);
  }

  drawToday(coming) {
    const today = byId("today");
    const target = today.dataset.target ? ` of ${today.dataset.target}` : "";
    today.textContent = `${this.today + coming}${target} today`;
  }

  drawWaiting(count, isStuck) {
    const { screen } = this.work;
    if (!screen?.isWaiting) return;
    screen.node.querySelector(".waiting-title").textContent = isStuck ? "Waiting for the connection" : "Bringing the next item";
    screen.node.querySelector(".waiting-text").textContent = isStuck
      ? `${answers(count)} kept in this browser. They are sent by themselves as soon as the server can be reached; you need not do anything.`
      : "";
  }

  drawDialog(unsent, refused) {
    const dialog = byId("refused");
    const close = actButton("Close", () => dialog.hidePopover());
    dialog.replaceChildren(element("h2", "Answers that wait"));
    if (unsent.length) dialog.append(element("p", `${answers(unsent.length)} not sent yet. They are kept in this browser and sent in order by themselves.`));
    if (this.work.outbox.state === OUTCOME.signedOut) dialog.append(this.signInLine());
    for (const entry of refused) dialog.append(this.refusedLine(entry));
    dialog.append(close);
  }

  signInLine() {
    const line = element("p", "You were signed out. ");
    const link = element("a", "Sign in in another window");
    Object.assign(link, { href: this.work.urls.next, target: "_blank" });
    line.append(link, "; then they are sent from here.");
    return line;
  }

  refusedLine(entry) {
    const line = element("section", "");
    line.className = "stack-small";
    const comment = entry.fields.filter(([name, value]) => ["comment", "reason", "note", "rewrite"].includes(name) && value).map(([, value]) => value);
    line.append(element("p", `Not taken: ${entry.refused}`), ...comment.map((text) => element("blockquote", text)));
    const row = element("p", "");
    row.className = "row";
    row.append(
      actButton("Back to that item", () => this.goBack(entry)),
      actButton("Throw it away", () => this.work.outbox.drop(entry)),
    );
    line.append(row);
    return line;
  }

  hearStored(entry) {
    say(entry.words, { act: actFor(entry, this.work) });
  }

  hearRefused(entry) {
    say(`Your answer was not taken. ${entry.refused}`, { isError: true, act: actButton("Back to it", () => this.goBack(entry)) });
  }

  // To the item, with all that was chosen and written; sent again it is an answer of its own.
  goBack(entry) {
    byId("refused").hidePopover();
    say("");
    this.work.visit(`${entry.project}${entry.assignment}/`, { values: entry.fields });
  }

  forgetRefused(assignment) {
    for (const entry of this.work.outbox.refused) {
      if (entry.assignment === assignment) this.work.outbox.drop(entry);
    }
  }
}

function actFor(entry, work) {
  if (entry.url === work.urls.submit) return actButton("Undo", () => byId("undo").click());
  if (entry.goesOn) return actButton("Go back", () => work.visit(`${entry.project}${entry.assignment}/`));
  return null;
}

function element(tag, words) {
  const made = document.createElement(tag);
  made.textContent = words;
  return made;
}
