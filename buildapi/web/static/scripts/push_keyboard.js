/* Go through a list of pushes by keys, and show, rebuild and cancel their jobs. */

import { FAILED } from "./build_states.js";
import { $, $$, TYPED } from "./dom.js";
import { closePanel, isOpen, nameOfShown, openPanel, panel, press, whenClosed } from "./job_panel.js";
import { tell } from "./job_lines.js";
import { areOff, showKeys } from "./key_help.js";
import { actOf, jobOfPath } from "./push_keys.js";
import { currentJob, currentPush, jobCalled, jobsOf, note, pushes, pushRows, rove } from "./push_jobs.js";
import { beside, nearest, nextOf } from "./push_moves.js";

/* Go to an element; the page scrolls only if it is out of sight, or under the panel. */
function goTo(at) {
  note(at);
  at.focus({ preventScroll: true });
  const box = at.getBoundingClientRect();
  const cover = panel() && !panel().hidden ? panel().getBoundingClientRect() : null;
  const low = cover && cover.top > 0 ? cover.top : innerHeight;
  const high = Math.max($("thead", pushes()) ? 8 : 0, cover && cover.top <= 0 ? cover.bottom : 0);
  if (box.top < high) scrollBy({ top: box.top - high - 8, behavior: "instant" });
  else if (box.bottom > low) scrollBy({ top: Math.min(box.bottom - low + 8, box.top - high - 8), behavior: "instant" });
}

function goToJob(job) {
  goTo(job);
  if (isOpen() && job.dataset.job && job.dataset.job !== nameOfShown()) show(job);
}

function stepPush(step) {
  const rows = pushRows(), at = rows.indexOf(currentPush());
  const to = rows[beside(rows.length, at, step)];
  if (to) goTo(to);
}

function stepFailure(step) {
  const jobs = $$("a.job", pushes()), flags = jobs.map((job) => FAILED.some((word) => job.classList.contains(word)));
  let at = jobs.indexOf(currentJob());
  const push = currentPush();
  // From a push itself: before its first job.
  if (at < 0 && push) {
    const first = jobs.findIndex((job) => push.compareDocumentPosition(job) & Node.DOCUMENT_POSITION_FOLLOWING);
    at = first < 0 ? jobs.length : step > 0 ? first - 1 : first;
  } else if (at < 0) {
    at = step > 0 ? -1 : jobs.length;
  }
  const to = nextOf(flags, at, step);
  if (to >= 0) goToJob(jobs[to]);
  else tellOnce(`No ${step > 0 ? "later" : "earlier"} failed job on this page.`);
}

let followed = "";               // what the panel shows by a link of its own, as data-job has it
let told = null;

/* Say what a key could not do, in one line that the next one replaces. */
function tellOnce(words) {
  if (told) told.remove();
  told = tell(words);
}

function move(key, at) {
  const push = at.closest("tr.push"), jobs = jobsOf(push);
  if (!jobs.length) return;
  const place = jobs.indexOf(at.closest("a.job"));
  if (place < 0) return goToJob(jobs[0]);
  if (key === "ArrowLeft" || key === "ArrowRight") return goToJob(jobs[beside(jobs.length, place, key === "ArrowLeft" ? -1 : 1)]);
  const step = key === "ArrowUp" ? -1 : 1, boxes = jobs.map((job) => job.getBoundingClientRect());
  const to = nearest(boxes, place, step);
  if (to >= 0) return goToJob(jobs[to]);
  const rows = pushRows(), next = rows[rows.indexOf(push) + step], there = next ? jobsOf(next) : [];
  if (!there.length) return next ? goTo(next) : undefined;
  const line = [boxes[place], ...there.map((job) => job.getBoundingClientRect())];
  const found = nearest(line, 0, step);
  goToJob(there[Math.max(0, found - 1)]);
}

/* Show a job in the panel. */
export async function show(job) {
  followed = "";
  note(job);
  for (const one of $$("a.job[aria-current]", pushes())) one.removeAttribute("aria-current");
  job.setAttribute("aria-current", "true");
  return openPanel(job.dataset.job, job.href, job);
}

/* Show a build or request that the panel links to, such as one of its strip of results, in the panel. */
async function follow(link, name) {
  const inStrip = Boolean(link.closest(".strip"));
  followed = name;
  for (const one of $$("a.job[aria-current]", pushes())) one.removeAttribute("aria-current");
  const job = jobCalled(name);
  if (job) job.setAttribute("aria-current", "true");
  if (!await openPanel(name, link.href)) return;
  const to = inStrip && $(".strip [aria-current]", panel()) || $("h2 a", panel());
  // What had the focus is gone with the content before.
  if (document.activeElement === document.body) to.focus({ preventScroll: true });
}

async function actOn(verb) {
  const job = currentJob();
  if (followed && followed === nameOfShown()) {
    // What the panel shows, not the job of the list that it was opened for.
  } else if (job && job.dataset.job !== nameOfShown()) {
    if (!job.dataset.job || !await show(job)) return;
  } else if (!isOpen()) {
    return tellOnce("No job is selected: n goes to a failed one.");
  }
  const refusal = press(verb);
  if (refusal !== null) tellOnce(refusal ? `Cannot ${verb}: ${refusal}` : `This job cannot be asked to ${verb}.`);
}

function close() {
  if (isOpen()) closePanel();
}

whenClosed(() => {
  for (const one of $$("a.job[aria-current]", pushes())) one.removeAttribute("aria-current");
  const back = currentJob() || currentPush();
  if (back) back.focus({ preventScroll: true });
});

const ACTS = {
  nextPush: () => stepPush(1),
  previousPush: () => stepPush(-1),
  nextFailure: () => stepFailure(1),
  previousFailure: () => stepFailure(-1),
  move: (key, at) => move(key, at),
  edge: (key, at) => goToJob(jobsOf(at.closest("tr.push")).at(key === "Home" ? 0 : -1) || at.closest("tr.push")),
  open: (key, at) => show(at.closest("a.job")),
  rebuild: () => actOn("rebuild"),
  cancel: () => actOn("cancel"),
  filter: () => $("#find input:not([type=hidden]), #find select").focus(),
  search: () => $("#find input[type=search]").focus(),
  help: showKeys,
  close,
};

function placeOf(at) {
  const push = at.closest("tr.push");
  if (push && at.closest("a.job[data-job]")) return "job";
  // Keys of links and buttons in a push, such as Enter, are the browser's.
  return push && (at === push || at.closest("a.job")) ? "push" : "";
}

/* Tell whether a key is for a field; Esc leaves the panel from its fields too. */
function isTyped(event, at) {
  return at.matches(`${TYPED}, [contenteditable]`) && !(event.key === "Escape" && at.closest("#panel"));
}

if (pushes()) {
  for (const push of pushRows()) rove(push);

  document.addEventListener("keydown", (event) => {
    const at = event.target;
    if ($("dialog[open]") || !at.closest) return;
    const act = actOf(event, placeOf(at), { typing: isTyped(event, at), off: areOff() });
    if (!act || (act === "close" && !isOpen())) return;
    event.preventDefault();
    ACTS[act](event.key, at);
  });

  document.addEventListener("focusin", (event) => {
    if (!event.target.closest("#pushes")) return;
    followed = "";
    note(event.target);
  });

  document.addEventListener("click", (event) => {
    if (event.target.id === "show-keys") return showKeys();
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.target.closest("#panel-content a[href]"), name = link && jobOfPath(link.pathname);
    if (name) {
      event.preventDefault();
      return follow(link, name);
    }
    const job = event.target.closest("#pushes a.job[data-job]");
    if (!job) return;
    event.preventDefault();
    job.focus({ preventScroll: true });
    show(job);
  });

  const hint = $("#show-keys");
  if (hint) hint.hidden = false;

  const openNamed = () => {
    const [, name] = /^#job=((?:build|request)-\d+)$/.exec(location.hash) || [];
    if (!name || name === nameOfShown()) return;
    const job = jobCalled(name), branch = /^(.*\/self-serve\/[^/]+)\/pushes$/.exec(pushes().dataset.path);
    if (job) {
      note(job);
      show(job);
    } else if (branch) {
      openPanel(name, `${branch[1]}/${name.replace("-", "/")}`);
    }
  };
  addEventListener("hashchange", openNamed);
  openNamed();
}
