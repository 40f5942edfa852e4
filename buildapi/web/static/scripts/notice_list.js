/* The pushes that somebody wants to be told of: a short list, kept as text. */

const MOST = 20;                 // more are no list that anybody waits for

const isOne = (one) => Boolean(one) && typeof one.branch === "string" && typeof one.revision === "string";
const same = (a, b) => a.branch === b.branch && a.revision === b.revision;

/* Return the list in a text; what is none, such as of another version, is empty. */
export function parsed(text) {
  try {
    const list = JSON.parse(text);
    return Array.isArray(list) ? list.filter(isOne).slice(-MOST) : [];
  } catch {
    return [];
  }
}

export const has = (list, push) => list.some((one) => same(one, push));
export const without = (list, push) => list.filter((one) => !same(one, push));
/* Add a push; where there are too many, the oldest goes. */
export const withOne = (list, { branch, revision }) => [...without(list, { branch, revision }), { branch, revision }].slice(-MOST);

/* Return the words for a push whose jobs are complete. */
export function wordsFor({ branch, revision }, passed) {
  const short = /^[0-9a-f]{12,}$/i.test(revision) ? revision.slice(0, 12) : revision;
  return `${short} on ${branch} is done: ${passed ? "all passed" : "not all passed"}`;
}
