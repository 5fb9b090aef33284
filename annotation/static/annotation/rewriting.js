// A better response, written by who judges this one. Untouched, it is not sent.
export class Rewriting {
  constructor(form) {
    this.panel = form.querySelector("#rewrite");
    if (!this.panel) return;
    this.field = this.panel.querySelector("[name=rewrite]");
    this.original = this.field.dataset.original ?? this.field.defaultValue;
    this.back = this.panel.querySelector("#rewrite-back");
    this.back.addEventListener("click", () => this.reset());
    this.field.addEventListener("input", () => this.draw());
    this.panel.addEventListener("toggle", () => this.draw());
    // A draft brought it back: it is seen.
    this.panel.open ||= this.isChanged;
    this.draw();
  }

  get isOffered() {
    return Boolean(this.panel);
  }

  get isChanged() {
    return this.field.value.trim() !== this.original.trim();
  }

  draw() {
    this.field.disabled = !this.panel.open && !this.isChanged;
    this.back.hidden = !this.isChanged;
    this.panel.toggleAttribute("data-filled", this.isChanged);
  }

  open() {
    this.panel.open = true;
    this.draw();
    this.field.focus();
    this.field.scrollIntoView({ block: "nearest" });
  }

  reset() {
    this.field.value = this.original;
    this.field.dispatchEvent(new Event("input", { bubbles: true }));
    this.field.focus();
  }
}
