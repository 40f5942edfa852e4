/* New content of a section waits while it would move what somebody is at there. */

import { $, $$ } from "./dom.js";
import { swap } from "./page_swap.js";
import { changeSteadily, placedIn, wouldMove } from "./steady.js";
import { dress, everySecond } from "./times.js";

const late = new Map();          // by the id of a section: the section, and its new content

/* Put new content in place, or have it wait; its state is shown if that moves nothing. */
export function bringIn(old, into) {
  dress(into);
  const opened = new Set($$("details[data-key][open]", old).map((one) => one.dataset.key));
  for (const one of $$("details[data-key]", into)) one.open = opened.has(one.dataset.key) || one.open;
  if (!wouldMove(old, into)) {
    late.delete(old.id);
    return swap(old, into);
  }
  late.set(old.id, [old, into]);
  showState($(".state", old), $(".state", into), placedIn(old));
}

function showState(state, next, at) {
  if (!state || !next || state.textContent === next.textContent) return;
  const before = [state.className, state.textContent, state.style.cssText];
  const width = state.getBoundingClientRect().width;
  changeSteadily(() => {
    // Shorter words take the room of the longer ones.
    Object.assign(state.style, { display: "inline-block", minWidth: `${width}px` });
    [state.className, state.textContent] = [next.className, next.textContent];
    return () => { [state.className, state.textContent, state.style.cssText] = before; };
  }, at);
}

everySecond(() => {
  // A copy: what waits on is put in again, and a loop over the map itself would come to it once more.
  for (const [id, [old, into]] of [...late]) {
    late.delete(id);
    // Another one may have its id by now: the panel shows another job.
    if (old.isConnected) bringIn(old, into);
  }
});
