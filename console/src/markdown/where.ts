// Whether the text of a link looks like another address than the one that it leads to. Knows no page.

/** Between the labels of a host: a dot, and the characters that browsers take for one. */
const DOTS = /[.\u3002\uFF0E\uFF61]/;
const MAIL = "mailto:";

const plain = (host: string): string => host.toLowerCase().replace(/^www\./, "");

/** Whether a word looks like a host: two labels or more, of which the last one is no number, or four numbers. */
function isHost(word: string): boolean {
  const labels = word.split(DOTS);
  const last = labels.at(-1) ?? "";
  if (labels.length < 2 || labels.includes("")) return false;
  return (last.length > 1 && !/^\d+$/.test(last)) || (labels.length === 4 && labels.every((label) => /^\d{1,3}$/.test(label)));
}

/** The hosts that a reader finds in a word, such as `https://a.example/b.html`, `a.example:443` or `ann@a.example`. Takes time in proportion to its length. */
function hostsIn(word: string): string[] {
  const [before = "", ...behind] = word.replaceAll("\\", "/").split("//");
  const upTo = (text: string, ends: RegExp) => (text.split(ends)[0] ?? "").replace(/[.,;!?]+$/, "");
  const afterUser = (text: string) => text.slice(text.lastIndexOf("@") + 1);
  // What follows a scheme is a host, also `localhost`.
  const named = behind.map((text) => afterUser(upTo(text, /[/?#\\]/)).split(":")[0] ?? "").filter((host) => host !== "");
  return [...named, ...afterUser(upTo(before, /[/?#\\]/)).split(":").filter(isHost)];
}

/** Where a link of an address with a scheme leads, to be shown beside its text; nothing if the text does not look like another address. */
export function otherPlace(text: string, href: string): string | undefined {
  const { protocol, host, hostname, pathname } = new URL(href);
  const isMail = protocol === MAIL;
  const shown = isMail ? pathname : host;
  const address = text.trim();
  if ([href, href.slice(protocol.length), href.slice(protocol.length + 2)].some((own) => own === address || own === `${address}/`)) return undefined;
  const real = plain(isMail ? pathname.slice(pathname.lastIndexOf("@") + 1) : hostname);
  const words = text.split(/[\s<>()[\]{}"'“”„‘’«»|]+/u);
  return words.some((word) => hostsIn(word).some((other) => plain(other) !== real)) ? shown : undefined;
}
