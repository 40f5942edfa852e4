/* Ask before what cannot be undone. */

import { $, element } from "./dom.js";

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/* Ask about an act: the question, what it is about, what follows, and buttons that say the act. */
export function sure({ act, of, text, keep }) {
  const dialog = document.getElementById("ask");
  $("#ask-title").textContent = `${act}?`;
  $("#ask-of").replaceChildren(...of.map((line) => element("li", {}, line)));
  $("#ask-text").textContent = text;
  $("button[value=yes]", dialog).textContent = act;
  $("button[value=no]", dialog).textContent = keep;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true }));
}

/* Ask the server who else loses what is cancelled: only it knows all requests of a build. */
async function warnings(form, data) {
  const body = new URLSearchParams(data);
  body.set("dry_run", "1");
  try {
    const answer = await fetch(form.getAttribute("action"), {
      method: "POST",
      body,
      headers: { Accept: "application/json" },
      credentials: "same-origin",
      signal: AbortSignal.timeout(2000),
    });
    const told = await answer.json();
    const plans = (Array.isArray(told) ? told.map((one) => one.body) : [told]).map((one) => one.plan || {});
    return [...new Set(plans.flatMap((plan) => plan.warnings || []))];
  } catch {
    return [];  // the question is asked without it
  }
}

let asking = false;

export async function agreed(form, submitter, data, things) {
  if (asking) return false;
  asking = true;
  try {
    const more = await warnings(form, data);
    const asked = question(form, submitter, things);
    asked.text = [asked.text, ...more.map((words) => `${words}.`)].join(" ");
    return await sure(asked);
  } finally {
    asking = false;
  }
}

const LINES = 8;                 // things that a question lists
const several = (count, word) => count ? [`${count} ${word}${count === 1 ? "" : "s"}`] : [];

export function question(form, submitter, things) {
  const verb = capital(submitter.value || submitter.textContent), text = form.dataset.ask;
  if (form.id !== "selection") {
    return { act: `${verb} ${form.dataset.thing}`, of: [form.dataset.about].filter(Boolean), text, keep: "Keep it" };
  }
  const of = things.slice(0, LINES).map(({ thing, about }) => about ? `${thing}: ${about}` : thing);
  if (things.length > LINES) of.push(`and ${things.length - LINES} more`);
  const kinds = ["build", "request"].map((kind) => several(things.filter((one) => one.thing.startsWith(kind)).length, kind));
  const act = `${verb} ${things.length === 1 ? things[0].thing : kinds.flat().join(" and ")}`;
  return { act, of, text, keep: things.length === 1 ? "Keep it" : "Keep them" };
}

/* Name what a box selects. */
export function thingOf(box) {
  const form = $("form[data-thing]", box.closest("tr"));
  if (form) return { thing: form.dataset.thing, about: form.dataset.about };
  const [kind, id] = box.value.split("/").slice(-2);
  return { thing: `${kind} ${id}`, about: "" };
}
