// Answers on their way: kept in this browser until the server says that it has stored them.
//
// Each has a key of its own, so that sending it twice is harmless, and its own place in
// localStorage, so that two windows do not get in each other's way. They are sent in order.
import { asksToSignIn, refusesToken, renewToken, request, wordsOf } from "./requests.js";

const PREFIX = "prefloop-outbox-";
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 30_000;
const MOST_CONFLICTS = 3;

export const OUTCOME = { stored: "stored", refused: "refused", lost: "lost", signedOut: "signed out" };

export class Outbox {
  // `work` has heldBeside(entry), stored(entry, html), refused(entry) and unsentChanged().
  constructor(user, work) {
    this.prefix = `${PREFIX}${user}-`;
    this.work = work;
    this.pause = FIRST_PAUSE;
    this.state = OUTCOME.stored;
    this.entries = this.load();
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.hurry());
  }

  load() {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(this.prefix)).sort();
    return keys.map((key) => JSON.parse(localStorage.getItem(key)));
  }

  // An entry: { url, project, assignment, key, fields, words }; isNew: it counts as one more of
  // today; isLeased: the item is not answered yet; goesOn: the item leaves the screen with it.
  put(entry) {
    entry.at = Date.now();
    this.entries.push(entry);
    this.keep(entry);
    // The next item comes first, and is then named in the request.
    queueMicrotask(() => this.hurry());
  }

  placeOf(entry) {
    return `${this.prefix}${entry.at}-${entry.key}`;
  }

  keep(entry) {
    try {
      localStorage.setItem(this.placeOf(entry), JSON.stringify(entry));
    } catch {
      // No room in this browser: it is kept for as long as the page is open.
    }
  }

  drop(entry) {
    this.entries = this.entries.filter((other) => other !== entry);
    localStorage.removeItem(this.placeOf(entry));
    this.work.unsentChanged();
  }

  get unsent() {
    return this.entries.filter((entry) => !entry.refused);
  }

  get refused() {
    return this.entries.filter((entry) => entry.refused);
  }

  has(assignment) {
    return this.unsent.some((entry) => entry.goesOn && entry.assignment === assignment);
  }

  hurry() {
    this.pause = FIRST_PAUSE;
    return this.flush();
  }

  // One at a time; resolves when nothing more can be sent for now.
  flush() {
    clearTimeout(this.timer);
    this.sending ??= this.sendAll().finally(() => (this.sending = null));
    return this.sending;
  }

  async sendAll() {
    for (let [entry] = this.unsent; entry; [entry] = this.unsent) {
      this.work.unsentChanged();
      this.state = await this.send(entry);
      if (this.state === OUTCOME.lost || this.state === OUTCOME.signedOut) {
        this.timer = setTimeout(() => this.flush(), this.pause);
        this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
        break;
      }
    }
    this.work.unsentChanged();
  }

  async send(entry) {
    const held = this.work.heldBeside(entry);
    const reply = await this.tryToSend(entry.url, held ? [...entry.fields, ["held", held]] : entry.fields);
    if (!reply) return OUTCOME.lost;
    if (refusesToken(reply, reply.html)) return renewToken().then(() => OUTCOME.lost, () => OUTCOME.lost);
    const outcome = outcomeOf(entry, reply);
    if (outcome === OUTCOME.stored) {
      this.drop(entry);
      this.pause = FIRST_PAUSE;
      this.work.stored(entry, reply.html);
    } else if (outcome === OUTCOME.refused) {
      entry.refused = wordsOf(reply.html) || `The server could not take it (error ${reply.status}).`;
      this.keep(entry);
      this.work.refused(entry);
    }
    return outcome;
  }

  // Null: nothing came back.
  async tryToSend(url, fields) {
    try {
      const reply = await request(url, fields);
      return { ok: reply.ok, status: reply.status, headers: reply.headers, html: await reply.text() };
    } catch {
      return null;
    }
  }
}

function outcomeOf(entry, reply) {
  // A network on the way may answer for the server: only this header says that it is stored.
  if (reply.ok && reply.headers.get("Prefloop-Stored") === entry.key) return OUTCOME.stored;
  if (asksToSignIn(reply)) return OUTCOME.signedOut;
  if (reply.status === 409) {
    entry.conflicts = (entry.conflicts ?? 0) + 1;
    return entry.conflicts < MOST_CONFLICTS ? OUTCOME.lost : OUTCOME.refused;
  }
  return [400, 403, 404, 413, 422].includes(reply.status) ? OUTCOME.refused : OUTCOME.lost;
}
