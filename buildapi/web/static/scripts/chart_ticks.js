/* Where the axes of charts have marks, and what stands at them. */

import { lasting, local } from "./durations.js";

const MINUTE = 60, HOUR = 3600, DAY = 86400;
const STEPS = [
  1, 2, 5, 10, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
  HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY,
  60 * DAY, 90 * DAY, 180 * DAY, 365 * DAY,
];

/* Return the seconds between two marks, so that there are at most so many. */
export function stepOf(from, to, most) {
  return STEPS.find((step) => (to - from) / step <= most) || Math.ceil((to - from) / most / DAY) * DAY;
}

/* Return the times of marks: whole steps of the reader's clock, which may change in between. */
export function timeMarks(from, to, most, offset = localOffset) {
  const step = stepOf(from, to, most), marks = [];
  for (let at = Math.ceil((from + offset(from)) / step) * step; at - offset(from) <= to + HOUR; at += step) {
    const mark = at - offset(at - offset(from));
    if (mark >= from && mark <= to && mark !== marks[marks.length - 1]) marks.push(mark);
  }
  return marks;
}

const localOffset = (seconds) => -60 * new Date(seconds * 1000).getTimezoneOffset();

/* Return what stands at the marks: the day where it begins, else the time; no two are equal. */
export function timeLabels(marks) {
  const cut = marks.some((mark) => mark % MINUTE !== 0) ? 8 : 5;
  const whole = marks.length > 1 && marks[1] - marks[0] >= DAY;
  let before = "";
  return marks.map((mark) => {
    const [day, time] = local(mark).split(" "), label = day === before ? time.slice(0, cut) : [time.slice(0, cut), day];
    before = day;
    return whole ? day : label;
  });
}

const SECONDS = { hours: HOUR, minutes: MINUTE };

/* Return a value with its unit; durations in the unit that matters. */
export function valueText(value, unit) {
  if (value === null || value === undefined) return "no data";
  if (value === 0) return "0";
  if (unit in SECONDS) return lasting(Math.round(value * SECONDS[unit]));
  const text = String(Math.round(value * 100) / 100);
  return unit === "%" ? `${text} %` : text;
}

/* Return the length of a step of an axis of durations that makes round marks; undefined for others. */
export function durationStep(most, unit, marks = 8) {
  if (!(unit in SECONDS) || !(most > 0)) return undefined;
  return stepOf(0, most * SECONDS[unit], marks) / SECONDS[unit];
}
