import assert from "node:assert/strict";
import { test } from "node:test";

import { hostOf, stateOf } from "../../buildapi/web/static/scripts/build_states.js";

const RESULTS = "success warnings failure skipped exception retry cancelled".split(" ");
const build = { build_id: 1, status: null, endtime: null };

test("a bare request waits, is claimed, or was completed without a build", () => {
  assert.equal(stateOf({ complete: 0, claimed_at: 0 }, RESULTS), "pending");
  assert.equal(stateOf({ complete: 0, claimed_at: 1700000000 }, RESULTS), "claimed");
  assert.equal(stateOf({ complete: 1, status: 2 }, RESULTS), "failure");
  assert.equal(stateOf({ complete: 1, status: null }, RESULTS), "gone");
});

test("a build runs until it has a result or an end", () => {
  assert.equal(stateOf(build, RESULTS), "running");
  assert.equal(stateOf({ ...build, status: 4, endtime: 5 }, RESULTS), "exception");
  assert.equal(stateOf({ ...build, status: 0 }, RESULTS), "success");
  assert.equal(stateOf({ ...build, endtime: 5 }, RESULTS), "retry");
  assert.equal(stateOf({ ...build, abandoned: true }, RESULTS), "abandoned");
});

test("a master is named by its host alone", () => {
  assert.equal(hostOf("bm01.example.org:/builds/master"), "bm01");
  assert.equal(hostOf(null), "");
});
