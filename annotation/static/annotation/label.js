// The labeling page by key: choices, moving on, reasons, time on task, drafts, and answers that
// are sent again when the connection fails.
(() => {
  "use strict";

  const IDLE_AFTER = 30_000;
  const HEARTBEAT_EVERY = 60_000;
  const LEASE_WHILE_IDLE = 5 * 60_000;

  let form = null;
  let ranking = null;
  let shownAt = 0;
  let activeMs = 0;
  let lastTick = 0;
  let lastActive = 0;
  let lastBeat = 0;
  let retry = null;

  const byId = (id) => document.getElementById(id);
  const rows = () => [...form.querySelectorAll(".criterion")];
  const currentRow = () => form.querySelector(".criterion.is-current");

  function say(words, isError = false) {
    const said = byId("said");
    said.textContent = words;
    // The item is swapped away with what it says, so what is read aloud has a place of its own.
    byId("spoken").textContent = words;
    said.classList.toggle("is-error", isError);
    if (!isError) setTimeout(() => said.textContent === words && (said.textContent = ""), 4000);
  }

  // Time on task: what passes while the page is seen and somebody moves, types or scrolls.
  function tick() {
    const now = performance.now();
    const awake = document.visibilityState === "visible" && now - lastActive < IDLE_AFTER;
    if (awake) activeMs += Math.min(now - lastTick, 1500);
    lastTick = now;
    if (form && now - lastBeat > HEARTBEAT_EVERY && now - lastActive < LEASE_WHILE_IDLE) {
      lastBeat = now;
      const heart = document.querySelector("[hx-trigger='heartbeat']");
      if (heart) heart.dispatchEvent(new Event("heartbeat"));
    }
  }

  for (const kind of ["pointermove", "pointerdown", "keydown", "scroll", "touchmove"]) {
    addEventListener(kind, () => (lastActive = performance.now()), { passive: true, capture: true });
  }
  setInterval(tick, 1000);

  function stamp() {
    tick();
    form.elements.duration_ms.value = Math.round(performance.now() - shownAt);
    form.elements.active_ms.value = Math.round(activeMs);
  }

  // Drafts: what was chosen or written and not yet sent outlives a reload or a dead battery.
  const draftKey = () => `prefloop-draft-${form.dataset.draft}`;
  const isDraft = ([name]) => !["csrfmiddlewaretoken", "assignment", "client_key", "duration_ms", "active_ms"].includes(name);

  function saveDraft() {
    const values = [...new FormData(form)].filter(isDraft);
    localStorage.setItem(draftKey(), JSON.stringify(values));
    if (byId("said").classList.contains("is-error")) say("");
  }

  function restoreDraft() {
    const saved = localStorage.getItem(draftKey());
    if (!saved) return;
    const values = JSON.parse(saved);
    for (const field of form.elements) {
      if (!field.name || !isDraft([field.name])) continue;
      const given = values.filter(([name]) => name === field.name).map(([, value]) => value);
      if (field.type === "radio" || field.type === "checkbox") field.checked = given.includes(field.value);
      else if (given.length) field.value = given[0];
    }
  }

  function forgetDrafts() {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith("prefloop-draft-")) localStorage.removeItem(key);
    }
  }

  function focusRow(row) {
    for (const other of rows()) other.classList.toggle("is-current", other === row);
  }

  function moveRow(step) {
    const all = rows();
    const next = all[all.indexOf(currentRow()) + step];
    if (next) focusRow(next);
    return Boolean(next);
  }

  const isAnswered = (row) => Boolean(row.querySelector("input[type=radio]:checked"));

  // Both bad is a flag on a tie: the two follow each other.
  function keepTieAndBad(input) {
    const row = input.closest(".criterion");
    const bad = row.querySelector("[name^='both_bad-']");
    if (!bad) return;
    if (input === bad && bad.checked) row.querySelector("input[value='0']").checked = true;
    else if (input !== bad && input.value !== "0") bad.checked = false;
  }

  function changed(event) {
    const row = event.target.closest?.(".criterion");
    if (row) {
      keepTieAndBad(event.target);
      focusRow(row);
      if (event.target.type === "radio" && matchMedia("(width < 48rem)").matches) setTimeout(moveOn, 160);
    }
    saveDraft();
  }

  function moveOn() {
    const all = rows();
    const from = all.indexOf(currentRow());
    const next = all.slice(from + 1).find((row) => !isAnswered(row));
    if (next) focusRow(next);
  }

  function choose(place) {
    const row = currentRow();
    const input = row.querySelectorAll("input[type=radio]")[place - 1];
    if (!input) return false;
    input.checked = true;
    keepTieAndBad(input);
    saveDraft();
    moveRow(1);
    return true;
  }

  function chooseBad() {
    const bad = currentRow()?.querySelector("[name^='both_bad-']");
    if (!bad) return false;
    bad.checked = !bad.checked;
    keepTieAndBad(bad);
    saveDraft();
    if (bad.checked) moveRow(1);
    return true;
  }

  function ready() {
    if (ranking) {
      const open = ranking.unfinished;
      if (!open) return true;
      ranking.show(open);
      say("Put the list in order first. If it already is, press O.", true);
      return false;
    }
    const open = rows().find((row) => !isAnswered(row));
    if (!open) return true;
    focusRow(open);
    say(`Choose first: ${open.querySelector(".criterion-name").firstChild.textContent.trim()}.`, true);
    return false;
  }

  function press(id) {
    byId(id)?.click();
    return Boolean(byId(id));
  }

  function toggleReasons() {
    const reasons = byId("reasons");
    reasons.open = !reasons.open;
    if (reasons.open) reasons.querySelector("input, textarea").focus();
    return true;
  }

  const COMMANDS = {
    Enter: () => press("submit"),
    s: () => press("skip"),
    f: () => press("flag"),
    u: () => press("undo"),
    b: chooseBad,
    r: toggleReasons,
    p: () => ((byId("prompt").open = !byId("prompt").open), true),
    ArrowUp: () => moveRow(-1),
    ArrowDown: () => moveRow(1),
  };

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const writing = event.target.closest("textarea, select, input:not([type=radio], [type=checkbox])");
    if (writing) {
      if (event.key === "Escape") writing.blur();
      return;
    }
    if (event.key === "?") return handled(event, byId("keys").togglePopover());
    if (event.key === "g") return handled(event, byId("guidelines").togglePopover());
    if (document.querySelector(":popover-open")) return;
    if (event.key === "Escape" && form) byId("reasons").open = false;
    if (event.key === "Enter" && event.target.closest("button, a, summary")) return;
    // Among the reasons letters are words, not commands: they go on in the comment.
    if (event.key.length === 1 && event.target.closest(".reasons-panel")) {
      if (event.key !== " ") byId("comment").focus();
      return;
    }
    if (!form) {
      if (event.key === "u" && press("undo")) event.preventDefault();
      return;
    }
    if (ranking && ranking.key(event)) return handled(event);
    const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code);
    if (digit && !event.shiftKey && !ranking && choose(Number(digit[1]))) return handled(event);
    const command = COMMANDS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (command && !event.repeat && command()) handled(event);
  }

  function handled(event) {
    event.preventDefault();
  }

  // A phone shows one response at a time: tabs and swipes say which.
  function watchSides() {
    const pair = byId("pair");
    if (!pair) return;
    const tabs = [...form.querySelectorAll("[data-side]")];
    for (const tab of tabs) {
      tab.addEventListener("click", (event) => {
        event.preventDefault();
        const side = byId(`response-${tab.dataset.side}`);
        pair.scrollTo({ left: side.offsetLeft - pair.offsetLeft });
      });
    }
    pair.addEventListener("scroll", () => {
      const seen = Math.round(pair.scrollLeft / pair.clientWidth);
      tabs.forEach((tab, place) => (place === seen ? tab.setAttribute("aria-current", "true") : tab.removeAttribute("aria-current")));
    }, { passive: true });
  }

  function setUp() {
    const found = byId("answer");
    const said = byId("said");
    if (said?.textContent) say(said.textContent);
    if (found === form) return;
    form = found;
    ranking = null;
    clearTimeout(retry);
    if (!form) return;
    restoreDraft();
    if (form.dataset.kind === "listwise") ranking = new window.RankingPage(form);
    watchSides();
    form.addEventListener("change", changed);
    form.addEventListener("input", saveDraft);
    shownAt = lastTick = lastActive = lastBeat = performance.now();
    activeMs = 0;
    byId("main").focus({ preventScroll: true });
  }

  document.addEventListener("keydown", key);
  document.addEventListener("click", (event) => {
    if (event.target.closest("#submit") && form && !ready()) event.preventDefault();
    const reasons = byId("reasons");
    if (reasons?.open && !reasons.contains(event.target)) reasons.open = false;
  }, true);
  document.addEventListener("submit", () => form && stamp(), true);
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.target.closest("#answer") && form) {
      stamp();
      for (const name of ["duration_ms", "active_ms"]) event.detail.parameters[name] = form.elements[name].value;
    }
  });

  // The key of the answer makes sending twice harmless, so a failed send is simply repeated.
  document.addEventListener("htmx:sendError", (event) => {
    if (event.target.id !== "answer") return say("No connection. Nothing was sent; try again.", true);
    say("No connection. Your answer is kept here and is sent again in a moment.", true);
    retry = setTimeout(() => form?.requestSubmit(byId("submit")), 3000);
  });
  document.addEventListener("htmx:responseError", (event) => {
    if (!event.target.closest("#item")) return;
    const { status, responseText } = event.detail.xhr;
    const words = new DOMParser().parseFromString(responseText, "text/html").querySelector("[data-error]");
    say(words?.textContent.trim() || `The server could not take this (error ${status}). Your answer is kept here; try again.`, true);
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const sent = event.detail.requestConfig.verb === "post";
    if (event.target.id === "item" && event.detail.shouldSwap && sent) forgetDrafts();
  });
  document.addEventListener("htmx:load", setUp);
  document.addEventListener("DOMContentLoaded", setUp);
})();
