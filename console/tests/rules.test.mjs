// What the console decides without a browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { build } from "esbuild";

async function loaded(path) {
  const entry = new URL(`../src/${path}`, import.meta.url).pathname;
  const { outputFiles } = await build({ entryPoints: [entry], bundle: true, format: "esm", write: false });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
}

const { readLabels, MOST_LABELS } = await loaded("ui/label-rules.ts");
const { foundIn } = await loaded("ui/find.ts");

test("labels are read, empty rows and blanks around them left out", () => {
  const read = readLabels([["team", "video"], ["", ""], [" release ", " 2025.10 "], ["empty", ""]]);
  assert.deepEqual(read, { labels: { team: "video", release: "2025.10", empty: "" }, problems: {} });
});

test("what the service would refuse is said of its row", () => {
  const long = "k".repeat(64);
  const wrong = [["", "x"], ["no blank", "x"], [long, ""], ["k", long], ["-k", ""], ["k", "v/"], ["__proto__", ""], ["ключ", ""], ["k", "a:b"], ["k\n", "x y"]];
  for (const row of wrong) assert.deepEqual(Object.keys(readLabels([["ok", ""], row]).problems), ["1"], JSON.stringify(row));
  assert.deepEqual(Object.keys(readLabels([["a", "1"], ["b", "1"], ["a", "2"]]).problems), ["2"]);
  const many = Array.from({ length: MOST_LABELS + 1 }, (_, number) => [`k${number}`, ""]);
  assert.deepEqual(Object.keys(readLabels(many).problems), [String(MOST_LABELS)]);
  assert.deepEqual(readLabels([["constructor", "x"], ["toString", ""]]).problems, {});
});

test("words are found in whatever case, where they stand", () => {
  assert.deepEqual(foundIn("STEP 20 is done", "step 20 IS"), [0, 10]);
  assert.deepEqual(foundIn("İİİ hello", "HELLO"), [4, 9]);
  assert.deepEqual(foundIn("Ο Σίσυφος", "ΣΊΣΥΦΟΣ"), [2, 9]);
  assert.deepEqual(foundIn("a+b(c)[d] $5.00 \\d", "[D] $5.00 \\D"), [6, 18]);
  assert.deepEqual(foundIn("so 🙂 it is", "🙂"), [3, 5]);
  assert.deepEqual(foundIn("x a-b/c", "A-B/C"), [2, 7]);
  assert.equal(foundIn("abc", "a.c"), undefined);
  assert.equal(foundIn("abc", ""), undefined);
});
