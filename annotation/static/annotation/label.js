// The labeling page: hears keys and clicks, and gives them to the work in hand.
import { forgetOldDrafts } from "./drafts.js";
import { drawSheet, isWriting, press } from "./keys.js";
import { request } from "./requests.js";
import { say } from "./said.js";
import { idleFor } from "./time.js";
import { Work } from "./work.js";

const HEARTBEAT_EVERY = 60_000;
const LEASE_WHILE_IDLE = 5 * 60_000;

const byId = (id) => document.getElementById(id);
let work = null;
let table = [];
let canUndo = !byId("undo").hidden;

function click(id) {
  const found = byId(id);
  if (!found || found.hidden) return false;
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
const SHEETS = ANYWHERE.slice(1);

const ON_AN_ITEM = [
  { on: ["Enter"], shown: ["Enter"], words: "Submit, and on to the next item", run: () => click("submit") },
  { on: ["r"], shown: ["R"], words: "Reasons and a comment", run: toggleReasons },
  { on: ["p"], shown: ["P"], words: "Show or hide the prompt", run: () => void (byId("prompt").open = !byId("prompt").open) },
  { on: ["s"], shown: ["S"], words: "Skip", run: () => click("skip") },
  { on: ["f"], shown: ["F"], words: "Flag: tell the manager", run: () => click("flag") },
];

function key(event) {
  if (event.metaKey || event.altKey || event.defaultPrevented) return;
  // From within a text, and from anywhere else.
  if (event.ctrlKey) return void (event.key === "Enter" && sendFrom(event));
  if (isWriting(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (document.querySelector(":popover-open")) return void press(SHEETS, event);
  if (event.key === "Escape" && work.screen.form) byId("reasons").open = false;
  if (event.key === "Enter" && event.target.closest("button, a, summary")) return;
  // Among the reasons letters are words, not commands: they go on in the comment.
  if (event.key.length === 1 && event.target.closest(".reasons-panel")) {
    if (event.key !== " ") byId("comment").focus();
    return;
  }
  press(table, event);
}

function sendFrom(event) {
  const form = event.target.closest("form") ?? work.screen.form;
  event.preventDefault();
  form?.requestSubmit();
}

function entered(screen) {
  const isJudged = Boolean(screen.form);
  // Whoever has come to a second screen has done something on the first.
  canUndo ||= Boolean(work);
  byId("undo").hidden = screen.isChange || !canUndo;
  table = [...(isJudged ? screen.kind.commands() : []), ...(isJudged ? ON_AN_ITEM : []), ...ANYWHERE];
  drawSheet(byId("keys-list"), table);
  for (const field of document.querySelectorAll(".dialog [name=assignment]")) field.value = screen.assignment ?? "";
  checkGuidelines(screen);
}

// An item that comes under a newer version brings the newer guidelines with it.
async function checkGuidelines(screen) {
  const { version } = screen.node.dataset;
  if (!version || version === byId("guidelines-text").dataset.version) return;
  const reply = await request(byId("main").dataset.guidelines);
  if (!reply.ok) return;
  byId("guidelines").innerHTML = await reply.text();
  byId("guidelines-button").dataset.changed = "";
  say(`The guidelines have changed: version ${version}. G opens them.`);
}

function submitted(event) {
  if (!event.target.matches("#skip-dialog, #flag-dialog")) return;
  event.preventDefault();
  const form = event.target;
  form.hidePopover();
  if (form.id === "skip-dialog") work.sendForm(form, "Skipped.", true);
  else if (form.elements.kind.value === "problem") work.sendForm(form, "Flagged for the manager.", true);
  else work.sendForm(form, "Flagged. You can answer it all the same.", false);
  form.reset();
}

function clicked(event) {
  const reasons = byId("reasons");
  if (reasons?.open && !reasons.contains(event.target)) reasons.open = false;
  const link = event.target.closest("#undo, #leave");
  if (!link || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  if (link.id === "leave") work.leave();
  else if (!work.screen.isChange) work.visit(link.href);
}

function start() {
  const main = byId("main");
  if (!main.dataset.labeler) return;
  forgetOldDrafts();
  work = new Work(main, entered);
  document.addEventListener("keydown", key);
  document.addEventListener("click", clicked);
  document.addEventListener("submit", submitted);
  // The empty page looks for work by itself.
  document.addEventListener("htmx:load", () => {
    const node = byId("item");
    if (node !== work.screen.node) work.adopt(node);
  });
  setInterval(() => idleFor() < LEASE_WHILE_IDLE && work.keepLeases(), HEARTBEAT_EVERY);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && work.keepLeases());
}

start();
