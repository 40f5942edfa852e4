/* Lines that tell of job requests, and how far each is. */

import { $, $$, element } from "./dom.js";
import { mount } from "./page.js";
import { POLL, stream } from "./stream.js";

export const ENDED = new Set(["done", "failed"]);
const jobs = new Map();          // lines that tell of a job, by its id
const early = new Map();         // outcomes of jobs that arrived before their answers

export function tell(...parts) {
  const told = document.getElementById("told");
  told.hidden = false;
  const line = element("li", {});
  line.append(...parts);
  $("ul", told).prepend(line);
  while ($("ul", told).children.length > 30) $("ul", told).lastElementChild.remove();
  return line;
}

export function tellJob(id, msg, of) {
  const state = element("span", { class: "state queued" }, "queued");
  const link = element("a", { href: `${mount}/self-serve/jobs/${id}` }, `job ${id}`);
  tell(state, " ", link, ` ${msg.replace(/ is queued as job \d+$/, "")}${of ? ` (${of})` : ""}`);
  jobs.set(id, state);
  if (early.has(id)) follow(early.get(id));
  if (!stream.alive) wait(id);
}

/* Show how far a job is. */
export function follow(job) {
  early.set(job.id, job);
  // A Map keeps the order of insertion: the oldest goes.
  if (early.size > 200) early.delete(early.keys().next().value);
  const places = [jobs.get(job.id), ...$$(`tr[data-job="${job.id}"] .state`)].filter(Boolean);
  for (const state of places) {
    const progress = job.progress ? ` ${job.progress.done}/${job.progress.total}` : "";
    const said = job.complete_data && job.complete_data.body ? job.complete_data.body.msg : "";
    state.className = `state ${job.state}`;
    state.textContent = `${job.state}${progress}`;
    if (job.state === "failed" && said) state.textContent += `: ${said}`;
  }
}

const TEMPORARY = [429, 502, 503, 504];  // answers after which it is worth asking again

/* Wait for the end of each job told of, where no events come any more. */
export function waitForUnended() {
  for (const id of jobs.keys()) if (!ENDED.has((early.get(id) || {}).state)) wait(id);
}

/* Wait for the end of a job where no events come. */
async function wait(id) {
  let why = "it takes long";
  for (let turn = 0; turn < 30; turn++) {
    const answer = await fetch(`${mount}/self-serve/jobs/${id}?wait=20&format=json`, { credentials: "same-origin" })
      .catch(() => null);
    if (answer && answer.ok) {
      const job = await answer.json();
      follow(job);
      if (ENDED.has(job.state)) return;
      continue;
    }
    why = answer ? `the service answered ${answer.status}` : "the service does not answer";
    if (answer && !TEMPORARY.includes(answer.status)) break;
    const seconds = answer ? Number(answer.headers.get("Retry-After")) : 0;
    await new Promise((done) => setTimeout(done, 1000 * seconds || POLL));
  }
  const state = jobs.get(id);
  if (state && !stream.alive && !ENDED.has((early.get(id) || {}).state)) {
    state.parentElement.append(`; no longer followed (${why}): reload the page`);
  }
}
