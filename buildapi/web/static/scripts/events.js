/* The stream of events of a page; where it does not come, the page is read every few seconds. */

import { soonCounts } from "./counts.js";
import { $$ } from "./dom.js";
import { ENDED, follow, waitForUnended } from "./job_lines.js";
import { hearOfPanel } from "./job_panel.js";
import { hear } from "./live_rows.js";
import { mount } from "./page.js";
import { refresh } from "./page_refresh.js";
import { pushes } from "./push_jobs.js";
import { hearOfPush, readPage } from "./push_updates.js";
import { list, watched } from "./sections.js";
import { POLL, stream } from "./stream.js";

// Twice LOOK_SECONDS of events/streams.py.
const SETTLED = 4000;            // after two looks of the service, what is on the page is known to it

function query() {
  const at = watched();
  if (!at) return null;
  // The service refuses more than 100 values (VALUES_MAX in parameters/event_parameters.py).
  if (at.id === "jobs") return $$("tr[data-job]", at).slice(0, 100).map((row) => `job=${row.dataset.job}`).join("&");
  return "over" in at.dataset || at.dataset.events === undefined ? null : at.dataset.events;
}

/* Read the page again soon, once for many events. */
function soon(id) {
  if (stream.due) return;
  stream.due = setTimeout(() => {
    stream.due = 0;
    refresh(id).catch(() => {}).then(() => { if (query() === null) stop(); });
  }, 500);
}

function heardOf(kind, data) {
  if (kind === "job") follow(data);
  const ids = (data.requests || [data]).map((one) => String(one.request_id));
  if (kind !== "job" || ENDED.has(data.state)) hearOfPanel(kind === "job" ? null : ids);
  if (pushes()) return kind === "job" ? undefined : hearOfPush(data);
  const live = document.getElementById("live");
  if (live) {
    const of = live.dataset.of ? live.dataset.of.split(" ") : null;
    if (kind === "job" ? !of : !of || ids.some((id) => of.includes(id))) soon("live");
  } else if (kind !== "job") {
    hear(data);
    if (list()) soonCounts();
  }
}

function again() {
  const at = watched();
  if (at && at.id === "pushes") readPage().catch(() => {});
  else if (at && at.id !== "jobs") refresh(at.id).catch(() => {});
}

export function start() {
  const events = query();
  if (events === null || document.hidden || stream.source) return;
  const source = new EventSource(`${mount}/self-serve/events?${events}`);
  let first = true;
  stream.source = source;
  const arrived = () => {
    stream.alive = true;
    stream.failures = 0;
    clearInterval(stream.poll);
    stream.poll = 0;
  };
  source.addEventListener("hello", () => {
    arrived();
    if (first) again();                                  // what changed since the page was made
    if (first) setTimeout(again, SETTLED);               // what was there too shortly to be told of
    first = false;
  });
  source.addEventListener("reset", () => { arrived(); again(); });
  for (const kind of ["build", "request", "job"]) {
    source.addEventListener(kind, (event) => heardOf(kind, JSON.parse(event.data)));
  }
  source.addEventListener("error", () => {
    stream.alive = false;
    stream.failures += 1;
    // A browser reconnects by itself, but not after an answer other than 200, such as 429 or 503
    // [HTML Standard 9.2.3].
    if (stream.failures >= 3 || source.readyState === EventSource.CLOSED) {
      stop();
      poll();
    }
  });
}

function stop() {
  if (stream.source) stream.source.close();
  Object.assign(stream, { source: null, alive: false });
}

/* Look every few seconds instead, and try events again now and then. */
function poll() {
  if (stream.poll) return;
  let turn = 0;
  waitForUnended();
  stream.poll = setInterval(() => {
    if (document.hidden) return;
    turn += 1;
    again();
    if (turn % 6 === 0) start();
  }, POLL);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) stop();                           // browsers keep few connections to a host
  else start();
});
// A page that is restored from the back/forward cache gets pageshow, and no load [HTML Standard,
// PageTransitionEvent].
addEventListener("pagehide", stop);
addEventListener("pageshow", start);

const live = document.getElementById("live");
if (live && live.dataset.every) setInterval(() => { if (!document.hidden) again(); }, 1000 * live.dataset.every);
