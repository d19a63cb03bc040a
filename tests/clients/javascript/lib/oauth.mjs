// What an application of the TypeScript SDKs keeps for OAuth, and what a person does in the browser that it opens.

import assert from "node:assert/strict";
import { createServer } from "node:net";

export const CALLBACK = "http://localhost:33418/callback";

/** A port that nothing listens on. */
export async function freePort() {
  const listener = createServer();
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  return port;
}

/** What an application keeps, as the SDKs ask for it. With `document`, it is known by the address of a document. */
export class Provider {
  redirectUrl = CALLBACK;
  clientMetadata = { client_name: "SDK", redirect_uris: [CALLBACK], token_endpoint_auth_method: "none" };
  refreshes = 0;

  constructor(document) {
    if (document) this.clientMetadataUrl = document;
  }

  clientInformation = () => this.client;
  saveClientInformation = (client) => void (this.client = client);
  discoveryState = () => this.discovered;
  saveDiscoveryState = (state) => void (this.discovered = state);
  tokens = () => this.saved;
  saveTokens(tokens) {
    if (this.saved) this.refreshes += 1;
    this.saved = tokens;
  }
  redirectToAuthorization = (url) => void (this.address = url);
  saveCodeVerifier = (verifier) => void (this.verifier = verifier);
  codeVerifier = () => this.verifier;
  state = () => "a state";
}

const unescape = (text) => text.replaceAll("&quot;", '"').replaceAll("&#39;", "'").replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
const field = (page, name) => unescape(page.match(new RegExp(`name="${name}" value="([^"]*)"`))[1]);

/** A browser with one cookie. */
function browser(origin) {
  let cookie = "";
  return async (url, body) => {
    const init = { redirect: "manual", headers: { Cookie: cookie }, ...(body && { method: "POST", body: new URLSearchParams(body) }) };
    const reply = await fetch(new URL(url, origin), init);
    cookie = reply.headers.getSetCookie()[0]?.split(";")[0] ?? cookie;
    return reply;
  };
}

/** Opens an address and signs in; gives the page of consent and what sends its form. */
async function signIn(origin, address, secret) {
  const send = browser(origin);
  const page = await (await send(address)).text();
  assert.match(page, /API key or login code/);
  const signed = await send("/oauth/sign-in", { request: field(page, "request"), token: field(page, "token"), secret });
  assert.equal(signed.status, 303, await signed.text());
  return { send, consent: await (await send(signed.headers.get("location"))).text() };
}

/** Signs in and allows, as a person does in a browser; gives the parameters of the answer and the page of consent. */
export async function allow(origin, address, secret, scopes, callback = CALLBACK) {
  const { send, consent } = await signIn(origin, address, secret);
  const project = consent.match(/<option value="([^"]+)"/)[1];
  const rights = Object.fromEntries(scopes.map((scope) => [scope, "yes"]));
  const form = { request: field(consent, "request"), token: field(consent, "token"), project, decision: "allow", ...rights };
  const answer = await send("/oauth/authorize", form);
  const page = await answer.text();
  assert.equal(answer.status, 200, page);
  // The page leads the browser to the application.
  const location = new URL(unescape(page.match(/http-equiv="refresh" content="0;url=([^"]*)"/)[1]));
  assert.equal(location.origin + location.pathname, callback);
  return { parameters: location.searchParams, location, consent };
}
