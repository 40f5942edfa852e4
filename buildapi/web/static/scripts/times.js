/* Show times in the reader's zone, and let ages grow. */

import { $$, element } from "./dom.js";
import { ago, inZone, lasting, local } from "./durations.js";
import { now, zone } from "./page.js";

const mine = Intl.DateTimeFormat().resolvedOptions().timeZone;

/* Both zones, where the text is an age. */
const title = (seconds) => mine === zone ? inZone(seconds, zone) : `${local(seconds)} ${mine}, ${inZone(seconds, zone)}`;

export function dress(root) {
  for (const time of $$("time[data-at]", root)) {
    const seconds = Number(time.dataset.at);
    if ("ago" in time.dataset) time.title = title(seconds);
    else time.textContent = local(seconds);
  }
  for (const name of $$("[data-zone-name]", root)) name.textContent = mine;
}

/* A time in a list: how long ago it was, which grows. */
export function agoOf(seconds) {
  if (seconds === null || seconds === undefined) return [];
  const made = element("time", { "data-at": seconds, "data-ago": "", title: title(seconds) }, ago(seconds, now()));
  made.dateTime = new Date(seconds * 1000).toISOString();
  return made;
}

const each = [];

/* Have something done each second, after the ages. */
export const everySecond = (act) => each.push(act);

export function tick() {
  for (const age of $$("[data-since]")) {
    const text = lasting(now() - Number(age.dataset.since));
    // Unchanged texts are not written again, once a second for each row.
    if (age.textContent !== text) age.textContent = text;
  }
  for (const time of $$("time[data-ago]")) {
    const text = ago(Number(time.dataset.at), now());
    if (time.textContent !== text) time.textContent = text;
  }
  for (const act of each) act();
}
