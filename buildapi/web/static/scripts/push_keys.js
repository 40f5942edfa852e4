/* Keys of the list of pushes: what each does, as one table for the keyboard and for its help. */

export const KEYS = [
  { keys: ["j"], act: "nextPush", text: "next push" },
  { keys: ["k"], act: "previousPush", text: "previous push" },
  { keys: ["n"], act: "nextFailure", text: "next failed job" },
  { keys: ["p"], act: "previousFailure", text: "previous failed job" },
  { keys: ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], act: "move", text: "job beside, above or below", at: "push" },
  { keys: ["Home", "End"], act: "edge", text: "first or last job of the push", at: "push" },
  { keys: ["Enter"], act: "open", text: "show the job", at: "job" },
  { keys: ["r"], act: "rebuild", text: "rebuild the job" },
  { keys: ["c"], act: "cancel", text: "cancel the job, after a question" },
  { keys: ["f"], act: "filter", text: "filter pushes" },
  { keys: ["/"], act: "search", text: "search builders" },
  { keys: ["?"], act: "help", text: "list the keys" },
  { keys: ["Escape"], act: "close", text: "close the job" },
];

/* Return what a key does, "" if nothing.  `at` is where the focus is: "job", "push", or "" elsewhere. */
export function actOf(event, at, { typing = false, off = false } = {}) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return "";
  // Shift makes a character such as ?, but is a modifier of a key with a name, such as an arrow.
  if (event.shiftKey && event.key.length > 1) return "";
  const found = KEYS.find((one) => one.keys.includes(event.key));
  if (!found) return "";
  if (found.at === "job" && at !== "job") return "";
  if (found.at === "push" && at === "") return "";
  if (typing) return "";
  // Single characters can be turned off [WCAG 2.1.4]; the help says how, so its key stays.
  return off && event.key.length === 1 && found.act !== "help" ? "" : found.act;
}

/* Return the name in the list of the build or request whose page a path is; empty for another page. */
export function jobOfPath(path) {
  const [, kind, id] = /\/self-serve\/[^/]+\/(build|request)\/(\d+)$/.exec(path) || [];
  return kind ? `${kind}-${id}` : "";
}
