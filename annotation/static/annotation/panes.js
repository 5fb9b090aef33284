// Two responses side by side; on a phone one at a time, and tabs and swipes say which.
export function watchPanes(form) {
  const pair = form.querySelector("#pair");
  const tabs = [...form.querySelectorAll("[data-side]")];
  for (const tab of tabs) {
    tab.addEventListener("click", (event) => {
      event.preventDefault();
      const side = form.querySelector(`#response-${tab.dataset.side}`);
      pair.scrollTo({ left: side.offsetLeft - pair.offsetLeft });
    });
  }
  pair.addEventListener("scroll", () => {
    const seen = Math.round(pair.scrollLeft / pair.clientWidth);
    tabs.forEach((tab, place) => (place === seen ? tab.setAttribute("aria-current", "true") : tab.removeAttribute("aria-current")));
  }, { passive: true });
}
