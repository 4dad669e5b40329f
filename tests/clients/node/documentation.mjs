// A developer reads the documentation in a browser: signs in by Swagger's Authorize and tries an operation; opens ReDoc.

import assert from "node:assert/strict";

import { openPage, withBrowser } from "./browser.mjs";

const { EDGECHAT_URL: BASE, EDGECHAT_EMAIL: EMAIL, EDGECHAT_PASSWORD: PASSWORD } = process.env;

await withBrowser(async (browser) => {
  await swagger(browser);
  await redoc(browser);
});

async function swagger(browser) {
  const { page, assertQuiet } = await openPage(browser, `${BASE}/docs`);
  await page.locator(".auth-wrapper").getByRole("button", { name: "Authorize" }).click();
  const dialog = page.locator(".dialog-ux");
  const form = dialog.locator(".auth-container").filter({ hasText: "oauth2" });
  await form.getByLabel("username").fill(EMAIL);
  await form.getByLabel("password").fill(PASSWORD);
  await form.getByRole("button", { name: "Apply given OAuth2 credentials" }).click();
  await form.getByRole("button", { name: "Remove authorization" }).waitFor();
  await dialog.locator(".close-modal").click();

  const operation = page.locator(".opblock-get").filter({ has: page.locator('[data-path="/api/v1/users/me"]') });
  await operation.locator(".opblock-summary-control").click();
  await operation.getByRole("button", { name: "Try it out" }).click();
  await operation.getByRole("button", { name: "Execute", exact: true }).click();
  const answer = operation.locator(".live-responses-table .response");
  assert.match(await answer.locator(".response-col_status").innerText(), /^200/);
  assert.equal(JSON.parse(await answer.locator(".highlight-code code").first().innerText()).email, EMAIL);
  assertQuiet();
}

async function redoc(browser) {
  const { page, assertQuiet } = await openPage(browser, `${BASE}/redoc`);
  await page.getByRole("heading", { name: "Sign in with e-mail and password" }).waitFor();
  assertQuiet();
}
