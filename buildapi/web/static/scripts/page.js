/* What the page tells its scripts: who serves it, for whom, and when it was made. */

const body = document.body;
export const mount = body.dataset.mount;
export const token = body.dataset.token;
export const zone = body.dataset.zone || "UTC";
export const RESULTS = (body.dataset.results || "").split(" ");  // by their numbers
// Ages are counted by the clock of the service: that of the reader's machine may be wrong.
const skew = body.dataset.now ? Number(body.dataset.now) - Date.now() / 1000 : 0;
export const now = () => Math.floor(Date.now() / 1000 + skew);
