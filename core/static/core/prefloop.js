// The shell's only script: what the pages can do without, done a little quicker.
(() => {
  "use strict";

  const root = document.documentElement;

  // The switch is a form that sets a cookie; here it does so without leaving the page.
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("[data-theme-form]");
    if (!form) return;
    event.preventDefault();
    const theme = event.submitter.value;
    root.dataset.theme = theme;
    document.cookie = `theme=${theme}; path=/; max-age=31536000; samesite=lax`;
    for (const button of form.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button === event.submitter));
    }
    form.closest("details")?.removeAttribute("open");
  });

  // A menu closes when the reader looks elsewhere.
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.removeAttribute("open");
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.querySelector("details.menu[open]");
    if (!menu) return;
    menu.removeAttribute("open");
    menu.querySelector("summary").focus();
  });

  // Toasts leave by themselves, except those that ask for something.
  const dismissLater = (toast) => {
    if (toast.dataset.stays === undefined) setTimeout(() => toast.remove(), 8000);
  };
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-dismiss]")) event.target.closest(".toast").remove();
  });

  const say = (words) => {
    const toast = document.createElement("div");
    toast.className = "toast";
    toast.setAttribute("role", "alert");
    toast.textContent = words;
    document.getElementById("toasts").append(toast);
    dismissLater(toast);
  };

  // An htmx request that fails says so; pages with words of their own carry data-own-errors.
  document.addEventListener("htmx:sendError", (event) => {
    if (!event.target.closest("[data-own-errors]")) say("No connection. Nothing was changed; try again.");
  });
  document.addEventListener("htmx:responseError", (event) => {
    if (event.target.closest("[data-own-errors]")) return;
    const { status, responseText } = event.detail.xhr;
    const words = new DOMParser().parseFromString(responseText, "text/html").querySelector("[data-error]");
    if (words) say(words.textContent.trim());
    else if (status === 403) say("You may not do this. Ask a manager of the project for the right to.");
    else if (status === 404) say("This is no longer here. Reload the page to see what is.");
    else say(`The server could not do this (error ${status}). Try again; if it stays, tell your admin.`);
  });

  // Copies the text of the element that data-copy names.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
    say("Copied.");
  });

  // A form that was refused begins where it is to be mended.
  document.querySelector("[aria-invalid=true]")?.focus();

  // A row of tabs that is too long scrolls: show the one that is open.
  document.querySelector(".tabs [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

  document.querySelectorAll(".toast").forEach(dismissLater);
  document.addEventListener("htmx:load", (event) => {
    event.detail.elt.querySelectorAll(".toast").forEach(dismissLater);
  });
})();
