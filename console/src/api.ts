// The REST interface. Knows addresses, the session's header and errors; knows no page.

import { texts } from "./texts";

const STORED = "memory-bank-console";

/** What the page keeps of a session. The other half is a cookie that no script can read. */
export interface StoredSession {
  token: string;
  user: string;
  project: string;
}

export interface Session {
  user: string;
  project: string;
  role: string;
  rights: string[];
  expiresAt?: string;
}

export interface Project {
  id: string;
  slug: string;
  name: string;
  role: string;
}

export interface ListedDocument {
  name: string;
  bytes: number;
  updatedAt: string;
  updatedBy?: string;
  isLeftover?: boolean;
}

export interface DocumentView {
  name: string;
  text: string;
  etag: string;
  updatedAt: string;
}

export interface Digest {
  digest: {
    projectState?: string;
    focus?: string;
    currentContext: { tasks: string[]; issues: string[]; nextSteps: string[]; questions: string[] };
    recentProgress: string[];
    recentDecisions: { title: string; date: string; summary: string }[];
    excerpt?: { document: string; headings: string[]; beginning: string; latest: string };
    sinceLastSession?: string;
    graphSummary?: string;
  };
  metadata: { timestamp: string; warnings: string[] };
}

export interface FoundLine {
  file: string;
  line: number;
  content: string;
  context: string;
  headingPath: string[];
}

export interface Found {
  results: FoundLine[];
  truncated: boolean;
  wordsNotFound: string[];
  nextCursor?: string;
}

export interface Version {
  filename: string;
  formerName?: string;
  version: number;
  at: string;
  kind: string;
  by?: string;
  key?: string;
  tool?: string;
  imported?: boolean;
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
function advice(status: number, retryAfter: number | undefined): string {
  const { errors } = texts;
  if (status === 401) return errors.ended;
  if (status === 403) return errors.forbidden;
  if (status === 404) return errors.missing;
  if (status === 429) return errors.many(retryAfter ?? 60);
  return status === 503 ? errors.unavailable : errors.server;
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

export function keepSession(session: StoredSession | undefined): void {
  const shown = current;
  current = session;
  if (session !== undefined) localStorage.setItem(STORED, JSON.stringify(session));
  // A session that another tab has opened meanwhile stays.
  else if (storedSession()?.token === shown?.token) localStorage.removeItem(STORED);
}

let ended: () => void = () => undefined;

/** Calls this when a session has ended. */
export function onSessionEnd(callback: () => void): void {
  ended = callback;
}

async function send(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, { credentials: "same-origin", redirect: "error", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, texts.errors.offline);
  }
}

function header(): Record<string, string> {
  return current === undefined ? {} : { "X-Console-Token": current.token };
}

async function problem(response: Response): Promise<Record<string, unknown>> {
  const body: unknown = await response.json().catch(() => undefined);
  return isRecord(body) ? body : {};
}

function query(path: string, parameters: Record<string, string | number | boolean | undefined>): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) given.set(name, String(value));
  const text = given.toString();
  return text === "" ? path : `${path}?${text}`;
}

async function failure(response: Response): Promise<ApiError> {
  const { status } = response;
  const body = await problem(response);
  const { retryAfter, detail } = body;
  if (status === 401) ended();
  // What is against a text, and why a store is busy, only the server knows.
  const isOwn = [409, 413, 503].includes(status) && typeof detail === "string";
  return new ApiError(status, isOwn ? sentence(detail) : advice(status, typeof retryAfter === "number" ? retryAfter : undefined));
}

// Replies that did not change are not sent again.
const known = new Map<string, { etag: string; body: unknown }>();
const MOST_KNOWN = 60;

async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const cached = known.get(path);
  const headers = cached === undefined ? header() : { ...header(), "If-None-Match": cached.etag };
  const response = await send(path, { headers, ...(signal && { signal }) });
  if (response.status === 304 && cached !== undefined) return cached.body as T;
  if (!response.ok) throw await failure(response);
  const body = (await response.json()) as T;
  const etag = response.headers.get("etag");
  if (etag !== null) {
    const oldest = known.keys().next().value;
    if (known.size >= MOST_KNOWN && oldest !== undefined) known.delete(oldest);
    known.set(path, { etag, body });
  }
  return body;
}

export const session = (signal?: AbortSignal): Promise<Session> => get("/api/v1/session", signal);
export const digest = (signal?: AbortSignal): Promise<Digest> => get("/api/v1/digest", signal);
export const document = (filename: string, signal?: AbortSignal): Promise<DocumentView> =>
  get(query("/api/v1/document", { filename }), signal);

/** All documents, page by page. */
export async function documents(signal?: AbortSignal): Promise<ListedDocument[]> {
  const all: ListedDocument[] = [];
  let cursor: string | undefined;
  do {
    const page: { documents: ListedDocument[]; nextCursor?: string } = await get(query("/api/v1/documents", { limit: 1000, cursor }), signal);
    all.push(...page.documents);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return all;
}

export const search = (text: string, options: { ended: boolean; cursor?: string }, signal?: AbortSignal): Promise<Found> =>
  get(query("/api/v1/search", { query: text, limit: 20, ended: options.ended || undefined, cursor: options.cursor }), signal);

export interface Versions {
  versions: Version[];
  nextCursor?: string;
}

/** Versions of a document, or of all; none of a document that the history does not know, such as one that an editor has made. */
export async function history(filename: string | undefined, cursor: string | undefined, signal?: AbortSignal): Promise<Versions> {
  try {
    return await get(query("/api/v1/history", { filename, cursor, limit: 50 }), signal);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404 && cursor === undefined) return { versions: [] };
    throw error;
  }
}

export const versionText = (filename: string, version: number, signal?: AbortSignal): Promise<{ text: string | null }> =>
  get(query("/api/v1/history/show", { filename, version }), signal);

export const difference = (
  filename: string,
  version: number,
  other: number | undefined,
  signal?: AbortSignal,
): Promise<{ diff: string }> => get(query("/api/v1/history/diff", { filename, version, with: other }), signal);

export interface FoundEntity {
  id: string;
  name: string;
  entityType: string;
  observationCount: number;
  relationCount: number;
}

export interface FoundEntities {
  entities: FoundEntity[];
  nextCursor?: string;
}

export interface Relation {
  id: string;
  fromId: string;
  from: string;
  toId: string;
  to: string;
  relationType: string;
}

export interface EntityView {
  entity: { id: string; name: string; entityType: string; attrs: Record<string, unknown> };
  observations: { id: string; text: string; timestamp: string; author?: string }[];
  relations: Relation[];
  truncated: boolean;
}

/** A change of an entity, an observation or a relation. */
export interface GraphVersion {
  at: string;
  kind: string;
  observation?: string;
  relation?: string;
  type?: string;
  by?: string;
  tool?: string;
}

export const searchGraph = (text: string, options: { limit: number; cursor?: string }, signal?: AbortSignal): Promise<FoundEntities> =>
  get(query("/api/v1/graph/search", { query: text, ...options }), signal);

export const entity = (name: string, signal?: AbortSignal): Promise<EntityView> => get(query("/api/v1/graph/entity", { name }), signal);

export const entityHistory = (name: string, signal?: AbortSignal): Promise<{ versions: GraphVersion[] }> =>
  get(query("/api/v1/history", { entity: name, limit: 50 }), signal);

/** Replaces the document of this etag, or creates one without. */
export async function writeDocument(filename: string, text: string, etag: string | undefined): Promise<{ name: string; etag: string }> {
  const headers = { ...header(), "Content-Type": "application/json" };
  const body = JSON.stringify(etag === undefined ? { text } : { text, etag });
  const response = await send(query("/api/v1/document", { filename }), { method: "PUT", headers, body });
  if (!response.ok) throw await failure(response);
  return (await response.json()) as { name: string; etag: string };
}

/** Signs in; gives the projects to choose from, if there are several. */
export async function signIn(given: { secret: string } | { project: string }): Promise<StoredSession | Project[]> {
  // The session that this tab has ends.
  const headers = { ...header(), "Content-Type": "application/json" };
  const response = await send("/app/session", { method: "POST", headers, body: JSON.stringify(given) });
  const body = await problem(response);
  if (!response.ok) {
    const text = typeof body["error"] === "string" ? body["error"] : texts.errors.server;
    const wait = body["retryAfter"] ?? Number(response.headers.get("retry-after") ?? "60");
    throw new ApiError(response.status, response.status === 429 ? texts.errors.many(Number(wait)) : sentence(text));
  }
  if (Array.isArray(body["projects"])) return body["projects"] as Project[];
  known.clear();
  return body as unknown as StoredSession;
}

export async function signOut(): Promise<void> {
  const headers = header();
  known.clear();
  const response = await send("/app/session", { method: "DELETE", headers });
  // A session that has ended already is what was wanted.
  if (!response.ok && response.status !== 401) throw new ApiError(response.status, advice(response.status, undefined));
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1) + (text.endsWith(".") ? "" : ".");
}
