/* Whether events come. */

export const POLL = 10000;       // milliseconds between two looks where events do not come

export const stream = { source: null, alive: false, failures: 0, poll: 0, due: 0 };
