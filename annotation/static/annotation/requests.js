// Requests to the server, as the pages' own: with the token, and told apart when one goes wrong.
const PATIENCE = 30_000;
// What a browser sends on after its page was left is limited.
const MAY_OUTLIVE = 60_000;

let token = null;
const tokenIn = (page) => page.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";

export function request(url, fields = null) {
  token ??= tokenIn(document);
  const body = fields && new URLSearchParams(fields).toString();
  return fetch(url, {
    method: fields ? "POST" : "GET",
    body,
    headers: {
      "HX-Request": "true",
      ...(fields && { "X-CSRFToken": token, "Content-Type": "application/x-www-form-urlencoded" }),
    },
    redirect: "error",
    cache: "no-store",
    keepalive: Boolean(body) && body.length < MAY_OUTLIVE,
    signal: AbortSignal.timeout(PATIENCE),
  });
}

// Who signs in anew in another window gets a new token; the one of this page is refused then.
export const refusesToken = (reply, html) => reply.status === 403 && html.includes("<html");

export async function renewToken() {
  const reply = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  token = tokenIn(new DOMParser().parseFromString(await reply.text(), "text/html")) || token;
}

export const asksToSignIn = (reply) => reply.headers.has("HX-Redirect");

// What the server says of an error, in its own words.
export function wordsOf(html) {
  const words = new DOMParser().parseFromString(html, "text/html").querySelector("[data-error]");
  return words?.textContent.trim().replace(/\s+/g, " ") ?? "";
}

export function itemOf(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content.querySelector("#item");
}

export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
