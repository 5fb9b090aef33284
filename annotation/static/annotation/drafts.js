// Drafts: what was chosen or written and not yet sent is kept in the browser at once and on the
// server soon after, so that it outlives a reload, a dead battery and a change of device.
import { request } from "./requests.js";

const PREFIX = "prefloop-draft-";
const TO_SERVER_AFTER = 2000;
const AGAIN_AFTER = 15_000;
const KEPT_FOR = 30 * 24 * 3600 * 1000;
const NOT_TYPED = ["csrfmiddlewaretoken", "assignment", "client_key", "protocol", "duration_ms", "active_ms"];

const isTyped = (name) => Boolean(name) && !NOT_TYPED.includes(name);

export function valuesOf(form) {
  return [...new FormData(form)].filter(([name]) => isTyped(name));
}

export function fill(form, values) {
  for (const field of form.elements) {
    if (!isTyped(field.name)) continue;
    const given = values.filter(([name]) => name === field.name).map(([, value]) => value);
    if (field.type === "radio" || field.type === "checkbox") field.checked = given.includes(field.value);
    else if (given.length) field.value = given[0];
  }
}

export class Draft {
  constructor(form, url) {
    this.form = form;
    this.url = url;
    this.place = PREFIX + form.dataset.draft;
    this.changedAt = null;
    this.leaving = () => this.changedAt && this.send();
    addEventListener("pagehide", this.leaving);
  }

  // The newest by time: of this browser, or from another device by way of the server.
  restore() {
    const here = JSON.parse(localStorage.getItem(this.place) ?? "null");
    const { saved, savedAge } = this.form.dataset;
    const there = saved && { values: JSON.parse(saved), at: Date.now() - Number(savedAge) };
    const newest = !there || here?.at > there.at ? here : there;
    if (!newest) return;
    fill(this.form, newest.values);
    if (newest === here) this.note(here.at, TO_SERVER_AFTER);
  }

  changed() {
    this.note(Date.now(), TO_SERVER_AFTER);
    try {
      localStorage.setItem(this.place, JSON.stringify({ at: this.changedAt, values: this.values }));
    } catch {
      // No room in this browser: the server has it in a moment.
    }
  }

  note(at, later) {
    this.changedAt = at;
    this.values = valuesOf(this.form);
    this.sendIn(later);
  }

  sendIn(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(), milliseconds);
  }

  async send() {
    clearTimeout(this.timer);
    const at = this.changedAt;
    const fields = [
      ["assignment", this.form.elements.assignment.value],
      ["revision", this.form.dataset.revision],
      ["age_ms", String(Date.now() - at)],
      ["values", JSON.stringify(this.values)],
    ];
    try {
      const reply = await request(this.url, fields);
      if (reply.status >= 500) this.sendIn(AGAIN_AFTER);
      else if (this.changedAt === at) this.changedAt = null;
    } catch {
      if (this.changedAt) this.sendIn(AGAIN_AFTER);
    }
  }

  // Sent as an answer: the server deletes its own copy with that.
  forget() {
    clearTimeout(this.timer);
    removeEventListener("pagehide", this.leaving);
    this.changedAt = null;
    localStorage.removeItem(this.place);
  }

  // Given up: it is not offered again, here or on another device.
  giveUp() {
    this.forget();
    this.changedAt = Date.now();
    this.values = [];
    this.send();
  }
}

export function forgetOldDrafts() {
  for (const key of Object.keys(localStorage).filter((one) => one.startsWith(PREFIX))) {
    const { at } = JSON.parse(localStorage.getItem(key));
    if (!at || at < Date.now() - KEPT_FOR) localStorage.removeItem(key);
  }
}
