import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { parted } from "../../buildapi/web/static/scripts/builder_name.js";

const CASES = JSON.parse(readFileSync(new URL("builder_names.json", import.meta.url)));

test("a name is parted as the service parts it", () => {
  for (const [start, end] of CASES) assert.deepEqual(parted(start + end), [start, end]);
});
