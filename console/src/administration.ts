// The REST interface of a project's administration: members, keys, grants, audit log, health and calls.

import { change, get, query } from "./requests";

export type Role = "viewer" | "editor" | "owner";

/** A page of a list. */
export interface Page {
  nextCursor?: string;
}

export interface Member {
  name: string;
  role: Role;
  createdAt: string;
  /** Whether this owner invited the user, who has used nothing yet. */
  mayReplaceKey: boolean;
}

export interface Key {
  id: string;
  user: string;
  prefix: string;
  label: string | null;
  scopes: string[];
  lastUsedAt: string | null;
  expiresAt: string | null;
  rateLimit: number;
  createdAt: string;
  status: string;
}

/** A new key, which is shown once. */
export interface NewKey {
  id: string;
  key: string;
}

export interface Grant {
  id: string;
  user: string;
  client: string;
  host: string;
  scopes: string[];
  createdAt: string;
  lastUsedAt?: string;
  expiresAt?: string;
  isOwn: boolean;
}

export interface AuditRow {
  id: number;
  at: string;
  action: string;
  user?: string;
  login?: string;
  subject?: string;
  address?: string;
  detail: Record<string, unknown>;
}

export interface Health {
  version: string;
  uptime: number;
  database: string;
  redis: string;
  readOnly: boolean;
  usage?: { documents: number; backups: number; others: number; total: number; quota?: number };
  limits: {
    requestsPerMinute: number;
    documentBytes: number;
    sessionsPerProject: number;
    sessionsPerKey: number;
    streamsPerKey: number;
    keysPerProject: number;
    membersPerProject: number;
    auditDays: number;
    historyDays?: number;
  };
  findings: string[];
}

export interface CallStep {
  at: string;
  calls: number;
  failures: number;
  tokens: number;
  times: number[];
}

export interface Calls {
  stepSeconds: number;
  timesMs: number[];
  steps: CallStep[];
}

export const members = (cursor: string | undefined, signal?: AbortSignal): Promise<Page & { members: Member[] }> =>
  get(query("/api/v1/members", { cursor }), signal);
export const keys = (cursor: string | undefined, signal?: AbortSignal): Promise<Page & { keys: Key[] }> => get(query("/api/v1/keys", { cursor }), signal);
export const grants = (cursor: string | undefined, signal?: AbortSignal): Promise<Page & { grants: Grant[] }> =>
  get(query("/api/v1/grants", { cursor }), signal);
export const audit = (cursor: string | undefined, signal?: AbortSignal): Promise<Page & { rows: AuditRow[] }> =>
  get(query("/api/v1/audit", { cursor }), signal);
export const calls = (days: number, signal?: AbortSignal): Promise<Calls> => get(`/api/v1/calls?days=${days}`, signal);
export const health = (signal?: AbortSignal): Promise<Health> => get("/api/v1/health", signal);

export const invite = (name: string, role: Role): Promise<{ name: string; key: NewKey }> => change("POST", "/api/v1/members", { name, role });
export const replaceInvitation = (name: string): Promise<{ name: string; key: NewKey }> => change("POST", query("/api/v1/member/key", { name }), {});
export const changeRole = (name: string, role: Role): Promise<unknown> => change("PATCH", query("/api/v1/member", { name }), { role });
export const removeMember = (name: string): Promise<unknown> => change("DELETE", query("/api/v1/member", { name }));
export const createKey = (label: string, scopes: string[], expiresInDays: number | undefined): Promise<NewKey> =>
  change("POST", "/api/v1/keys", { label, scopes, ...(expiresInDays !== undefined && { expiresInDays }) });
/** Changes an own key. */
export const changeKey = (id: string, wanted: { label: string | null; scopes?: string[]; rateLimit?: number }): Promise<unknown> =>
  change("PATCH", query("/api/v1/key", { id }), wanted);
export const revokeKey = (id: string): Promise<unknown> => change("DELETE", query("/api/v1/key", { id }));
export const revokeGrant = (id: string): Promise<unknown> => change("DELETE", query("/api/v1/grant", { id }));
