// Puts a placeholder where the writer stands in the text, as if it were typed.
(() => {
  "use strict";

  let field = null;
  document.addEventListener("focusin", (event) => {
    if (event.target.matches("textarea")) field = event.target;
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-insert]");
    if (!button) return;
    const into = field?.isConnected ? field : document.getElementById("id_body");
    into.focus();
    into.setRangeText(button.dataset.insert, into.selectionStart, into.selectionEnd, "end");
    into.dispatchEvent(new Event("input", { bubbles: true }));
  });
})();
