// The comment: how much of it is asked for, and how much is there.
export class Comment {
  constructor(form) {
    this.form = form;
    this.field = form.querySelector("#comment");
    this.needed = Number(form.dataset.commentMin ?? 0);
    this.count();
  }

  get missing() {
    return Math.max(0, this.needed - this.field.value.trim().length);
  }

  count() {
    const counter = this.form.querySelector("#comment-count");
    if (!counter) return;
    counter.textContent = this.missing ? `${this.missing} more to write` : "Long enough";
  }

  problem() {
    if (!this.missing) return "";
    this.form.querySelector("#reasons").open = true;
    this.field.focus();
    return `Say why: ${this.missing} more characters are asked for.`;
  }
}
