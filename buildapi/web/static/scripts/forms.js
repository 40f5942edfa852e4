/* Send forms without leaving the page. */

import { $, $$, element } from "./dom.js";
import { back, besides, goOn, placeOf } from "./focus.js";
import { acted } from "./held_rows.js";
import { tell, tellJob } from "./job_lines.js";
import { agreed, question, sure, thingOf } from "./questions.js";
import { count } from "./selection.js";

async function send(form, submitter) {
  const data = new FormData(form, submitter);
  const asks = form.dataset.ask && (form.id !== "selection" || data.get("act") === "cancel");
  const place = placeOf(submitter), beside = besides(submitter);
  const verb = form.id === "selection" ? data.get("act") : submitter.name === "priority" ? "priority" : submitter.value;
  const things = form.id === "selection" ? $$("input[name=item]:checked").map(thingOf) : [{ ...form.dataset }];
  if (asks && !await agreed(form, submitter, data, things)) return back(submitter, place);
  for (const { thing } of things) if (thing) acted.add(thing.replace(" ", "-"));   // events may come before the answer
  while (acted.size > 1000) acted.delete(acted.values().next().value);
  if (form.id === "selection") data.set("confirm", "1");
  submitter.disabled = true;
  try {
    const answer = await fetch(form.getAttribute("action"), {
      method: "POST",
      body: new URLSearchParams(data),
      headers: { Accept: "application/json" },
      credentials: "same-origin",
    });
    toldOf(await answer.json(), verb, things);
  } catch (error) {
    const what = things.length === 1 ? things[0].thing || "" : `${things.length} builds and requests`;
    tell(element("span", { class: "state failed" }, "not sent"), ` ${verb} ${what}: ${error.message}`);
  } finally {
    submitter.disabled = false;
    const lost = document.activeElement === document.body;     // else somebody went on
    if (form.hidden) ($("#told a") || $("#main")).focus({ preventScroll: true });
    else if (lost && !submitter.isConnected) goOn(place, beside);
    else if (lost) submitter.focus({ preventScroll: true });
  }
}

function toldOf(answer, verb, things) {
  if (!Array.isArray(answer)) return toldOfOne(answer, verb, things.length === 1 ? things[0] : {});
  for (const [at, one] of [...answer.entries()].reverse()) toldOfOne(one.body, verb, things[at] || {});
  for (const box of $$("input[name=item]:checked")) box.checked = false;
  count();
}

function toldOfOne(answer, verb, { thing = "", about = "" }) {
  if (answer.request_id) {
    return tellJob(answer.request_id, answer.msg, about);
  }
  acted.delete(thing.replace(" ", "-"));
  tell(element("span", { class: "state failed" }, "refused"), ` ${verb} ${thing}${about ? ` (${about})` : ""}: ${answer.msg}`);
}

/* A form that leads to another page asks before, too. */
async function askThenGo(form, submitter) {
  const place = placeOf(submitter);
  if (!await sure(question(form, submitter))) return back(submitter, place);
  // Now the listener below lets it pass. submit() would leave out the button's name and value
  // [HTML Standard, form.submit()].
  delete form.dataset.ask;
  form.requestSubmit(submitter);
}

document.addEventListener("submit", (event) => {
  const form = event.target, submitter = event.submitter;
  if (form.method !== "post" || !submitter || ("plain" in form.dataset && !form.dataset.ask)) return;
  event.preventDefault();
  if ("plain" in form.dataset) return askThenGo(form, submitter);
  send(form, submitter);
});
