/* States of builds and requests, in the words of the service (jobs/build_states.py). */

export const FAILED = ["failure", "exception"];
export const OPEN = ["running", "claimed", "pending"];

export function stateOf(item, results) {
  // docs/api.md, Reads: a pending item is a bare request, without build_id and status.
  if (!("build_id" in item)) {
    if (item.complete) return results[item.status] || "gone";
    return item.claimed_at ? "claimed" : "pending";
  }
  if (item.abandoned) return "abandoned";
  if (item.endtime === null && item.status === null) return "running";
  return results[item.status] || "retry";
}

// Buildbot 0.8 claims as HOST:BASEDIR (claimed_by_name).
export const hostOf = (master) => (master || "").split(":")[0].split(".")[0];
