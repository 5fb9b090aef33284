// Time on task: what passes while the page is seen and somebody moves, types or scrolls.
const IDLE_AFTER = 30_000;
const TICK = 1000;

let lastActive = performance.now();

for (const kind of ["pointermove", "pointerdown", "keydown", "scroll", "touchmove"]) {
  addEventListener(kind, () => (lastActive = performance.now()), { passive: true, capture: true });
}

export const idleFor = () => performance.now() - lastActive;

// One watch an item; it rests while another item is on screen.
export class Watch {
  constructor() {
    this.activeMs = 0;
    this.passedMs = 0;
    this.start();
  }

  start() {
    this.stop();
    lastActive = this.last = performance.now();
    this.timer = setInterval(() => this.tick(), TICK);
  }

  stop() {
    if (this.timer) this.tick();
    clearInterval(this.timer);
    this.timer = null;
  }

  tick() {
    const now = performance.now();
    const passed = now - this.last;
    this.passedMs += passed;
    const awake = document.visibilityState === "visible" && idleFor() < IDLE_AFTER;
    if (awake) this.activeMs += Math.min(passed, TICK * 1.5);
    this.last = now;
  }

  stamp(form) {
    this.tick();
    form.elements.duration_ms.value = Math.round(this.passedMs);
    form.elements.active_ms.value = Math.round(this.activeMs);
  }
}
