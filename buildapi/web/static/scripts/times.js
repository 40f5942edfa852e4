/* Show times in the reader's zone, and let ages grow. */

import { $$, element } from "./dom.js";
import { inZone, lasting, local } from "./durations.js";
import { now, zone } from "./page.js";

export function dress(root) {
  for (const time of $$("time[data-at]", root)) time.textContent = local(Number(time.dataset.at));
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  for (const name of $$("[data-zone-name]", root)) name.textContent = zone;
}

export function timeOf(seconds) {
  if (seconds === null || seconds === undefined) return [];
  const made = element("time", { "data-at": seconds, title: inZone(seconds, zone) }, local(seconds));
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
  for (const act of each) act();
}
