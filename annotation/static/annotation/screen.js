// What is on screen: an item with its form, kind, clock and draft; or a page without an item.
import { Comment } from "./comment.js";
import { Draft, fill } from "./drafts.js";
import { Pairwise } from "./pairwise.js";
import { RankingPage } from "./ranking.js";
import { hushError } from "./said.js";
import { Thumbs } from "./thumbs.js";
import { Watch } from "./time.js";

// A kind of item is a class: constructor(form), commands() for the table of keys (see keys.js),
// problem() that shows and names what is missing, and changed(event) where it minds.
const KINDS = { pairwise: Pairwise, listwise: RankingPage, thumbs: Thumbs };

export class Screen {
  // `values` are put into the form in place of a draft.
  constructor(node, { values = null, isWaiting = false } = {}) {
    this.node = node;
    this.form = node.querySelector("#answer");
    this.values = values;
    this.isWaiting = isWaiting;
    this.kind = null;
  }

  get assignment() {
    return this.form?.elements.assignment.value ?? null;
  }

  get isChange() {
    return Boolean(this.form) && this.form.dataset.revision !== "0";
  }

  // Once it stands in the page: some of it is measured.
  enter(draftUrl, submit) {
    if (!this.form) return;
    if (this.kind) return this.watch.start();
    this.draft = new Draft(this.form, draftUrl);
    if (this.values) fill(this.form, this.values);
    else this.draft.restore();
    this.form.noValidate = true;
    this.kind = new KINDS[this.form.dataset.kind](this.form);
    this.comment = new Comment(this.form);
    this.watch = new Watch();
    this.form.addEventListener("change", (event) => {
      this.kind.changed?.(event);
      this.typed();
    });
    this.form.addEventListener("input", () => this.typed());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      submit();
    });
  }

  leave() {
    this.watch?.stop();
  }

  typed() {
    this.draft.changed();
    this.comment.count();
    hushError();
  }

  problem() {
    return this.kind.problem() || this.comment.problem();
  }

  // As it is sent: time stamped, and out of the drafts.
  fields() {
    this.watch.stamp(this.form);
    return [...new FormData(this.form)].filter(([name]) => name !== "csrfmiddlewaretoken");
  }
}
