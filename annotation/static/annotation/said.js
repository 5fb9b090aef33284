// What the page says: seen for a moment over the page, read aloud, and kept when it is an error.
const STAYS = 5000;
let leaves = null;

const byId = (id) => document.getElementById(id);

// `act` is an element (a button that undoes, a link that leads back) put beside the words.
export function say(words, { isError = false, act = null } = {}) {
  const said = byId("said");
  said.replaceChildren(words);
  if (act && words) said.append(act);
  said.classList.toggle("is-error", isError);
  speak(words);
  clearTimeout(leaves);
  if (words && !isError) leaves = setTimeout(hush, STAYS);
}

// Read aloud only. The same words again are spoken again.
export function speak(words) {
  const spoken = byId("spoken");
  spoken.textContent = spoken.textContent === words && words ? `${words}\u00a0` : words;
}

function hush() {
  const said = byId("said");
  // Who is about to press what stands here is not robbed of it.
  if (said.contains(document.activeElement) || said.matches(":hover")) leaves = setTimeout(hush, STAYS);
  else said.replaceChildren();
}

export const hushError = () => byId("said").classList.contains("is-error") && say("");
