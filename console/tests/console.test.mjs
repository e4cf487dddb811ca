// The console in a real browser, against a whole system: started by tests/e2e/test_console.py.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, afterEach, before, test } from "node:test";
import { chromium } from "playwright-core";

const { NIYANTA_URL, NIYANTA_API_KEY, NIYANTA_ADMIN_API_KEY, NIYANTA_PROCESSES, CHROMIUM, SCREENSHOTS } = process.env;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SLOW = 60_000;
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"];

let browser;
/** What no page may do: write errors, or ask another server. */
const misdeeds = [];
/** Workloads of the test that runs. */
const begun = [];

before(async () => {
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
});
after(() => browser?.close());

/** What a test leaves behind costs the others: a page goes on drawing and asking, a workload goes on running. */
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  const headers = { Authorization: `Bearer ${NIYANTA_API_KEY}` };
  for (const id of begun.splice(0)) await fetch(`${NIYANTA_URL}/v1/workloads/${id}/cancel`, { method: "POST", headers });
});

async function opened({ width = 1440, height = 900, colorScheme = "light" } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, permissions: ["clipboard-write"] });
  context.setDefaultTimeout(SLOW);
  const page = await context.newPage();
  page.on("console", (message) => message.type() === "error" && !/status of 4(01|00|03|04)/.test(message.text()) && misdeeds.push(`${message.text()} ${message.location().url}`));
  page.on("pageerror", (error) => misdeeds.push(String(error)));
  page.on("request", (request) => request.url().startsWith(NIYANTA_URL) || misdeeds.push(`asked ${request.url()}`));
  return page;
}

async function signedIn(key = NIYANTA_API_KEY, options = {}) {
  const page = await opened(options);
  await page.goto(`${NIYANTA_URL}/console`);
  await page.getByLabel("API key or token").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  return page;
}

async function api(method, path, body, key = NIYANTA_API_KEY) {
  const headers = { Authorization: `Bearer ${key}`, ...(body ? { "Content-Type": "application/json" } : {}) };
  const response = await fetch(`${NIYANTA_URL}/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${await response.clone().text()}`);
  return response.status === 204 ? undefined : response.json();
}

async function submitted(workload_type, input_params = {}, rest = {}) {
  const { workload_id } = await api("POST", "/workloads", { workload_type, input_params, ...rest });
  begun.push(workload_id);
  return workload_id;
}

async function show(page, path) {
  await page.goto(`${NIYANTA_URL}/console${path}`);
  await page.getByRole("heading", { level: 1 }).waitFor();
}

const badge = (page, words) => page.locator(".state-line .badge", { hasText: words }).waitFor();

/** Until a function of the page is true; fails with its last value when the time is up. */
async function until(ask, what, seconds = 60) {
  const end = Date.now() + 1000 * seconds;
  for (;;) {
    const found = await ask();
    if (found) return found;
    assert.ok(Date.now() < end, `${what}: still ${JSON.stringify(found)}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

test("a browser signs in, stays signed in, and keeps the key nowhere", async () => {
  const page = await opened();
  await page.goto(`${NIYANTA_URL}/console/workloads`);
  await page.getByLabel("API key or token").fill("nyt_cust_dev_wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("This key or token isn't good").waitFor();
  await page.getByLabel("API key or token").fill(NIYANTA_API_KEY);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Workloads" }).waitFor();
  await page.reload();
  await page.getByRole("heading", { name: "Workloads" }).waitFor();
  assert.ok(!page.url().includes("nyt_"));
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  assert.ok(!kept.includes("nyt_"), kept);
  const cookies = await page.context().cookies();
  assert.deepEqual(cookies.map(({ name, httpOnly, sameSite }) => [name, httpOnly, sameSite]), [["niyanta_session", true, "Strict"]]);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("You are signed out.").waitFor();
  await page.reload();
  await page.getByLabel("API key or token").waitFor();
});

test("a workload is submitted from a form, watched, moved, paused and resumed", async () => {
  const page = await signedIn();
  await page.getByRole("link", { name: "Submit", exact: true }).click();
  await page.getByLabel("Type", { exact: true }).selectOption("steps");
  await page.getByLabel("Steps (optional)").fill("0");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.locator(".field .problem").waitFor();
  await page.getByLabel("Steps (optional)").fill("400");
  await page.getByLabel("Pause ms (optional)").fill("100");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.waitForURL(/\/workloads\/wl_/);
  await badge(page, "Running");
  const progress = () => page.locator(".stack .progress .bar").first().getAttribute("aria-valuenow").then(Number);
  const seen = await until(progress, "no progress was shown");
  await until(async () => (await progress()) > seen, "the progress stood still");
  await page.locator(".log-line", { hasText: "step 10 is done" }).first().waitFor();
  await page.locator(".track .point").first().waitFor();

  const processes = JSON.parse(readFileSync(NIYANTA_PROCESSES, "utf8"));
  for (const [name, pid] of Object.entries(processes)) if (name.startsWith("worker-")) process.kill(pid, "SIGKILL");
  await until(async () => (await page.locator(".lane").count()) >= 2, "no second attempt was shown");
  await page.locator(".lane .stretch.move").first().waitFor();
  await badge(page, "Running");

  await page.getByRole("button", { name: "Pause" }).click();
  await badge(page, "Paused");
  await page.getByRole("tab", { name: "Checkpoints" }).click();
  await page.getByRole("button", { name: /^Pin checkpoint/ }).first().click();
  await page.locator("td .badge", { hasText: "pinned" }).waitFor();
  await page.getByRole("button", { name: "Resume", exact: true }).click();
  await badge(page, "Running");
  await page.getByRole("tab", { name: "History" }).click();
  for (const words of ["Redistributed", "Paused", "Resumed"]) await page.locator(".history", { hasText: words }).waitFor();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("button", { name: "Cancel it" }).click();
  await badge(page, "Cancelled");
});

test("a log is searched on the server, far behind the lines that are loaded", async () => {
  const id = await submitted("steps", { steps: 6000, pause_ms: 0 });
  await until(async () => (await api("GET", `/workloads/${id}`)).status === "COMPLETED", "it has not ended");
  const page = await signedIn();
  await show(page, `/workloads/${id}`);
  await page.locator(".log-line", { hasText: "step 6000 is done" }).waitFor();
  assert.equal(await page.locator(".log-line", { hasText: "step 20 is done" }).count(), 0);
  await page.getByLabel("Search the log").fill("STEP 20 is");
  await page.locator(".log-line", { hasText: "step 20 is done" }).waitFor();
  assert.equal(await page.locator(".log-line mark").count(), 1);
  await page.getByLabel("Search the log").fill("no such words");
  await page.getByText("No line fits").waitFor();
});

test("a history that grows is read on, not anew", async () => {
  const id = await submitted("steps", { steps: 20_000, pause_ms: 1 });
  const events = async () => (await api("GET", `/workloads/${id}/audit?limit=1000`)).events.length;
  await until(async () => (await events()) > 350, "it has no long history");
  const page = await signedIn();
  const asked = [];
  await show(page, `/workloads/${id}?tab=history`);
  await until(async () => (await page.locator(".history > li").count()) > 350, "the history isn't shown");
  page.on("request", (request) => request.url().includes("/audit") && asked.push(request.url()));
  const seen = await page.locator(".history > li").count();
  await until(async () => (await page.locator(".history > li").count()) > seen + 100, "the history stood still");
  assert.ok(asked.every((url) => url.includes("cursor=")), `from the start again: ${asked}`);
});

test("a list changes as its workloads do, and its filter stands in the address", async () => {
  const page = await signedIn();
  await page.getByRole("link", { name: "Workloads", exact: true }).click();
  const id = await submitted("steps", { steps: 5, pause_ms: 50 });
  const row = page.locator(".row.body", { has: page.locator(`a[title="${id}"]`) });
  await row.waitFor();
  await row.locator(".badge", { hasText: "Completed" }).waitFor();
  await page.getByLabel("Status").selectOption("FAILED");
  assert.match(page.url(), /status=FAILED/);
  await row.waitFor({ state: "detached" });
  await page.reload();
  assert.equal(await page.getByLabel("Status").inputValue(), "FAILED");
});

test("workloads are found by labels, time and id, and by how they failed", async () => {
  const other = await submitted("steps", { steps: 1 });
  const id = await submitted("import_file", { path: "/data/lost-7.csv" }, { labels: { team: "video", release: "7" } });
  const page = await signedIn();
  await show(page, "/workloads");
  await page.getByLabel("Labels").fill("team:video, release=7");
  await page.getByLabel("Submitted").selectOption("1");
  await page.waitForURL(/labels=team%3Avideo%2Crelease%3A7/);
  const rows = page.locator(".row.body");
  const shown = (one) => page.locator(`.row.body a[title="${one}"]`);
  await shown(other).waitFor({ state: "detached" });
  await shown(id).waitFor();
  assert.equal(await rows.count(), 1);
  await show(page, "/workloads");
  await page.getByLabel("Id", { exact: true }).fill(id.slice(0, -1));
  await page.waitForURL(/q=wl_/);
  await shown(other).waitFor({ state: "detached" });
  await shown(id).click();
  await badge(page, "Failed");
  await page.getByRole("link", { name: "team:video" }).waitFor();
  await page.getByRole("link", { name: "All that failed so" }).click();
  await shown(id).waitFor();

  await page.getByRole("link", { name: "Failures", exact: true }).click();
  const group = page.locator("section.type", { hasText: "there is no file" }).first();
  await group.getByRole("button", { name: "Replay" }).click();
  await page.getByRole("button", { name: "Replay them" }).click();
  await page.getByRole("dialog").getByText(/\d+ workloads? replayed$/).waitFor();
  await page.getByRole("button", { name: "Close" }).click();
});

test("some are picked and cancelled together", async () => {
  const ids = [await submitted("steps", { steps: 5000 }), await submitted("steps", { steps: 5000 })];
  const page = await signedIn();
  await show(page, "/workloads");
  for (const id of ids) await page.getByLabel(`Pick ${id}`).check();
  await page.getByRole("button", { name: "Cancel them" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel them" }).click();
  await page.getByRole("dialog").getByText("2 workloads cancelled").waitFor();
  await page.getByRole("button", { name: "Close" }).click();
});

async function failedImport() {
  const id = await submitted("import_file", { path: "/data/missing.csv" });
  await until(async () => (await api("GET", `/workloads/${id}`)).status === "FAILED", "it didn't fail");
  return id;
}

test("a failed one is replayed with another input, and all that failed are", async () => {
  const failed = await failedImport();
  const page = await signedIn();
  await show(page, `/workloads/${failed}`);
  await page.getByRole("button", { name: "Replay" }).click();
  await page.getByLabel("Path").fill("");
  await page.getByRole("button", { name: "Replay it" }).click();
  await page.getByRole("dialog").locator(".problem").waitFor();
  await page.getByLabel("Path").fill("/data/found.csv");
  await page.getByRole("dialog").getByLabel("Priority").fill("77");
  await page.getByRole("button", { name: "Replay it" }).click();
  await page.getByText("Replay of").waitFor();
  const replay = await api("GET", `/workloads/${page.url().split("/").at(-1)}`);
  assert.deepEqual([replay.replayed_from, replay.priority, replay.input_params.path], [failed, 77, "/data/found.csv"]);
  await badge(page, "Failed");

  await show(page, "/workloads?status=FAILED&workload_type=import_file");
  const before = (await api("GET", "/workloads?status=FAILED&workload_type=import_file&offset=0")).pagination.total;
  await page.getByRole("button", { name: "Replay all" }).click();
  await page.getByRole("button", { name: "Replay them" }).click();
  await page.getByRole("dialog").getByText(`${before} workloads replayed`).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
});

test("one that runs is forked at a checkpoint with another input, and goes on", async () => {
  const id = await submitted("steps", { steps: 2000, pause_ms: 20 });
  await until(async () => (await api("GET", `/workloads/${id}`)).checkpoint_sequence > 0, "it saved no checkpoint");
  const page = await signedIn();
  await show(page, `/workloads/${id}?tab=checkpoints`);
  await page.getByRole("button", { name: "Pin checkpoint", exact: false }).first().click();
  const pinned = page.locator("tr", { has: page.locator(".badge", { hasText: "pinned" }) });
  await pinned.waitFor();
  await pinned.getByRole("button", { name: /^Fork at/ }).click();
  await page.getByRole("dialog").getByLabel("Steps (optional)").fill("30");
  await page.getByRole("button", { name: "Fork it" }).click();
  await page.getByText("Fork of").waitFor();
  await badge(page, "Completed");
  const fork = await api("GET", `/workloads/${page.url().split("/").at(-1)}`);
  assert.deepEqual([fork.forked_from, fork.input_params.steps], [id, 30]);
  assert.ok(fork.from_checkpoint > 0);
  assert.equal((await api("GET", `/workloads/${id}`)).status, "RUNNING");
  await api("POST", `/workloads/${id}/cancel`, {});
});

test("what waits is changed, and its history says so", async () => {
  const id = await submitted("steps", {}, { affinity_rules: { hard_affinity: { worker_tags: { hardware: "gpu" } } } });
  const page = await signedIn();
  await show(page, `/workloads/${id}?tab=history`);
  await page.getByRole("button", { name: "Change" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Worker's tags").fill("hardware");
  await page.getByRole("button", { name: "Change it" }).click();
  await dialog.getByText("write name=value").waitFor();
  await dialog.getByLabel("Priority").fill("500");
  await dialog.getByLabel("Worker's tags").fill("");
  await page.getByRole("button", { name: "Change it" }).click();
  await badge(page, "Completed");
  await page.getByLabel("Search the history").fill("affinity");
  await page.locator(".history li", { hasText: "Updated" }).waitFor();
  assert.equal((await api("GET", `/workloads/${id}`)).priority, 500);
});

test("labels of what waits are added, changed and removed, and what is wrong is said at its row", async () => {
  const nowhere = { affinity_rules: { hard_affinity: { worker_tags: { hardware: "gpu" } } } };
  const id = await submitted("steps", {}, { ...nowhere, labels: { team: "video", release: "7", empty: "" } });
  const page = await signedIn();
  await show(page, `/workloads/${id}`);
  await page.getByRole("button", { name: "Change" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Key of label 3").waitFor();
  const keys = await dialog.getByLabel(/^Key of label/).evaluateAll((inputs) => inputs.map((one) => one.value));
  await dialog.getByLabel(`Value of label ${keys.indexOf("team") + 1}`).fill("audio");
  await dialog.getByLabel(`Remove label ${keys.indexOf("release") + 1}`).click();
  await dialog.getByRole("button", { name: "Add a label" }).click();
  await until(async () => (await page.evaluate(() => document.activeElement.getAttribute("aria-label"))) === "Key of label 3", "the new row isn't typed into");
  await page.keyboard.type("no blank");
  await dialog.getByLabel("Value of label 3").fill("x");
  await page.getByRole("button", { name: "Change it" }).click();
  await dialog.locator(".field", { has: page.getByLabel("Key of label 3") }).locator(".problem", { hasText: "A key takes" }).waitFor();
  assert.deepEqual((await api("GET", `/workloads/${id}`)).labels, { empty: "", release: "7", team: "video" });
  await dialog.getByLabel("Key of label 3").fill("team");
  await page.getByRole("button", { name: "Change it" }).click();
  await dialog.getByText("This key stands above already.").waitFor();
  await dialog.getByLabel("Key of label 3").fill("stage");
  await page.getByRole("button", { name: "Change it" }).click();
  await dialog.waitFor({ state: "detached" });
  await page.getByRole("link", { name: "stage:x" }).waitFor();
  const changed = await api("GET", `/workloads/${id}`);
  assert.deepEqual([changed.labels, changed.priority], [{ empty: "", stage: "x", team: "audio" }, 10]);
});

test("a search by labels that finds nothing rests, says how far it looked, and goes on when told to", async () => {
  const page = await signedIn();
  let asked = 0;
  let last = Infinity;
  await page.route(/\/v1\/workloads\?.*label=/, (route) => {
    if (new URL(route.request().url()).searchParams.get("cursor")) asked++;
    const has_more = asked < last;
    const at = new Date(Date.UTC(2026, 0, 31) - asked * 3_600_000).toISOString();
    return route.fulfill({ json: { workloads: [], pagination: has_more ? { has_more, next_cursor: `after ${asked}`, reached_at: at, total: 9000, total_is_estimate: true } : { has_more, next_cursor: null } } });
  });
  await show(page, "/workloads?labels=team:none");
  const further = page.getByRole("button", { name: "Look further" });
  await further.waitFor();
  await page.getByText(/^Looked at those submitted since .*: none fits$/).waitFor();
  await page.getByText("at most 9,000 fit the filter").waitFor();
  const before = asked;
  assert.ok(before >= 5 && before <= 20, `${before} pages were asked for`);
  last = before + 30;
  const begun = Date.now();
  await further.click();
  await page.getByText("Nothing fits the filter").waitFor();
  assert.equal(asked, last);
  assert.ok(Date.now() - begun > 30 * 90, "it asked without a pause");
  assert.equal(await further.count(), 0);
});

test("what holds for a type is set in a form, checked, and taken back", async () => {
  const page = await signedIn();
  await show(page, "/types");
  await page.getByRole("link", { name: "import_file", exact: true }).click();
  await page.getByRole("heading", { name: "Takes on average" }).waitFor();
  await show(page, "/types/not_yet_served");
  await page.getByText("No worker serves this type now").waitFor();
  await page.getByRole("button", { name: "Set", exact: true }).click();
  await page.getByLabel("Handed to the handler, as JSON").fill("{");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("dialog").getByText("isn't JSON").waitFor();
  await page.getByLabel("Handed to the handler, as JSON").fill('{"depth": 3}');
  await page.getByLabel("Time-out in seconds").fill("90");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator(".facts", { hasText: "1 min 30 s" }).waitFor();
  const [config] = (await api("GET", "/workload-configs")).configs;
  assert.deepEqual([config.workload_type, config.timeout_seconds, config.config_json], ["not_yet_served", 90, { depth: 3 }]);
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("button", { name: "Delete it" }).click();
  await page.getByText("Nothing is set: the service's own values hold").waitFor();
  assert.deepEqual((await api("GET", "/workload-configs")).configs, []);
});

test("a token is made of a key, and ended", async () => {
  const page = await signedIn();
  await page.getByRole("link", { name: "Tokens", exact: true }).click();
  await page.getByLabel("API key").fill("nyt_cust_dev_wrong");
  await page.getByRole("button", { name: "Show its tokens" }).click();
  await page.getByText("This key isn't good").waitFor();
  await page.getByRole("button", { name: "Forget the key" }).click();
  await page.getByLabel("API key").fill(NIYANTA_API_KEY);
  await page.getByRole("button", { name: "Show its tokens" }).click();
  await page.getByRole("button", { name: "Make a token" }).click();
  await page.getByRole("button", { name: "Make it" }).click();
  const token = await page.locator(".secret code").textContent();
  await api("GET", "/workloads?limit=1", undefined, token);
  await page.getByRole("button", { name: "I have kept it" }).click();
  const id = (await api("GET", "/tokens")).tokens.find((one) => one.scopes.join() === "workloads:read").token_id;
  await page.getByRole("button", { name: `End ${id}` }).click();
  await page.getByRole("button", { name: "End it" }).click();
  await page.getByText("The token is ended").waitFor();
  assert.ok(!(await api("GET", "/tokens")).tokens.some((one) => one.token_id === id));
});

test("an operator makes and ends a join token, and finds it in the audit", async () => {
  const page = await signedIn(NIYANTA_ADMIN_API_KEY);
  await page.getByRole("link", { name: "Join tokens" }).click();
  await page.getByRole("button", { name: "Make a join token" }).click();
  await page.getByLabel("Name").fill("for the lab");
  await page.getByLabel("Tags (optional)").fill("region=eu");
  await page.getByRole("button", { name: "Make it" }).click();
  await page.locator(".secret code").waitFor();
  await page.getByRole("button", { name: "I have kept it" }).click();
  await page.getByRole("button", { name: "End for the lab" }).click();
  await page.getByRole("button", { name: "End it" }).click();
  await page.locator("tr", { hasText: "for the lab" }).locator(".badge", { hasText: "revoked" }).waitFor();
  await page.getByRole("link", { name: "Audit" }).click();
  await page.getByLabel("Action").fill("revokeJoinToken");
  await page.waitForURL(/action=revokeJoinToken/);
  const row = page.locator("tbody tr").first();
  await row.locator(".badge", { hasText: "succeeded" }).waitFor();
  await row.locator("button.chip").click();
  await page.waitForURL(/target=/);
});

test("a waiting one is explained", async () => {
  const id = await submitted("steps", {}, { affinity_rules: { hard_affinity: { worker_tags: { hardware: "gpu" } } } });
  const page = await signedIn();
  await show(page, `/workloads/${id}`);
  await page.getByRole("heading", { name: "Why it waits" }).waitFor();
  await page.locator(".reasons", { hasText: "hardware" }).waitFor();
  await page.getByText("What would start it:").waitFor();
  await api("POST", `/workloads/${id}/cancel`, {});
  await badge(page, "Cancelled");
});

test("an operator drains a worker by moving and takes it back; a customer sees no operator's page", async () => {
  const id = await submitted("steps", { steps: 5000, pause_ms: 20 });
  const runs = () => api("GET", `/workloads/${id}`);
  await until(async () => (await runs()).checkpoint_sequence > 0, "it saved no checkpoint");
  const from = (await runs()).worker_id;
  const page = await signedIn(NIYANTA_ADMIN_API_KEY);
  await page.getByRole("link", { name: "Fleet" }).click();
  const card = page.locator(`.worker[aria-label="${from}"]`);
  await card.getByRole("button", { name: "Drain" }).click();
  await page.getByRole("radio", { name: "Move what it runs" }).check();
  await page.getByRole("button", { name: "Drain it" }).click();
  await card.locator(".badge", { hasText: "draining" }).waitFor();
  await card.getByText("Nothing is left: the machine can go").waitFor();
  const row = card.locator(".drain li", { has: page.locator(`[title^="${id}"]`) });
  await row.locator(".badge", { hasText: "moved to" }).waitFor();
  await row.getByText("no work lost").waitFor();
  await until(async () => (await runs()).status === "RUNNING", "it didn't go on");
  assert.notEqual((await runs()).worker_id, from);
  await api("POST", `/workloads/${id}/cancel`, {});
  await card.getByRole("button", { name: "Let it work again" }).click();
  await card.locator(".badge", { hasText: "healthy" }).waitFor();
  await page.context().close();

  const customer = await signedIn();
  assert.equal(await customer.getByRole("link", { name: "Fleet" }).count(), 0);
  await show(customer, "/operate/fleet");
  await customer.getByText("This page is for operators.").waitFor();
  const status = await customer.evaluate(async () => (await fetch("/v1/admin/workers", { headers: { "X-Niyanta-Console": "1" } })).status);
  assert.equal(status, 403);
});

test("everything can be reached with the keyboard", async () => {
  const page = await signedIn();
  await page.reload();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.getByRole("link", { name: "Skip to the page" }).focus();
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Submit a workload");
  await page.getByRole("link", { name: "Types", exact: true }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Types" }).waitFor();
  await page.waitForFunction(() => document.activeElement.tagName === "H1"); // from the next frame on
  await page.keyboard.press("/");
  await page.keyboard.type("wl_unknown");
  await page.keyboard.press("Enter");
  await page.getByText("There is nothing here.").waitFor();
  const id = await submitted("steps", { steps: 5000 });
  await show(page, `/workloads/${id}`);
  await page.getByRole("button", { name: "Cancel", exact: true }).press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.waitForFunction(() => document.activeElement.textContent === "Cancel");
});

test("no page has a serious fault of accessibility, in either theme and at either width", async () => {
  const failed = await failedImport();
  const running = await submitted("steps", { steps: 3000 });
  const paths = ["/", "/workloads", `/workloads/${running}`, `/workloads/${failed}?tab=history`, `/workloads/${failed}?tab=data`, "/submit?type=steps", "/failures", "/types", "/types/steps", "/usage", "/tokens", "/operate/fleet", "/operate/customers", "/operate/customers/cust_dev", "/operate/fairness", "/operate/join-tokens", "/operate/sessions", "/operate/audit", "/operate/system"];
  for (const colorScheme of ["light", "dark"]) {
    for (const width of SCREENSHOTS ? [1440, 390] : [colorScheme === "light" ? 1440 : 390]) {
      const page = await signedIn(NIYANTA_ADMIN_API_KEY, { width, height: width === 390 ? 844 : 900, colorScheme });
      for (const path of paths) {
        await show(page, path);
        await until(async () => !(await page.getByLabel("Loading").count()), `${path} loads for ever`);
        const where = `${path} ${colorScheme} ${width}`;
        const found = await page.evaluate(`${AXE}; axe.run().then((found) => found.violations.filter((one) => ["serious", "critical"].includes(one.impact)).map((one) => [one.id, one.nodes.slice(0, 3).map((node) => node.html + " " + node.failureSummary)]))`);
        assert.deepEqual(found, [], where);
        assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= width, `${where} is wider than the screen`);
        if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/${where.replace(/wl_\w+/, "wl").replace(/[^a-z0-9]+/gi, "_")}.png`, fullPage: width === 390 });
      }
      await page.context().close();
    }
  }
});

test("the page at /docs shows every operation, and tries one", async () => {
  const page = await opened();
  await page.goto(`${NIYANTA_URL}/docs`);
  await page.getByRole("heading", { name: /^Niyanta/ }).waitFor();
  const { paths } = await (await fetch(`${NIYANTA_URL}/v1/openapi.json`)).json();
  const operations = Object.values(paths).flatMap((item) => Object.keys(item));
  await until(async () => (await page.locator(".opblock").count()) === operations.length, "operations are shown");
  await page.getByRole("button", { name: "Authorize" }).first().click();
  const asked = page.locator(".auth-container").first();
  await asked.locator("input").fill(NIYANTA_API_KEY);
  await asked.locator("button.authorize").click();
  await page.locator(".btn-done").first().click();
  const listing = page.locator("#operations-Workloads-listWorkloads");
  await listing.getByRole("button").first().click();
  await listing.getByRole("button", { name: "Try it out" }).click();
  await listing.getByRole("button", { name: "Execute" }).click();
  await listing.locator(".live-responses-table .response-col_status", { hasText: "200" }).waitFor();
});

test("a page is painted at once, asks nobody else, and complains of nothing", async (t) => {
  const page = await signedIn();
  await page.reload();
  const paint = await until(() => page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime), "nothing was painted");
  t.diagnostic(`first paint after ${Math.round(paint)} ms`);
  await page.context().close();
  assert.deepEqual(misdeeds, []);
});
