import assert from "node:assert/strict";
import { test } from "node:test";

import { beside, nearest, nextOf } from "../../buildapi/web/static/scripts/push_moves.js";

test("a step stays within the list", () => {
  assert.deepEqual([beside(3, 1, 1), beside(3, 2, 1), beside(3, 0, -1)], [2, 2, 0]);
  assert.deepEqual([beside(3, -1, 1), beside(3, -1, -1), beside(0, -1, 1)], [0, 2, -1]);
});

test("the next failure is behind where somebody is, if there is one", () => {
  const failed = [false, true, false, false, true];
  assert.deepEqual([nextOf(failed, -1, 1), nextOf(failed, 1, 1), nextOf(failed, 4, 1)], [1, 4, -1]);
  assert.deepEqual([nextOf(failed, 5, -1), nextOf(failed, 4, -1), nextOf(failed, 1, -1)], [4, 1, -1]);
});

const box = (left, top) => ({ left, right: left + 20, top, bottom: top + 20 });

test("up and down go to the nearest box of the next line", () => {
  const boxes = [box(0, 0), box(30, 0), box(60, 0), box(0, 30), box(35, 33), box(0, 60)];
  assert.equal(nearest(boxes, 2, 1), 4);
  assert.equal(nearest(boxes, 0, 1), 3);
  assert.equal(nearest(boxes, 4, -1), 1);
  assert.equal(nearest(boxes, 4, 1), 5);
  assert.equal(nearest(boxes, 5, 1), -1);
  assert.equal(nearest(boxes, 1, -1), -1);
});
