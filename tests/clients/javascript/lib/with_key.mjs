// Preloaded into programs that cannot be given a key (`node --import`): adds the one in MEMORY_BANK_KEY to every request
// that they make, through `fetch`, `undici` or `http`, and changes nothing else.

import http from "node:http";
import { Agent, setGlobalDispatcher } from "undici";

const key = process.env.MEMORY_BANK_KEY;

setGlobalDispatcher(
  new Agent().compose((dispatch) => (options, handler) => dispatch({ ...options, headers: named(options.headers) }, handler)),
);

const request = http.request;
http.request = (...args) => {
  const made = request(...args);
  made.setHeader("x-api-key", key);
  return made;
};

function named(headers) {
  if (Array.isArray(headers)) return [...headers, "x-api-key", key];
  if (typeof headers?.[Symbol.iterator] === "function") return Object.fromEntries([...headers, ["x-api-key", key]]);
  return { ...headers, "x-api-key": key };
}
