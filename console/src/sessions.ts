// The working sessions: who changed what, from when to when.

import type { Page } from "./api";
import { get, query } from "./requests";

export interface WorkingSession {
  session?: string;
  by?: string;
  /** The name of its client, of open sessions of the user. */
  client?: string;
  /** The tools that made its changes. */
  tools: string[];
  from: string;
  to: string;
  changes: number;
  documents: string[];
  /** How many more there are than are named. */
  documentsNotNamed: number;
  entities: string[];
  entitiesNotNamed: number;
}

export const sessions = (cursor: string | undefined, signal?: AbortSignal): Promise<Page & { sessions: WorkingSession[] }> =>
  get(query("/api/v1/sessions", { cursor }), signal);
