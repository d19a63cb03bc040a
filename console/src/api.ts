// The REST interface. Knows its routes and what they show; knows no page.

import type { Page } from "./administration";
import { ApiError, advice, change, currentSession, failure, forgetReplies, get, header, problem, query, send, sentence, setLeaving, type StoredSession } from "./requests";
import { texts } from "./texts";

export * from "./administration";
export { ApiError, adoptSession, currentSession, keepSession, leftHow, onRefusal, onSessionEnd, storedSession, type StoredSession } from "./requests";

export interface Session {
  user: string;
  project: string;
  role: string;
  rights: string[];
  /** Whether the server was started so that nobody changes anything. */
  readOnly?: boolean;
  /** Whether there are members, keys, grants and an audit log; a folder has one user. */
  hasMembers: boolean;
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
  /** How many other places have the same text, and the first of them. */
  similar: number;
  similarIn: { file: string; line: number }[];
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
  /** Whether something outside of the server deleted the document. */
  deleted?: boolean;
  by?: string;
  key?: string;
  session?: string;
  tool?: string;
  etag?: string;
  imported?: boolean;
  /** Whether an undo made the change. */
  undo?: boolean;
}

export const session = (signal?: AbortSignal): Promise<Session> => get("/api/v1/session", signal);
export const digest = (signal?: AbortSignal): Promise<Digest> => get("/api/v1/digest", signal);
export const document = (filename: string, signal?: AbortSignal): Promise<DocumentView> =>
  get(query("/api/v1/document", { filename }), signal);

/** What a name means: a document that exists, or the name of a new one, unless a rule is against it. */
export interface CheckedName {
  name: string;
  exists: boolean;
  refusal?: string;
}

/** Checks a name by the rules of the server. */
export async function checkName(filename: string, signal?: AbortSignal): Promise<CheckedName> {
  const found = await get<CheckedName>(query("/api/v1/document/name", { filename }), signal);
  return found.refusal === undefined ? found : { ...found, refusal: sentence(found.refusal) };
}

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

/** What a search shows, beside its words: facts and decisions that have ended, what was known at a time, and which page. */
export interface SearchOptions {
  includeEnded?: boolean;
  asOf?: string | undefined;
  cursor?: string | undefined;
  limit?: number;
}

const searchOf = (path: string, text: string, { includeEnded = false, ...options }: SearchOptions): string =>
  query(path, { query: text, includeEnded: includeEnded || undefined, ...options });

export const search = (text: string, options: SearchOptions, signal?: AbortSignal): Promise<Found> =>
  get(searchOf("/api/v1/search", text, { limit: 20, ...options }), signal);

export interface Versions {
  versions: Version[];
  nextCursor?: string;
}

/** Versions of a document, or of all; none of a document that the history does not know, such as one that an editor has made. */
export async function history(filename: string | undefined, cursor: string | undefined, signal?: AbortSignal, limit = 50): Promise<Versions> {
  try {
    return await get(query("/api/v1/history", { filename, cursor, limit }), signal);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404 && cursor === undefined) return { versions: [] };
    throw error;
  }
}

/** A change of a document or of the graph, in the history of both. */
export type ProjectChange = Version | GraphVersion;

/** Which changes are listed: those of a user or a session, and since and before a time. */
export interface Wanted {
  by?: string | undefined;
  since?: string | undefined;
  until?: string | undefined;
}

/** The changes of all documents and of the graph, the latest first. */
export const projectHistory = (cursor: string | undefined, signal?: AbortSignal, wanted: Wanted = {}, limit = 50): Promise<Page & { versions: ProjectChange[] }> =>
  get(query("/api/v1/history", { includeGraph: true, cursor, limit, ...wanted }), signal);

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

/** A fact that has words of a search. */
export interface FoundFact {
  id: string;
  entityId: string;
  text: string;
}

export interface FoundEntities {
  entities: FoundEntity[];
  facts: FoundFact[];
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

/** A fact about an entity. */
export interface Observation {
  id: string;
  text: string;
  timestamp: string;
  author?: string;
  validFrom?: string;
  validUntil?: string;
  expiresAt?: string;
  endedAt?: string;
  supersededBy?: string;
}

export interface EntityView {
  entity: { id: string; name: string; entityType: string; attrs: Record<string, unknown> };
  observations: Observation[];
  relations: Relation[];
  truncated: boolean;
  endedLeftOut: number;
}

/** What a picture of the graph shows, as columns: lists with the same item at the same place. */
export interface GraphPicture {
  isClustered: boolean;
  entities: number;
  relations: number;
  entitiesLeft: number;
  edgesLeft: number;
  isCut: boolean;
  first?: string;
  types: string[];
  relationTypes: string[];
  nodes: { ids: string[]; names: string[]; types: number[]; entities?: number[] };
  edges: { from: number[]; to: number[]; types: number[]; relations: number[] };
}

export const picture = (asOf: string | undefined, cluster: string | undefined, signal?: AbortSignal): Promise<GraphPicture> =>
  get(query("/api/v1/graph/picture", { asOf, cluster }), signal);

/** A change of an entity, an observation or a relation. */
export interface GraphVersion {
  /** The name of the entity, or of the source of a relation, and its id. */
  entity: string;
  entityId: string;
  version: number;
  at: string;
  kind: string;
  observation?: string;
  /** The text of the fact that it replaced. */
  replaces?: string;
  /** Whether it created an entity that has facts or relations now, so that its undo alone leaves it. */
  inUse?: boolean;
  validUntil?: string;
  relation?: string;
  type?: string;
  by?: string;
  session?: string;
  tool?: string;
  imported?: boolean;
  /** Whether an undo made the change. */
  undo?: boolean;
}

export const searchGraph = (text: string, options: SearchOptions, signal?: AbortSignal): Promise<FoundEntities> =>
  get(searchOf("/api/v1/graph/search", text, options), signal);

export const entity = (name: string, includeEnded: boolean, signal?: AbortSignal): Promise<EntityView> =>
  get(query("/api/v1/graph/entity", { name, includeEnded: includeEnded || undefined }), signal);

/** An observation that was recorded or ended; an undo of the user's changes of the entity since then undoes that. */
export interface Recorded {
  id: string;
  entityId: string;
  timestamp: string;
  existed: boolean;
}

/** Records another text in place of an observation, with the same bounds. */
export const correctObservation = (entity: string, { id, validFrom, validUntil, expiresAt }: Observation, text: string): Promise<Recorded> =>
  change("POST", "/api/v1/graph/observation", {
    entity,
    text,
    supersedes: [id],
    ...(validFrom !== undefined && { validFrom }),
    ...(validUntil !== undefined && { validUntil }),
    ...(expiresAt !== undefined && { expiresAt }),
  });

/** Ends an observation now. */
export const endObservation = (entity: string, id: string): Promise<Recorded> => change("DELETE", query("/api/v1/graph/observation", { entity, id }));

export const entityHistory = (name: string, signal?: AbortSignal): Promise<{ versions: GraphVersion[] }> =>
  get(query("/api/v1/history", { entity: name, limit: 50 }), signal);

/** Replaces the document of this etag, or creates one without. */
export function writeDocument(filename: string, text: string, etag: string | undefined): Promise<{ name: string; etag: string }> {
  return change("PUT", query("/api/v1/document", { filename }), etag === undefined ? { text } : { text, etag });
}

export const renameDocument = (filename: string, to: string, etag: string): Promise<{ name: string; etag: string }> =>
  change("POST", "/api/v1/document/rename", { filename, to, etag });

export const deleteDocument = (filename: string, etag: string): Promise<{ name: string }> =>
  change("DELETE", query("/api/v1/document", { filename, etag }));

/** A version that wrote lines; one that is not kept any more has no number. */
export interface OriginVersion {
  version?: number;
  at?: string;
  by?: string;
  tool?: string;
  imported?: boolean;
}

/** Lines that one version has brought; with `first` it brought them back, and that one wrote them. */
export interface OriginRange extends OriginVersion {
  fromLine: number;
  text: string;
  first?: OriginVersion;
}

export const blame = (filename: string, cursor: string | undefined, signal?: AbortSignal): Promise<{ ranges: OriginRange[]; note?: string; nextCursor?: string }> =>
  get(query("/api/v1/history/blame", { filename, cursor }), signal);

/** What a change was about: a document, or an item of the graph. */
export interface Undoable {
  filename?: string;
  entity?: string;
  observation?: string;
  relation?: string;
  type?: string;
}

export interface Undone {
  dryRun: boolean;
  undone: (Undoable & {
    change: string;
    versions: number;
    laterChangesStay: boolean;
    /** Whether it is a fact that had ended before. */
    ended: boolean;
    /** What would change in the text of a document. */
    diff?: string;
  })[];
  left: (Undoable & { reason: string; changedBy: string[] })[];
  /** How many documents and items had the former state already. */
  unchanged: number;
  versionsOfOthers: number;
  notShown: number;
}

/** Undoes the changes of a session, or of a user since a time; or shows them. */
export const undo = (wanted: { by: string; since?: string; until?: string; filename?: string; entity?: string; dryRun: boolean; withDiff?: boolean }, signal?: AbortSignal): Promise<Undone> =>
  change("POST", "/api/v1/history/undo", wanted, signal);

/** The stream of changes; `last` is the id of the last event of a stream that broke off. */
export async function changes(last: string | undefined, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const of = currentSession();
  const headers = { ...header(), ...(last !== undefined && { "Last-Event-ID": last }) };
  const response = await send("/api/v1/events", { headers, signal }, true);
  if (!response.ok) throw await failure(response, of);
  if (response.body === null) throw new ApiError(0, texts.errors.offline);
  return response.body;
}

/** How users sign in beside keys and codes: the name of an OpenID provider, if there is one; into a folder only by a link. */
export async function waysIn(signal: AbortSignal): Promise<{ provider: string | undefined; isFolder: boolean }> {
  const response = await send("/app/openid", { signal });
  const { name, isFolder } = await problem(response);
  return { provider: response.ok && typeof name === "string" ? name : undefined, isFolder: response.ok && isFolder === true };
}

/** Where the browser goes to sign in with the provider. */
export async function beginWithProvider(): Promise<string> {
  const response = await send("/app/openid", { method: "POST" });
  const { address, error } = await problem(response);
  if (response.ok && typeof address === "string") return address;
  throw new ApiError(response.status, response.status === 429 ? texts.errors.many(60) : typeof error === "string" ? sentence(error) : texts.errors.server);
}

/** How a user signs in: with a secret, by coming back from the provider, or by choosing a project. */
export type SignInWith = { secret: string } | { project: string } | { signedIn: true };

/** Signs in; gives the projects to choose from, if there are several. */
export async function signIn(given: SignInWith): Promise<StoredSession | Project[]> {
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
  forgetReplies();
  return body as unknown as StoredSession;
}

export async function signOut(): Promise<void> {
  const headers = header();
  forgetReplies();
  setLeaving(true);
  try {
    const response = await send("/app/session", { method: "DELETE", headers });
    // A session that has ended already is what was wanted.
    if (!response.ok && response.status !== 401) throw new ApiError(response.status, advice(response.status, undefined));
  } catch (error) {
    setLeaving(false);
    throw error;
  }
}
