// A user of a web app registers a passkey in the browser's own authenticator and signs in with it; what must not work does not.

import assert from "node:assert/strict";

import { openPage, serveSite, withBrowser } from "./browser.mjs";

const { EDGECHAT_URL: BASE, EDGECHAT_SITE: SITE, EDGECHAT_OTHER_SITE: OTHER_SITE, EDGECHAT_TOKEN: TOKEN } = process.env;
const PASSKEYS = `${BASE}/api/v1/auth/passkeys`;

await serveSite(SITE);
await serveSite(OTHER_SITE);
await withBrowser(async (browser) => {
  const { page, assertAtHome } = await openPage(browser, SITE, BASE);
  const authenticator = await addAuthenticator(page);

  const passkey = await register(page, "Ada's laptop");
  assert.equal(passkey.status, 201, JSON.stringify(passkey));
  assert.deepEqual([passkey.body.name, passkey.body.last_used_at], ["Ada's laptop", null]);
  assert.deepEqual(await listed(page), [passkey.body]);
  // The authenticator knows by the options that it has one already.
  assert.equal((await register(page, "Again")).failure, "InvalidStateError");

  const { options, credential } = await signed(page);
  assert.deepEqual(options.public_key.allowCredentials, [], "the account is not named");
  const login = { challenge_id: options.challenge_id, credential, device_name: "Ada's laptop" };
  const tokens = await call(page, "POST", `${PASSKEYS}/login`, login);
  assert.equal(tokens.status, 200, JSON.stringify(tokens));
  const me = await call(page, "GET", `${BASE}/api/v1/users/me`, undefined, tokens.body.access_token);
  assert.deepEqual(me.body, tokens.body.user);
  assert.notEqual((await listed(page))[0].last_used_at, null);

  // A challenge is answered once, and an answer is for its challenge.
  await refused(page, login, "code_invalid");
  const next = await call(page, "POST", `${PASSKEYS}/login/options`);
  await refused(page, { ...login, challenge_id: next.body.challenge_id }, "invalid_credentials");

  // Another site of the same domain: the browser lets it use the passkey, the server does not.
  await foreignSite(browser, await authenticator.credentials());

  // The authenticator still has it, and nobody signs in with it any more.
  const removed = await call(page, "DELETE", `${PASSKEYS}/${passkey.body.id}`, undefined, TOKEN);
  assert.equal(removed.status, 204, JSON.stringify(removed));
  assert.deepEqual(await listed(page), []);
  const late = await signed(page);
  await refused(page, { challenge_id: late.options.challenge_id, credential: late.credential }, "invalid_credentials");
  const kinds = await call(page, "GET", `${BASE}/api/v1/users/me/events`, undefined, TOKEN);
  for (const kind of ["passkey_added", "passkey_removed", "signed_in", "sign_in_failed"]) {
    assert.ok(kinds.body.items.some((event) => event.kind === kind), kind);
  }
  assertAtHome();
});

/** Gives the page an authenticator like that of a laptop: within the device, for discoverable keys, with a finger that fits. */
async function addAuthenticator(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("WebAuthn.enable");
  const options = {
    protocol: "ctap2",
    transport: "internal",
    hasResidentKey: true,
    hasUserVerification: true,
    isUserVerified: true,
    automaticPresenceSimulation: true,
  };
  const { authenticatorId } = await session.send("WebAuthn.addVirtualAuthenticator", { options });
  return {
    credentials: async () => (await session.send("WebAuthn.getCredentials", { authenticatorId })).credentials,
    add: (credential) => session.send("WebAuthn.addCredential", { authenticatorId, credential }),
  };
}

async function foreignSite(browser, credentials) {
  const { page } = await openPage(browser, OTHER_SITE, BASE);
  const authenticator = await addAuthenticator(page);
  for (const credential of credentials) await authenticator.add(credential);
  const { options, credential } = await signed(page);
  await refused(page, { challenge_id: options.challenge_id, credential }, "invalid_credentials");
  const { page: fresh } = await openPage(browser, OTHER_SITE, BASE);
  await addAuthenticator(fresh);
  const registration = await register(fresh, "Elsewhere");
  assert.equal(registration.status, 422, JSON.stringify(registration));
  assert.deepEqual(registration.body.errors.map((error) => error.field), ["credential"]);
}

/** Registers a passkey, or returns why the authenticator makes none. */
async function register(page, name) {
  const { body } = await call(page, "POST", `${PASSKEYS}/register/options`, undefined, TOKEN);
  const made = await page.evaluate(async (json) => {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(json);
    try {
      return { credential: (await navigator.credentials.create({ publicKey })).toJSON() };
    } catch (error) {
      return { failure: error.name };
    }
  }, body.public_key);
  if (made.failure) return made;
  const registration = { challenge_id: body.challenge_id, credential: made.credential, name };
  return call(page, "POST", `${PASSKEYS}/register`, registration, TOKEN);
}

/** Options of a sign-in, and what the authenticator makes of them. */
async function signed(page) {
  const { body: options } = await call(page, "POST", `${PASSKEYS}/login/options`);
  const credential = await page.evaluate(async (json) => {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(json);
    return (await navigator.credentials.get({ publicKey })).toJSON();
  }, options.public_key);
  return { options, credential };
}

async function listed(page) {
  return (await call(page, "GET", PASSKEYS, undefined, TOKEN)).body.items;
}

async function refused(page, login, code) {
  const answer = await call(page, "POST", `${PASSKEYS}/login`, login);
  assert.deepEqual([answer.status, answer.body.code], [401, code]);
}

/** Calls the API from the page, as its scripts would. */
function call(page, method, url, body, token) {
  return page.evaluate(async ([method, url, body, token]) => {
    const headers = {};
    if (body) headers["Content-Type"] = "application/json";
    if (token) headers.Authorization = `Bearer ${token}`;
    const answer = await fetch(url, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    return { status: answer.status, body: text && JSON.parse(text) };
  }, [method, url, body, token]);
}
