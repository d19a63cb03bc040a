// Names of documents as they are typed.

/** A typed name, with the ending of a document. */
export function withEnding(typed: string): string {
  const name = typed.trim();
  return /\.(md|json)$/i.test(name) ? name : `${name}.md`;
}
