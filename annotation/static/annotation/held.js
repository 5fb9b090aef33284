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

  // Also tells the server that `assignment` is on screen.
  async fetchBeside(assignment) {
    try {
      const reply = await request(this.url, [["held", assignment]]);
      if (reply.status === 200) this.keep(new Screen(itemOf(await reply.text())));
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

  take() {
    const { screen } = this;
    this.screen = null;
    this.changed();
    return screen;
  }
}
