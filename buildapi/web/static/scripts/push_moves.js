/* Where a key leads in a list: on plain numbers and boxes. */

/* Return the place after `at` (-1: none) in a list of `count`, by `step`; the ends stay. */
export function beside(count, at, step) {
  if (!count) return -1;
  if (at < 0) return step > 0 ? 0 : count - 1;
  return Math.min(count - 1, Math.max(0, at + step));
}

/* Return the next true place after `at`, by `step`; -1 if there is none. */
export function nextOf(flags, at, step) {
  for (let next = at + step; next >= 0 && next < flags.length; next += step) if (flags[next]) return next;
  return -1;
}

/* Return the box of the next line above or below (`step` -1 or 1) that is nearest to that at `at`; -1: there is none. */
export function nearest(boxes, at, step) {
  const from = boxes[at], middle = (from.left + from.right) / 2;
  const beyond = (box) => step > 0 ? box.top - from.bottom >= -1 : from.top - box.bottom >= -1;
  let best = -1, line = 0, distance = 0;
  for (const [place, box] of boxes.entries()) {
    if (!beyond(box)) continue;
    const away = step > 0 ? box.top - from.bottom : from.top - box.bottom;
    const aside = Math.abs((box.left + box.right) / 2 - middle);
    // Boxes of one line may differ by some pixels.
    if (best < 0 || away < line - 4 || (Math.abs(away - line) <= 4 && aside < distance)) {
      best = place;
      line = away;
      distance = aside;
    }
  }
  return best;
}
