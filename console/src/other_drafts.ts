// The drafts of a document that other editors have, followed while the page is shown: a tab that is closed gives its draft free a little
// later, and another tab may begin one.

import { useEffect, useState } from "preact/hooks";
import { draftsOf, type LeftDraft } from "./drafts";

/** Between two looks, in milliseconds. Another tab's lock ends without an event. */
const PAUSE = 1000;

export interface OtherDrafts {
  left: LeftDraft[];
  /** Whether an editor of another tab has one. */
  isOpen: boolean;
}

const keysOf = ({ left }: OtherDrafts): string => left.map(({ key }) => key).join("\n");
const isSame = (one: OtherDrafts, other: OtherDrafts): boolean => one.isOpen === other.isOpen && keysOf(one) === keysOf(other);

/** The drafts of a document other than the one of this key. */
export function useOtherDrafts(name: string, own?: string): OtherDrafts | undefined {
  const [found, setFound] = useState<OtherDrafts>();
  useEffect(() => {
    let isLeft = false;
    const look = async () => {
      if (document.visibilityState !== "visible") return;
      const next = await draftsOf(name, own);
      if (!isLeft) setFound((before) => (before !== undefined && isSame(before, next) ? before : next));
    };
    void look();
    const timer = setInterval(() => void look(), PAUSE);
    return () => {
      isLeft = true;
      clearInterval(timer);
    };
  }, [name, own]);
  return found;
}
