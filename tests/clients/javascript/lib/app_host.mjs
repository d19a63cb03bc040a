// A host of MCP Apps: a page in Chromium with the bridge of the extension's own SDK, a sandbox of another origin around the app, and
// an official client in this process that the bridge's requests go to. Knows the extension; knows no app.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { open } from "./console.mjs";

export const EXTENSION = "io.modelcontextprotocol/ui";
export const MIME_TYPE = "text/html;profile=mcp-app";
/** What a client declares that shows apps. */
export const DECLARED = { extensions: { [EXTENSION]: { mimeTypes: [MIME_TYPE] } } };

const HOST = "http://host.example";
const SANDBOX = "http://sandbox.example";
const MODULES = new URL("../../node_modules/", import.meta.url);

/** The modules of the bridge, from the folder of packages. */
const IMPORTS = {
  "@modelcontextprotocol/ext-apps/app-bridge": "@modelcontextprotocol/ext-apps/dist/src/app-bridge.js",
  "@modelcontextprotocol/client": "@modelcontextprotocol/client/dist/index.mjs",
  "@modelcontextprotocol/client/_shims": "@modelcontextprotocol/client/dist/shimsBrowser.mjs",
  "@modelcontextprotocol/core": "@modelcontextprotocol/core/dist/index.mjs",
  "@modelcontextprotocol/core/internal": "@modelcontextprotocol/core/dist/internal.mjs",
  "zod/v4": "zod/v4/index.js",
  zod: "zod/index.js",
  eventsource: "eventsource/dist/index.js",
  "eventsource-parser": "eventsource-parser/dist/index.js",
  "eventsource-parser/stream": "eventsource-parser/dist/stream.js",
  "pkce-challenge": "pkce-challenge/dist/index.browser.js",
};

/** The policy that the extension demands for a page that declares no host. */
const POLICY =
  "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
  "media-src 'self' data:; connect-src 'none'; frame-src 'none'; object-src 'none'; base-uri 'self'";

const PAGE = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Host</title>
<style>html, body { margin: 0; height: 100% } iframe { display: block; border: 0; width: 100%; height: 100% }</style>
<script type="importmap">${JSON.stringify({ imports: Object.fromEntries(Object.entries(IMPORTS).map(([name, file]) => [name, `${HOST}/modules/${file}`])) })}</script>
<script type="module">
import { AppBridge, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";
window.show = async ({ html, csp, capabilities, context }) => {
  const frame = document.createElement("iframe");
  frame.title = "App";
  frame.src = "${SANDBOX}/";
  const ready = new Promise((resolve) => window.addEventListener("message", ({ source, data }) => {
    if (source === frame.contentWindow && data.method === "ui/notifications/sandbox-proxy-ready") resolve();
  }));
  document.body.append(frame);
  await ready;
  const bridge = new AppBridge(null, { name: "host", version: "1.0.0" }, capabilities, { hostContext: context });
  window.bridge = bridge;
  bridge.oncalltool = (params) => window.callTool(params);
  bridge.onmessage = (params) => window.takeMessage(params);
  bridge.onrequestdisplaymode = async ({ mode }) => {
    bridge.setHostContext({ ...context, displayMode: mode });
    return { mode };
  };
  bridge.addEventListener("sizechange", ({ height }) => void (window.height = height));
  const initialized = new Promise((resolve) => bridge.addEventListener("initialized", () => resolve()));
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  await bridge.sendSandboxResourceReady({ html, csp, sandbox: "allow-scripts" });
  await initialized;
};
window.isReady = true;
</script></head><body></body></html>`;

/** Passes messages between the host and the app, which gets an origin of its own. */
const PROXY = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sandbox</title>
<style>html, body { margin: 0; height: 100% } iframe { display: block; border: 0; width: 100%; height: 100% }</style></head><body><script>
let inner;
window.addEventListener("message", ({ source, data }) => {
  if (source === window.parent && data.method === "ui/notifications/sandbox-resource-ready") {
    inner = document.createElement("iframe");
    inner.title = "Content";
    inner.setAttribute("sandbox", data.params.sandbox);
    inner.srcdoc = data.params.html;
    document.body.append(inner);
  } else if (source === window.parent) inner?.contentWindow.postMessage(data, "*");
  else if (inner && source === inner.contentWindow) window.parent.postMessage(data, "*");
});
window.parent.postMessage({ jsonrpc: "2.0", method: "ui/notifications/sandbox-proxy-ready", params: {} }, "*");
</script></body></html>`;

async function answer(route) {
  const { origin, pathname } = new URL(route.request().url());
  if (origin === SANDBOX) return route.fulfill({ contentType: "text/html", headers: { "Content-Security-Policy": POLICY }, body: PROXY });
  if (pathname.startsWith("/modules/")) {
    const body = await readFile(fileURLToPath(new URL(pathname.slice("/modules/".length), MODULES)), "utf8");
    return route.fulfill({ contentType: "text/javascript", body });
  }
  return route.fulfill({ contentType: "text/html", body: PAGE });
}

/** The page that a tool's description links, as the client reads it. */
export async function linked(client, tool) {
  const { tools } = await client.listTools();
  const uri = tools.find(({ name }) => name === tool)?._meta?.ui?.resourceUri;
  const { contents } = await client.readResource({ uri });
  return { uri, content: contents[0] };
}

/**
 * Calls a tool, shows its app in a host page, and gives the app its arguments and its result. What the app asks of the host is in
 * `calls` and `messages`. The test fails if a script of a text ran, a policy was violated, or a request was made.
 */
export async function shown(t, browser, client, tool, args = {}, { context = {}, capabilities = { serverTools: {}, message: {} }, result, ...options } = {}) {
  const page = await open(t, browser, HOST, { allowed: [SANDBOX], ...options });
  const [calls, messages] = [[], []];
  await page.route("**/*", answer);
  await page.exposeFunction("callTool", async (params) => {
    calls.push(params);
    return client.callTool(params);
  });
  await page.exposeFunction("takeMessage", (params) => {
    messages.push(params);
    return {};
  });
  await page.goto(`${HOST}/`);
  await page.waitForFunction(() => window.isReady);
  const { content } = await linked(client, tool);
  const given = result ?? (await client.callTool({ name: tool, arguments: args }));
  await page.evaluate((what) => window.show(what), { html: content.text, csp: content._meta.ui.csp, capabilities, context });
  await page.evaluate(
    async ([input, output]) => {
      await window.bridge.sendToolInput({ arguments: input });
      await window.bridge.sendToolResult(output);
    },
    [args, given],
  );
  const app = page.frames().find((frame) => frame.parentFrame()?.url().startsWith(SANDBOX));
  return { page, app, calls, messages };
}
