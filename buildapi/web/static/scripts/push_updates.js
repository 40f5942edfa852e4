/* Keep a list of pushes up to date: a push that changed is read again and shown in its place, new ones wait. */

import { checkNotices } from "./done_notices.js";
import { $, $$ } from "./dom.js";
import { makeReady } from "./fresh_content.js";
import { announce, arrive, waiting } from "./held_rows.js";
import { nameOfShown } from "./job_panel.js";
import { fetched } from "./page_fetch.js";
import { showProgress } from "./page_progress.js";
import { changedBy, keyOfPush, newcomers, readingOf } from "./push_events.js";
import { currentJob, jobsOf, note, pushes, pushRows, rove } from "./push_jobs.js";
import { show } from "./push_keyboard.js";
import { changeSteadily, counterpart, placed, replaceSteadily } from "./steady.js";
import { everySecond } from "./times.js";

const SOON = 700;                // milliseconds in which events are collected
const OF_JOBS = ["builder", "state", "show"];  // filters of jobs; those of pushes would hide what changed

const due = new Map();           // pushes to read again, by branch and revision
const kept = new Map();          // newer rows of pushes that somebody is at, by id
let wantsNew = false, timer = 0, wholeAt = -Infinity, reading = false;

const query = () => new URLSearchParams(location.search);
const isNewest = () => !query().has("after");
const keyOfRow = (row) => keyOfPush(row.dataset.branch, row.dataset.revision);
const allRows = () => [...pushRows(), ...waiting.values()];

/* Make a row ready: it is not on the page yet. */
function ready(row) {
  rove(row);
  makeReady(row);
  return row;
}

/* Make all rows ready, and forget what waited: the list was put in place as a whole. */
export function readyAll() {
  kept.clear();
  for (const row of pushRows()) ready(row);
  showProgress();
}

/* Note an event; what it changes is read soon. */
export function hearOfPush(item) {
  const change = changedBy(item, new Set(allRows().map(keyOfRow)), isNewest());
  if (change === "push") due.set(keyOfPush(item.branch_name, item.revision), item.revision);
  if (change === "new") wantsNew = true;
  if (change) soon(SOON);
}

function soon(wait) {
  if (!timer) timer = setTimeout(() => { timer = 0; read(); }, wait);
}

async function read() {
  if (reading) return soon(SOON);
  const plan = readingOf([...due.values()], wantsNew, Date.now() - wholeAt);
  if (plan.wait && !plan.pushes.length) return soon(plan.wait);
  reading = true;
  try {
    if (plan.whole) await readPage();
    else for (const revision of new Set(plan.pushes)) await readPush(revision);
  } catch {
    // The next event, or the next look where none come, reads it again.
  } finally {
    reading = false;
  }
}

/* Read the whole page again. */
export async function readPage() {
  wholeAt = Date.now();
  wantsNew = false;
  due.clear();
  const page = await fetched(location.pathname + location.search);
  const rows = new Map($$("#pushes tr.push", page).map((row) => [row.id, row]));
  const known = new Set(allRows().map((row) => row.id));
  for (const [id, row] of rows) if (known.has(id)) update(row);
  if (isNewest()) for (const id of newcomers([...rows.keys()], known)) arrive(ready(document.adoptNode(rows.get(id))));
  showProgress();
}

async function readPush(revision) {
  const asked = new URLSearchParams([...query()].filter(([name]) => OF_JOBS.includes(name)));
  asked.set("revision", revision);
  for (const [key, one] of due) if (one === revision) due.delete(key);
  const page = await fetched(`${pushes().dataset.path}?${asked}`);
  for (const row of $$("#pushes tr.push", page)) update(row);
  showProgress();
}

/* Bring a push up to date; one that is not on the page is left out. */
function update(fresh) {
  const old = document.getElementById(fresh.id);
  if (old) put(old, ready(document.adoptNode(fresh)));
  else if (waiting.has(fresh.id)) waiting.set(fresh.id, ready(document.adoptNode(fresh)));
}

/* Tell what a row shows; ages grow by themselves, and the order of the Tab key is the page's own. */
function looks(row) {
  const copy = row.cloneNode(true);
  for (const age of $$("[data-since], [data-ago]", copy)) age.textContent = "";
  for (const job of jobsOf(copy)) for (const name of ["tabindex", "aria-current"]) job.removeAttribute(name);
  return copy.innerHTML;
}

/* Put newer content in the place of a push, or keep it until nobody is there. */
function put(old, row) {
  const opened = $$("details", old);
  for (const [place, one] of $$("details", row).entries()) if (opened[place]) one.open = opened[place].open;
  if (looks(old) === looks(row)) return kept.delete(row.id);
  const current = currentJob(), shown = $("a.job[aria-current]", old);
  const next = current && old.contains(current) ? counterpart(current, old, row) : null;
  const selected = shown && counterpart(shown, old, row);
  if (selected) selected.setAttribute("aria-current", "true");
  const at = placed();
  if (!replaceSteadily(old, row, at)) {
    kept.set(row.id, row);
    return patch(old, row, at);
  }
  kept.delete(row.id);
  if (next) note(next);
  // A request that is built now goes by the id of its build.
  if (selected && selected.dataset.job !== nameOfShown()) show(selected);
  if (!$(".done.not", row)) checkNotices();
}

/* Show new states and jobs in a push that somebody is at, each where nothing moves by it. */
function patch(old, row, at) {
  for (const job of jobsOf(old)) {
    const next = job.dataset.job ? counterpart(job, old, row) : null;
    if (!next || next.textContent !== job.textContent) continue;
    if (job.title !== next.title) job.title = next.title;
    const before = job.className;
    if (before === next.className) continue;
    changeSteadily(() => {
      job.className = next.className;
      return () => { job.className = before; };
    }, at);
  }
  const last = [...$$(".group", old)].pop();
  for (const job of last ? jobsOf(row) : []) {
    if (!job.dataset.job || counterpart(job, row, old)) continue;
    // At the end for now; in its place once the push is replaced.
    const copy = job.cloneNode(true);
    copy.tabIndex = -1;
    changeSteadily(() => {
      last.append(" ", copy);
      return () => { copy.previousSibling.remove(); copy.remove(); };
    }, at);
  }
}

let moves = 0, tried = 0;
for (const kind of ["pointermove", "focusin", "scroll"]) addEventListener(kind, () => { moves += 1; }, { passive: true });

/* Put in what waits for somebody to leave its push. */
everySecond(() => {
  if (!kept.size || moves === tried) return;
  tried = moves;
  for (const [id, row] of [...kept]) {
    const old = document.getElementById(id);
    if (old) put(old, row);
    else kept.delete(id);
  }
  announce();
});
