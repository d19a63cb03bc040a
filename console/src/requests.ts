// Requests to the server. Knows the session's header, errors, and which replies did not change; knows no route.

import { hold, isPassing, lost, reached, untilFree } from "./connection";
import { texts } from "./texts";

const STORED = "memory-bank-console";
/** How the last session of this browser was left. */
const LEFT = "memory-bank-console-left";

/** What the page keeps of a session. The other half is a cookie that no script can read. */
export interface StoredSession {
  token: string;
  user: string;
  project: string;
}

/** Why there is no answer, as a sentence for the person at the screen. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** What to do about an error. */
export function advice(status: number, retryAfter: number | undefined, path = "", isChange = false): string {
  const { errors } = texts;
  if (status === 401) return errors.ended;
  if (status === 403) return isChange ? errors.forbiddenChange : errors.forbidden;
  if (status === 404) return missing(path);
  if (status === 429) return errors.many(retryAfter ?? 60);
  return status === 503 ? errors.unavailable : errors.server;
}

/** The page of an entity or of a document asks for it and for its changes at once, and either answer may come first. */
function missing(path: string): string {
  const { errors } = texts;
  const { pathname, searchParams } = new URL(path, location.origin);
  const ofChanges = pathname === "/api/v1/history";
  if (pathname.startsWith("/api/v1/graph/") || (ofChanges && searchParams.has("entity"))) return errors.missingInGraph;
  return pathname.startsWith("/api/v1/document") || (ofChanges && searchParams.has("filename")) ? errors.missingDocument : errors.missing;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

export function storedSession(): StoredSession | undefined {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(STORED) ?? "null");
    if (isRecord(stored) && typeof stored["token"] === "string" && typeof stored["user"] === "string" && typeof stored["project"] === "string") {
      return { token: stored["token"], user: stored["user"], project: stored["project"] };
    }
  } catch {
    // A damaged entry is no session.
  }
  return undefined;
}

/** The session that this tab shows. Another tab may have signed in to another project: its session is not used for what is shown here. */
let current = storedSession();

export const currentSession = (): StoredSession | undefined => current;

/** Takes the session that another tab has opened or ended. */
export function adoptSession(): StoredSession | undefined {
  const stored = storedSession();
  if (stored?.token !== current?.token) {
    known.clear();
    current = stored;
  }
  return current;
}

/** Keeps a session for all tabs, or none any more: the user has signed out, or it has ended. */
export function keepSession(session: StoredSession | undefined, how: "out" | "ended" = "ended"): void {
  const shown = current;
  current = session;
  isLeaving = false;
  if (session !== undefined) {
    localStorage.setItem(STORED, JSON.stringify(session));
    localStorage.removeItem(LEFT);
  } else if (storedSession()?.token === shown?.token) {
    // A session that another tab has opened meanwhile stays. The other tabs read the reason when the session leaves.
    localStorage.setItem(LEFT, how);
    localStorage.removeItem(STORED);
  }
}

/** How the session was left that another tab has left. */
export const leftHow = (): "out" | "ended" => (localStorage.getItem(LEFT) === "out" ? "out" : "ended");

let ended: () => void = () => undefined;

/** Calls this when a session has ended. */
export function onSessionEnd(callback: () => void): void {
  ended = callback;
}

let isLeaving = false;

/** The user signs out, until the server has answered. Meanwhile a request that has no session any more says nothing new. */
export function setLeaving(leaving: boolean): void {
  isLeaving = leaving;
}

let refused: () => void = () => undefined;

/** Calls this when a request was refused for a right that the user lacks, such as one that was taken away. */
export function onRefusal(callback: () => void): void {
  refused = callback;
}

/** How long a reply may take, in milliseconds; a stream may take any time. */
const LONGEST = 60_000;

export async function send(path: string, init: RequestInit, isStream = false): Promise<Response> {
  const signals = [...(init.signal == null ? [] : [init.signal]), ...(isStream ? [] : [AbortSignal.timeout(LONGEST)])];
  try {
    const response = await fetch(path, { credentials: "same-origin", redirect: "error", ...init, signal: AbortSignal.any(signals) });
    if (isPassing(response.status)) lost();
    else reached();
    return response;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    lost();
    throw new ApiError(0, texts.errors.offline);
  }
}

export function header(): Record<string, string> {
  return current === undefined ? {} : { "X-Console-Token": current.token };
}

export async function problem(response: Response): Promise<Record<string, unknown>> {
  const body: unknown = await response.json().catch(() => undefined);
  return isRecord(body) ? body : {};
}

export function query(path: string, parameters: Record<string, string | number | boolean | undefined>): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) given.set(name, String(value));
  const text = given.toString();
  return text === "" ? path : `${path}?${text}`;
}

/** The error of a refusal; `of` is the session whose request it answers. */
export async function failure(response: Response, of: StoredSession | undefined, isChange = false): Promise<ApiError> {
  const { status } = response;
  const body = await problem(response);
  const { retryAfter, detail } = body;
  // The refusal of a former session, or of none, says nothing of the one that is shown now.
  if (status === 401 && of !== undefined && of === current && !isLeaving) ended();
  if (status === 403) refused();
  // What is against a text, and why a store is busy, only the server knows.
  const isOwn = [400, 409, 413, 503].includes(status) && typeof detail === "string";
  if (status === 403 && typeof detail === "string" && detail.includes("--read-only")) return new ApiError(status, texts.errors.readOnlyServer);
  // The server names the right that is lacking.
  const right = status === 403 && typeof detail === "string" ? /the scope `(\w+)`/.exec(detail)?.[1] : undefined;
  if (right !== undefined) return new ApiError(status, texts.errors.lacks(texts.rights[right] ?? right));
  return new ApiError(status, isOwn ? sentence(detail) : advice(status, typeof retryAfter === "number" ? retryAfter : undefined, response.url, isChange));
}

// Replies that did not change are not sent again.
const known = new Map<string, { etag: string; body: unknown }>();
const MOST_KNOWN = 60;

/** How often a read is sent that the server refuses for too many requests. */
const MOST_SENT = 3;
/** The longest wait that the server may ask for before a read is sent again, in seconds. */
const LONGEST_HOLD = 90;

/** Sends a read; again after the time that the server asks for, if it has had too many requests. All reads wait for that time, so that none is wasted. */
async function sendRead(path: string, init: RequestInit, signal: AbortSignal | undefined): Promise<Response> {
  for (let sent = 1; ; sent += 1) {
    await untilFree(signal);
    const response = await send(path, init);
    if (!holds(response) || sent === MOST_SENT) return response;
  }
}

/** Whether the server has had too many requests, and asks to wait for a time that is taken. */
function holds(response: Response): boolean {
  const seconds = Number(response.headers.get("retry-after"));
  const isHeld = response.status === 429 && seconds > 0 && seconds <= LONGEST_HOLD;
  if (isHeld) hold(seconds);
  return isHeld;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const of = current;
  const cached = known.get(path);
  const headers = cached === undefined ? header() : { ...header(), "If-None-Match": cached.etag };
  const response = await sendRead(path, { headers, ...(signal && { signal }) }, signal);
  if (response.status === 304 && cached !== undefined) return cached.body as T;
  if (!response.ok) throw await failure(response, of);
  const body = (await response.json()) as T;
  const etag = response.headers.get("etag");
  if (etag !== null && of === current) {
    const oldest = known.keys().next().value;
    if (known.size >= MOST_KNOWN && oldest !== undefined) known.delete(oldest);
    known.set(path, { etag, body });
  }
  return body;
}

export async function change<T>(method: string, path: string, body?: Record<string, unknown>, signal?: AbortSignal): Promise<T> {
  const of = current;
  const headers = body === undefined ? header() : { ...header(), "Content-Type": "application/json" };
  const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }), ...(signal && { signal }) };
  const response = await send(path, init);
  // A change is not sent again by itself, but the reads after it wait.
  holds(response);
  if (!response.ok) throw await failure(response, of, true);
  return (await response.json()) as T;
}

/** Forgets the replies of a session that has ended. */
export function forgetReplies(): void {
  known.clear();
}

export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1) + (text.endsWith(".") ? "" : ".");
}
