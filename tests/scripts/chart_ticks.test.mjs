import assert from "node:assert/strict";
import { test } from "node:test";

import { durationStep, stepOf, timeLabels, timeMarks, valueText } from "../../buildapi/web/static/scripts/chart_ticks.js";

const utc = () => 0;
const at = (...parts) => new Date(...parts).getTime() / 1000;

test("marks are at round times within the axis", () => {
  assert.deepEqual(timeMarks(100, 400, 6, utc), [120, 180, 240, 300, 360]);
  assert.deepEqual(timeMarks(0, 86400, 8, utc).map((mark) => mark / 3600), [0, 3, 6, 9, 12, 15, 18, 21, 24]);
  assert.deepEqual(timeMarks(3, 9, 8, utc), [3, 4, 5, 6, 7, 8, 9]);
});

test("marks are round on the clock of the reader, also after it was changed", () => {
  const half = () => 19800;                                  // India
  assert.deepEqual(timeMarks(0, 86400, 4, half).map((mark) => (mark + 19800) % 21600), [0, 0, 0, 0]);
  const changed = (seconds) => (seconds < 50000 ? 3600 : 7200);
  const hours = timeMarks(0, 172800, 8, changed).map((mark) => ((mark + changed(mark)) / 3600) % 6);
  assert.deepEqual(new Set(hours), new Set([0]));
});

test("there are no more marks than have room", () => {
  for (const span of [1, 59, 3600, 86400, 7 * 86400, 90 * 86400, 4000 * 86400]) {
    const marks = timeMarks(1700000000, 1700000000 + span, 8, utc);
    assert.ok(marks.length <= 9, `${span}: ${marks.length}`);
    assert.equal(new Set(marks).size, marks.length);
  }
  assert.equal(stepOf(0, 86400, 8), 3 * 3600);
});

test("no two labels are equal, and a day is named where it begins", () => {
  const marks = [22, 23, 24, 25].map((hour) => at(2026, 10, 30, hour));
  assert.deepEqual(timeLabels(marks), [["22:00", "2026-11-30"], "23:00", ["00:00", "2026-12-01"], "01:00"]);
  for (const step of [1, 30, 60, 3600, 86400, 30 * 86400]) {
    const labels = timeLabels([0, 1, 2, 3, 4].map((n) => at(2026, 5, 1) + n * step)).map(String);
    assert.equal(new Set(labels).size, 5, labels.join());
  }
});

test("seconds are shown where marks differ by them", () => {
  const marks = [0, 15, 30].map((second) => at(2026, 5, 1, 12, 0, second));
  assert.deepEqual(timeLabels(marks).map((label) => [].concat(label)[0]), ["12:00:00", "12:00:15", "12:00:30"]);
});

test("durations have the unit that matters, and what is not there is no number", () => {
  assert.equal(valueText(0.17, "minutes"), "10 s");
  assert.equal(valueText(0.5, "hours"), "30 min");
  assert.equal(valueText(33.333, "%"), "33.33 %");
  assert.equal(valueText(7, ""), "7");
  assert.equal(valueText(0, "hours"), "0");
  assert.equal(valueText(null, "minutes"), "no data");
});

test("an axis of durations has round marks", () => {
  assert.equal(durationStep(22, "minutes"), 5);
  assert.equal(durationStep(0.4, "minutes"), 5 / 60);
  assert.equal(durationStep(1.3, "hours"), 1 / 6);
  assert.equal(durationStep(50, "%"), undefined);
  assert.equal(durationStep(0, "minutes"), undefined);
});
