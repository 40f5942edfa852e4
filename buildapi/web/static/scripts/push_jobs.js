/* The jobs of a list of pushes: one of each push is in the order of the Tab key, and one is current. */

import { $, $$ } from "./dom.js";

let current = "";                // the job that somebody was at last, by its data-job
let row = "";                    // and its push, by id

export const pushes = () => document.getElementById("pushes");
export const pushRows = () => $$("tr.push", pushes());
export const jobsOf = (push) => $$("a.job", push);

/* Let the Tab key come to one job of a push: three hundred would be between it and the next. */
export function rove(push, to = null) {
  const jobs = jobsOf(push), one = to || jobs.find((job) => job.dataset.job === current) || jobs[0];
  for (const job of jobs) {
    const index = job === one ? 0 : -1;
    if (job.tabIndex !== index) job.tabIndex = index;
  }
}

/* Make an element the current one: a job, or what else is in a push. */
export function note(element) {
  const push = element.closest("tr.push");
  if (!push) return;
  row = push.id;
  const job = element.closest("a.job");
  current = job && job.dataset.job || "";
  if (job) rove(push, job);
}

/* Return the push that somebody was at last. */
export const currentPush = () => pushRows().find((one) => one.id === row) || null;

/* Return the job that somebody was at last; one that is built now goes by another id. */
export function currentJob() {
  const push = currentPush();
  return push && current ? jobsOf(push).find((job) => job.dataset.job === current) || null : null;
}

/* Find a job by the name that a fragment has for it. */
export function jobCalled(name) {
  const [kind, id] = name.split("-");
  const found = $(`a.job[data-job="${CSS.escape(name)}"]`, pushes());
  return found || (kind === "request" ? $(`a.job[data-requests~="${CSS.escape(id)}"]`, pushes()) : null);
}
