/* What an event changes in a list of pushes: on plain values. */

export const keyOfPush = (branch, revision) => `${branch} ${revision}`;

/* Return "push" if an event is about one of those known, "new" if it may be about a new one, else "". */
export function changedBy(item, known, isNewest) {
  if (!item.revision || !item.branch_name) return "";     // such as a nightly: it is of no push
  if (known.has(keyOfPush(item.branch_name, item.revision))) return "push";
  return isNewest ? "new" : "";
}

/* Return what to read: whole page or a few pushes; nothing while a whole page was read lately. */
export function readingOf(due, wantsNew, sinceWhole, { most = 5, pause = 10000 } = {}) {
  const whole = wantsNew || due.length > most;
  if (!whole) return { whole: false, pushes: due, wait: 0 };
  if (sinceWhole < pause) return { whole: false, pushes: [], wait: pause - sinceWhole };
  return { whole: true, pushes: [], wait: 0 };
}

/* Return of the rows of a page, newest first, those that are newer than all known ones, oldest first. */
export function newcomers(ids, known) {
  const at = ids.findIndex((id) => known.has(id));
  return (at < 0 ? ids : ids.slice(0, at)).reverse();
}
