// The reviewer's page: an item answered blind, then decided with the votes in view, by key or hand.
import { drawSheet, isWriting, press } from "../annotation/keys.js";
import { Pairwise } from "../annotation/pairwise.js";
import { RankingPage } from "../annotation/ranking.js";
import { say } from "../annotation/said.js";
import { Thumbs } from "../annotation/thumbs.js";
import { Watch, idleFor } from "../annotation/time.js";

const KINDS = { pairwise: Pairwise, listwise: RankingPage, thumbs: Thumbs };
const HEARTBEAT_EVERY = 60_000;
const LEASE_WHILE_IDLE = 5 * 60_000;
const DRAFT = "prefloop-review-";
const NOT_TYPED = ["csrfmiddlewaretoken", "client_key", "duration_ms", "active_ms", "votes", "named"];

const byId = (id) => document.getElementById(id);
const page = { form: null, kind: null, watch: null, table: [] };

function click(id) {
  const found = byId(id);
  if (!found) return false;
  found.click();
}

// The one that opens shuts the other: both lie at the same place.
function toggle(id) {
  const panel = byId(id);
  if (!panel) return false;
  const opens = !panel.open;
  shutPanels();
  panel.open = opens;
  if (opens) panel.querySelector("textarea, input:not([type=hidden])").focus();
}

function shutPanels(but = null) {
  for (const panel of page.form?.querySelectorAll("details.reasons[open]") ?? []) {
    if (panel !== but) panel.open = false;
  }
}

const ANYWHERE = [
  { on: ["u"], shown: ["U"], words: "Take my last decision back", run: () => click("undo") },
  { on: ["q"], shown: ["Q"], words: "What waits, and which of it is shown", run: () => void byId("queue").togglePopover() },
  { on: ["g"], shown: ["G"], words: "Guidelines", run: () => void byId("guidelines").togglePopover() },
  { on: ["?"], shown: ["?"], words: "This sheet", run: () => void byId("keys").togglePopover() },
];
const SHEETS = ANYWHERE.filter((row) => row.on[0] !== "u");

const ON_AN_ITEM = [
  { on: ["s"], shown: ["S"], words: "Later: the next one comes", run: () => click("skip") },
  { on: ["p"], shown: ["P"], words: "Show or hide the prompt", run: () => void (byId("prompt").open = !byId("prompt").open) },
];
const STEPS = {
  blind: [
    { on: ["Enter"], shown: ["Enter"], words: "Answer, and see what others answered", run: () => click("submit") },
    { on: ["r"], shown: ["R"], words: "Reasons and a comment", run: () => toggle("reasons") },
  ],
  decide: [
    { on: ["Enter"], shown: ["Enter"], words: "Decide, and on to the next item", run: () => click("submit") },
    { on: ["n"], shown: ["N"], words: "Show names", run: () => click("names") },
    { on: ["r"], shown: ["R"], words: "A note with the decision", run: () => toggle("reasons") },
    { on: ["m"], shown: ["M"], words: "More: send back, exclude, set as gold", run: () => toggle("more") },
  ],
};

// While the panel is open its own keys come first; elsewhere they would be pressed by mistake.
const IN_MORE = [
  { on: ["a"], run: () => click("send-back") },
  { on: ["x"], run: () => click("exclude") },
];

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const inMore = byId("more")?.open && event.target.type === "number" && /^[a-z]$/i.test(event.key);
  if (isWriting(event.target) && !inMore) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (document.querySelector(":popover-open")) return void press(SHEETS, event);
  if (event.key === "Escape") shutPanels();
  if (event.key === "Enter" && event.target.closest("button, a, summary")) return;
  if (byId("more")?.open && press(IN_MORE, event)) return;
  // Among the reasons letters are words, not commands: they go on in the text.
  const panel = event.target.closest("#reasons .reasons-panel");
  if (panel && event.key.length === 1) {
    if (event.key !== " ") panel.querySelector("textarea").focus();
    return;
  }
  press(page.table, event);
}

// What was chosen or written outlives a reload or a dead battery.
const draftKey = () => DRAFT + page.form.dataset.draft;
const isTyped = (field) => field.name && !NOT_TYPED.includes(field.name) && !field.name.startsWith("seen-");

function saveDraft() {
  const fields = [...page.form.elements].filter(isTyped);
  const values = fields.filter((one) => !["radio", "checkbox"].includes(one.type) || one.checked);
  localStorage.setItem(draftKey(), JSON.stringify(values.map((one) => [one.name, one.value])));
}

function restoreDraft() {
  const saved = localStorage.getItem(draftKey());
  if (!saved) return;
  const values = JSON.parse(saved);
  for (const field of [...page.form.elements].filter(isTyped)) {
    const given = values.filter(([name]) => name === field.name).map(([, value]) => value);
    if (field.type === "radio" || field.type === "checkbox") field.checked = given.includes(field.value);
    else if (given.length) field.value = given[0];
  }
}

function changed(event) {
  page.kind.changed?.(event);
  saveDraft();
}

function setUp() {
  const said = byId("said");
  if (said?.textContent && !said.dataset.heard) {
    said.dataset.heard = "1";
    say(said.textContent);
  }
  const found = byId("answer");
  if (found === page.form) return;
  page.watch?.stop();
  page.form = found;
  page.table = ANYWHERE;
  if (found) show(found);
  drawSheet(byId("keys-list"), page.table);
}

function show(form) {
  restoreDraft();
  page.kind = new KINDS[form.dataset.kind](form);
  page.watch = new Watch();
  page.table = [...page.kind.commands(), ...STEPS[form.dataset.step], ...ON_AN_ITEM, ...ANYWHERE];
  form.addEventListener("change", changed);
  form.addEventListener("input", saveDraft);
  byId("main").focus({ preventScroll: true });
}

function tooShort() {
  const missing = Number(page.form.dataset.commentMin ?? 0) - (byId("comment")?.value.trim().length ?? 0);
  if (!page.form.dataset.commentMin || missing <= 0) return "";
  byId("reasons").open = true;
  byId("comment").focus();
  return `Say why: ${missing} more characters are asked for.`;
}

function refuseUnready(event) {
  if (!page.form || !event.target.closest("#submit")) return;
  const problem = page.kind.problem() || tooShort();
  if (!problem) return;
  event.preventDefault();
  say(problem, { isError: true });
}

// While somebody is at it, no other reviewer gets the item.
function beat() {
  if (page.form && idleFor() < LEASE_WHILE_IDLE) byId("heart")?.dispatchEvent(new Event("heartbeat"));
}

function stamp() {
  if (page.form) page.watch.stamp(page.form);
}

document.addEventListener("keydown", key);
document.addEventListener("click", (event) => {
  refuseUnready(event);
  shutPanels(event.target.closest("details.reasons"));
}, true);
document.addEventListener("submit", stamp, true);
document.addEventListener("htmx:configRequest", (event) => {
  if (!event.target.closest("#answer") || !page.form) return;
  stamp();
  for (const name of ["duration_ms", "active_ms"]) {
    if (name in event.detail.parameters) event.detail.parameters[name] = page.form.elements[name].value;
  }
});
document.addEventListener("htmx:sendError", () => say("No connection. What you chose is kept here; press again in a moment.", { isError: true }));
document.addEventListener("htmx:responseError", (event) => {
  const { status, responseText } = event.detail.xhr;
  const words = new DOMParser().parseFromString(responseText, "text/html").querySelector("[data-error]");
  say(words?.textContent.trim() || `The server could not take this (error ${status}). What you chose is kept here.`, { isError: true });
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const sent = event.detail.requestConfig.verb === "post" && event.target.id === "item";
  if (sent && event.detail.shouldSwap && page.form) localStorage.removeItem(draftKey());
});
setInterval(beat, HEARTBEAT_EVERY);
document.addEventListener("htmx:load", setUp);
document.addEventListener("DOMContentLoaded", setUp);
