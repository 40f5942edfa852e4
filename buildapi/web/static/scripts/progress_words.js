/* How far builds are, in a few words for the title of a page, and as a picture for its tab. */

import { FAILED, OPEN } from "./build_states.js";

const sum = (counts, states) => states.reduce((total, state) => total + (counts[state] || 0), 0);

/* Return how many failed, run, wait and ended, of counts by state. */
export function progressOf(counts) {
  const all = Object.values(counts).reduce((total, count) => total + count, 0), open = sum(counts, OPEN);
  return {
    failed: sum(counts, FAILED), running: counts.running || 0, pending: sum(counts, ["claimed", "pending"]),
    ended: all - open, all,
  };
}

/* Return the title of a page with what is most worth knowing in a narrow tab first. */
export function titleOf(title, progress) {
  if (!progress.all) return title;
  const parts = [];
  if (progress.failed) parts.push(`${progress.failed} failed`);
  if (progress.running) parts.push(`${progress.running} running`);
  if (!progress.running && progress.pending) parts.push(`${progress.pending} pending`);
  if (progress.ended === progress.all) parts.push(progress.failed ? "done" : "all done");
  return parts.length ? `${parts.join(", ")} – ${title}` : title;
}

const CROSS = "M5 5l6 6m0-6l-6 6", TICK = "M4 8l3 3 5-6", RUNS = "M6 4l5 4-5 4z";

/* Return a picture: red if any failed, else blue while something is open, else green; its sign says the same. */
export function iconOf(progress) {
  const open = progress.ended < progress.all;
  const colour = progress.failed ? "#b3261e" : open ? "#0b57b8" : "#17693a";
  const sign = open ? RUNS : progress.failed ? CROSS : TICK;
  const shape = progress.all
    ? `<circle cx="8" cy="8" r="8" fill="${colour}"/><path d="${sign}" fill="none" stroke="#fff" stroke-width="2"/>`
    : `<circle cx="8" cy="8" r="6" fill="none" stroke="#566070" stroke-width="3"/>`;
  return `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">${shape}</svg>`)}`;
}
