// Who uses keys alone can scroll what is larger than its place: it takes focus while it is.
(() => {
  "use strict";

  const WIDE = "pre, .table-scroll, .table-frame, math[display=block]";
  let soon = null;

  function check() {
    soon = null;
    for (const one of document.querySelectorAll(WIDE)) {
      const isLarger = one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight + 1;
      if (isLarger) one.setAttribute("tabindex", "0");
      else one.removeAttribute("tabindex");
    }
  }

  // After what is being done is done: nobody waits for it.
  function checkSoon() {
    soon ??= setTimeout(check, 150);
  }

  new MutationObserver(checkSoon).observe(document.documentElement, { childList: true, subtree: true });
  addEventListener("resize", checkSoon);
  document.addEventListener("toggle", checkSoon, true);
  checkSoon();
})();
