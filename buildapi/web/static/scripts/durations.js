/* Write times and durations. */

const two = (n) => String(n).padStart(2, "0");

export function local(seconds) {
  const d = new Date(seconds * 1000);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ` +
    `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

export function inZone(seconds, zone) {
  // The Swedish locale writes 2026-11-23 14:05:09, as the service does.
  const text = new Intl.DateTimeFormat("sv-SE", {
    timeZone: zone, dateStyle: "short", timeStyle: "medium",
  }).format(new Date(seconds * 1000));
  return `${text} ${zone}`;
}

const DATE_AFTER = 30 * 86400;

/* How long ago a time was; after 30 days, when a date says more, its date. */
export function ago(seconds, now) {
  return now - seconds >= DATE_AFTER ? local(seconds).split(" ")[0] : `${lasting(now - seconds)} ago`;
}

export function lasting(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s % 3600 / 60))}`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}
