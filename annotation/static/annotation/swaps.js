// Sending by htmx: the reply takes the place of the item.
import { forgetDrafts } from "./drafts.js";
import { say } from "./said.js";

const TRIES_AGAIN_AFTER = 3000;

export function listenToSwaps(page) {
  let retry = null;

  const stamp = () => page.form && page.watch.stamp(page.form);
  document.addEventListener("submit", stamp, true);
  document.addEventListener("htmx:configRequest", (event) => {
    if (!event.target.closest("#answer") || !page.form) return;
    stamp();
    for (const name of ["duration_ms", "active_ms"]) event.detail.parameters[name] = page.form.elements[name].value;
  });

  // The key of the answer makes sending twice harmless, so a failed send is simply repeated.
  document.addEventListener("htmx:sendError", (event) => {
    if (event.target.id !== "answer") return say("No connection. Nothing was sent; try again.", { isError: true });
    say("No connection. Your answer is kept here and is sent again in a moment.", { isError: true });
    clearTimeout(retry);
    retry = setTimeout(() => page.form?.requestSubmit(document.getElementById("submit")), TRIES_AGAIN_AFTER);
  });
  document.addEventListener("htmx:responseError", (event) => {
    if (!event.target.closest("#item")) return;
    const { status, responseText } = event.detail.xhr;
    say(wordsOf(responseText) || `The server could not take this (error ${status}). Your answer is kept here; try again.`, { isError: true });
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.target.id !== "item" || !event.detail.shouldSwap) return;
    clearTimeout(retry);
    if (event.detail.requestConfig.verb === "post") forgetDrafts();
  });
}

export function wordsOf(html) {
  const words = new DOMParser().parseFromString(html, "text/html").querySelector("[data-error]");
  return words?.textContent.trim() ?? "";
}
