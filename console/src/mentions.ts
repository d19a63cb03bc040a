// The documents that point to an entity of the graph.

import { get, query } from "./requests";

/** A document that has the name of an entity, with the first such line of each section, at most three. */
export interface MentionedIn {
  file: string;
  lines: number;
  places: { line: number; content: string; headingPath: string[] }[];
}

export interface Mentions {
  documents: MentionedIn[];
  documentsLeft: number;
}

/** The documents that point to an entity. */
export const mentions = (name: string, limit: number, signal?: AbortSignal): Promise<Mentions> => get(query("/api/v1/graph/mentions", { name, limit }), signal);
