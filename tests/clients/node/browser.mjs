// Chromium for the other programs here: headless, without a way out of the machine, and with a record of what pages do.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";

import { chromium } from "playwright-core";

// Longer than a page needs on a busy machine; the whole program has a bound of its own.
const STEP_TIMEOUT_MS = 30_000;

/**
 * Runs `job` with a browser and ends that. No name but the machine's own is resolved, by pages or by the browser itself.
 */
export async function withBrowser(job) {
  const browser = await chromium.launch({
    executablePath: process.env.EDGECHAT_CHROMIUM_BIN,
    // Containers and root have no sandbox.
    chromiumSandbox: false,
    args: ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"],
  });
  try {
    await job(browser);
  } finally {
    await browser.close();
  }
}

/**
 * Serves an empty page at an address of this machine, until the program ends: the site of an app.
 */
export async function serveSite(url) {
  const { hostname, port } = new URL(url);
  const server = createServer((_, response) => {
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    response.end('<!doctype html><title>An app</title><link rel="icon" href="data:,">');
  });
  server.listen(Number(port), hostname === "localhost" ? "127.0.0.1" : hostname);
  await once(server, "listening");
  server.unref();
}

/**
 * Opens a page in a profile of its own. `assertAtHome` fails when it has asked an origin for anything that is neither its own nor
 * that of `api`; `assertQuiet` also when anything in it has failed.
 */
export async function openPage(browser, url, api = url) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_TIMEOUT_MS);
  const known = [url, api].map((address) => new URL(address).origin);
  const foreign = [];
  const errors = [];
  context.on("request", (request) => {
    const address = new URL(request.url());
    if (address.protocol !== "data:" && !known.includes(address.origin)) foreign.push(request.url());
  });
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) errors.push(`${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (error) => errors.push(String(error)));
  const response = await page.goto(url);
  assert.equal(response.status(), 200, url);
  const assertAtHome = () => assert.deepEqual(foreign, [], url);
  const assertQuiet = () => {
    assertAtHome();
    assert.deepEqual(errors, [], url);
  };
  return { page, assertAtHome, assertQuiet };
}
