// The item after this one, held ready so that it is there at once.
import { itemOf, request } from "./requests.js";
import { Screen } from "./screen.js";

// The lease of what is only held is short (two minutes) and must be heard of in time.
const FRESH_FOR = 100_000;

export class Held {
  constructor(url, changed) {
    this.url = url;
    this.changed = changed;
    this.screen = null;
  }

  get assignment() {
    return this.screen?.assignment ?? null;
  }

  // Without a connection nobody else can be told to take it, so it may as well be judged.
  get isUsable() {
    return Boolean(this.screen) && (Date.now() - this.heardAt < FRESH_FOR || !navigator.onLine);
  }

  // Also tells the server that `assignment` is on screen. What comes when somebody has gone on
  // since comes again with the reply to the answer, and is not to be shown twice.
  async fetchBeside(assignment, isWanted) {
    try {
      const reply = await request(this.url, [["held", assignment]]);
      const html = await reply.text();
      if (reply.status === 200 && isWanted()) this.keep(new Screen(itemOf(html)));
    } catch {
      // Then the next item comes with the reply to the answer.
    }
  }

  keep(screen) {
    this.screen = screen;
    this.heardAt = Date.now();
    this.changed();
  }

  stillLives(isLive) {
    if (isLive) this.heardAt = Date.now();
    else this.take();
  }

  // Null when it is not ready, or held so long that somebody else may have it by now.
  take() {
    const screen = this.isUsable ? this.screen : null;
    this.screen = null;
    this.changed();
    return screen;
  }
}
