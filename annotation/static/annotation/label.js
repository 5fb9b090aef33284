// The labeling page: sets up the item on screen, and hears the keys.
//
// A kind of item is a class: constructor(form), commands() for the key table (see keys.js),
// problem() that shows and names what is missing, and changed(event) where it minds.
import { restoreDraft, saveDraft } from "./drafts.js";
import { drawSheet, isWriting, press } from "./keys.js";
import { Pairwise } from "./pairwise.js";
import { RankingPage } from "./ranking.js";
import { hushError, say } from "./said.js";
import { listenToSwaps } from "./swaps.js";
import { Thumbs } from "./thumbs.js";
import { Watch, idleFor } from "./time.js";

const KINDS = { pairwise: Pairwise, listwise: RankingPage, thumbs: Thumbs };
const HEARTBEAT_EVERY = 60_000;
const LEASE_WHILE_IDLE = 5 * 60_000;

const byId = (id) => document.getElementById(id);

// What is on screen: `form` and `kind` are null where there is nothing to judge.
const page = { form: null, kind: null, watch: null, table: [] };

function click(id) {
  const found = byId(id);
  if (!found) return false;
  found.click();
}

function toggleReasons() {
  const reasons = byId("reasons");
  reasons.open = !reasons.open;
  if (reasons.open) reasons.querySelector("input, textarea").focus();
}

const ANYWHERE = [
  { on: ["u"], shown: ["U"], words: "Change my last answer", run: () => click("undo") },
  { on: ["g"], shown: ["G"], words: "Guidelines", run: () => void byId("guidelines").togglePopover() },
  { on: ["?"], shown: ["?"], words: "This sheet", run: () => void byId("keys").togglePopover() },
];

const ON_AN_ITEM = [
  { on: ["Enter"], shown: ["Enter"], words: "Submit, and on to the next item", run: () => click("submit") },
  { on: ["r"], shown: ["R"], words: "Reasons and a comment", run: toggleReasons },
  { on: ["p"], shown: ["P"], words: "Show or hide the prompt", run: () => void (byId("prompt").open = !byId("prompt").open) },
  { on: ["s"], shown: ["S"], words: "Skip", run: () => click("skip") },
  { on: ["f"], shown: ["F"], words: "Flag a problem with the item", run: () => click("flag") },
];

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (isWriting(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (document.querySelector(":popover-open")) {
    press(ANYWHERE.filter((row) => ["g", "?"].includes(row.on[0])), event);
    return;
  }
  if (event.key === "Escape" && page.form) byId("reasons").open = false;
  if (event.key === "Enter" && event.target.closest("button, a, summary")) return;
  // Among the reasons letters are words, not commands: they go on in the comment.
  if (event.key.length === 1 && event.target.closest(".reasons-panel")) {
    if (event.key !== " ") byId("comment").focus();
    return;
  }
  press(page.table, event);
}

function changed(event) {
  page.kind.changed?.(event);
  typed();
}

function typed() {
  saveDraft(page.form);
  hushError();
}

function setUp() {
  const said = byId("said");
  if (said?.textContent) say(said.textContent);
  const found = byId("answer");
  if (found === page.form) return;
  page.watch?.stop();
  page.form = found;
  page.table = ANYWHERE;
  if (found) show(found);
  drawSheet(byId("keys-list"), page.table);
}

function show(form) {
  restoreDraft(form);
  page.kind = new KINDS[form.dataset.kind](form);
  page.watch = new Watch();
  page.table = [...page.kind.commands(), ...ON_AN_ITEM, ...ANYWHERE];
  form.addEventListener("change", changed);
  form.addEventListener("input", typed);
  byId("main").focus({ preventScroll: true });
}

function refuseUnready(event) {
  if (!page.form || !event.target.closest("#submit")) return;
  const problem = page.kind.problem();
  if (!problem) return;
  event.preventDefault();
  say(problem, { isError: true });
}

// While somebody is at it, nobody else gets the item.
function beat() {
  if (!page.form || idleFor() > LEASE_WHILE_IDLE) return;
  document.querySelector("[hx-trigger='heartbeat']")?.dispatchEvent(new Event("heartbeat"));
}

document.addEventListener("keydown", key);
document.addEventListener("click", (event) => {
  refuseUnready(event);
  const reasons = byId("reasons");
  if (reasons?.open && !reasons.contains(event.target)) reasons.open = false;
}, true);
setInterval(beat, HEARTBEAT_EVERY);
listenToSwaps(page);
document.addEventListener("htmx:load", setUp);
document.addEventListener("DOMContentLoaded", setUp);
