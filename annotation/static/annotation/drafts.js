// Drafts: what was chosen or written and not yet sent outlives a reload or a dead battery.
const PREFIX = "prefloop-draft-";
const NOT_TYPED = ["csrfmiddlewaretoken", "assignment", "client_key", "duration_ms", "active_ms"];

const keyOf = (form) => PREFIX + form.dataset.draft;
export const isTyped = (name) => Boolean(name) && !NOT_TYPED.includes(name);

export function valuesOf(form) {
  return [...new FormData(form)].filter(([name]) => isTyped(name));
}

export function fill(form, values) {
  for (const field of form.elements) {
    if (!isTyped(field.name)) continue;
    const given = values.filter(([name]) => name === field.name).map(([, value]) => value);
    if (field.type === "radio" || field.type === "checkbox") field.checked = given.includes(field.value);
    else if (given.length) field.value = given[0];
  }
}

export function saveDraft(form) {
  localStorage.setItem(keyOf(form), JSON.stringify(valuesOf(form)));
}

export function restoreDraft(form) {
  const saved = localStorage.getItem(keyOf(form));
  if (saved) fill(form, JSON.parse(saved));
}

export function forgetDrafts() {
  for (const key of Object.keys(localStorage)) {
    if (key.startsWith(PREFIX)) localStorage.removeItem(key);
  }
}
