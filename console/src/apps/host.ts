// The host around an app: JSON-RPC 2.0 by messages between windows, as the extension `io.modelcontextprotocol/ui` describes it.
// Knows no tool and no page.

import { isValues, list, text, values, type Values } from "./values";

const VERSION = "2026-01-26";
/** How long a host may take for an answer; it may ask its user first. */
const PATIENCE = 120_000;
/** How many answers may be awaited at once. */
const MOST_WAITING = 16;
const METHOD_NOT_FOUND = -32601;

/** What a host tells about itself and its looks. */
export interface Context {
  theme: "light" | "dark" | undefined;
  variables: Values;
  insets: Values;
  displayMode: string;
  displayModes: string[];
  locale: string | undefined;
  timeZone: string | undefined;
}

/** What a host can do for an app. */
export interface Abilities {
  callsTools: boolean;
  takesMessages: boolean;
}

export interface Listener {
  context: (context: Context) => void;
  input: (args: Values) => void;
  result: (result: Values) => void;
  cancelled: () => void;
}

/** Why a host, or a tool that it called, did not do what was asked. */
export class HostError extends Error {}

interface Waiting {
  resolve: (result: Values) => void;
  reject: (error: HostError) => void;
  timer: number;
}

export class Host {
  abilities: Abilities = { callsTools: false, takesMessages: false };
  readonly #waiting = new Map<number, Waiting>();
  readonly #listener: Listener;
  #context: Values = {};
  #last = 0;

  constructor(listener: Listener) {
    this.#listener = listener;
    window.addEventListener("message", (event: MessageEvent<unknown>) => {
      if (event.source === window.parent && isValues(event.data) && event.data["jsonrpc"] === "2.0") this.#receive(event.data);
    });
  }

  /** The handshake. Afterwards the host sends the arguments and the result of its call. */
  async connect(name: string): Promise<void> {
    const answer = await this.#request("ui/initialize", {
      protocolVersion: VERSION,
      appInfo: { name, version: "1.0.0" },
      appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
    });
    const abilities = values(answer["hostCapabilities"]);
    this.abilities = { callsTools: isValues(abilities["serverTools"]), takesMessages: isValues(abilities["message"]) };
    this.#merge(values(answer["hostContext"]));
    this.notify("ui/notifications/initialized", {});
  }

  /** What a tool of the server gives, as data. */
  async call(name: string, args: Values): Promise<Values> {
    return dataOf(await this.#request("tools/call", { name, arguments: args }));
  }

  /** Adds a message of the user to the conversation. */
  async say(message: string): Promise<void> {
    const answer = await this.#request("ui/message", { role: "user", content: [{ type: "text", text: message }] });
    if (answer["isError"] === true) throw new HostError("");
  }

  async display(mode: string): Promise<void> {
    const answer = await this.#request("ui/request-display-mode", { mode });
    this.#merge({ displayMode: answer["mode"] });
  }

  notify(method: string, params: Values): void {
    this.#send({ method, params });
  }

  #send(message: Values): void {
    // A host has no origin that an app could know; nothing that is sent is secret from it.
    window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
  }

  #request(method: string, params: Values): Promise<Values> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= MOST_WAITING) {
        reject(new HostError(""));
        return;
      }
      const id = (this.#last += 1);
      const timer = window.setTimeout(() => {
        this.#waiting.delete(id);
        reject(new HostError(""));
      }, PATIENCE);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#send({ id, method, params });
    });
  }

  #receive(message: Values): void {
    const [id, method] = [message["id"], message["method"]];
    if (typeof method === "string") {
      if (id === undefined) this.#notified(method, values(message["params"]));
      else this.#asked(id, method);
      return;
    }
    const waiting = typeof id === "number" ? this.#waiting.get(id) : undefined;
    if (waiting === undefined) return;
    this.#waiting.delete(id as number);
    window.clearTimeout(waiting.timer);
    if (isValues(message["result"])) waiting.resolve(message["result"]);
    else waiting.reject(new HostError(text(values(message["error"])["message"]) ?? ""));
  }

  #asked(id: unknown, method: string): void {
    const isKnown = method === "ping" || method === "ui/resource-teardown";
    this.#send({ id, ...(isKnown ? { result: {} } : { error: { code: METHOD_NOT_FOUND, message: "method not found" } }) });
  }

  #notified(method: string, params: Values): void {
    if (method === "ui/notifications/tool-input") this.#listener.input(values(params["arguments"]));
    else if (method === "ui/notifications/tool-result") this.#listener.result(params);
    else if (method === "ui/notifications/tool-cancelled") this.#listener.cancelled();
    else if (method === "ui/notifications/host-context-changed") this.#merge(params);
  }

  /** A host sends what has changed only. */
  #merge(changed: Values): void {
    this.#context = { ...this.#context, ...changed };
    const { theme, styles, safeAreaInsets, displayMode, availableDisplayModes, locale, timeZone } = this.#context;
    this.#listener.context({
      theme: theme === "light" || theme === "dark" ? theme : undefined,
      variables: values(values(styles)["variables"]),
      insets: values(safeAreaInsets),
      displayMode: text(displayMode) ?? "inline",
      displayModes: list(availableDisplayModes).flatMap((mode) => text(mode) ?? []),
      locale: text(locale),
      timeZone: text(timeZone),
    });
  }
}

/** The data of a tool's result. Long replies have it as text only. */
export function dataOf(result: Values): Values {
  const written = list(result["content"]).flatMap((block) => text(values(block)["text"]) ?? []);
  if (result["isError"] === true) throw new HostError(written.join("\n"));
  if (isValues(result["structuredContent"])) return result["structuredContent"];
  try {
    const data: unknown = JSON.parse(written.join(""));
    if (isValues(data)) return data;
  } catch {
    // It is no JSON; the error below has it.
  }
  throw new HostError(written.join("\n"));
}
