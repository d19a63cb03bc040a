// Signing in with a key or a login code, and choosing a project.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ApiError, beginWithProvider, keepSession, type Project, signIn, type StoredSession, waysIn } from "../api";
import { move } from "../router";
import { texts } from "../texts";

export type Why = "first" | "ended" | "out" | "elsewhere";

interface Props {
  why: Why;
  /** The projects of a user who has signed in elsewhere. */
  offered: Project[] | undefined;
  onSignedIn: (session: StoredSession) => void;
}

export function SignIn({ why, offered, onSignedIn }: Props) {
  const [projects, setProjects] = useState<Project[] | undefined>(offered);
  const [provider, setProvider] = useState<string>();
  const [isFolder, setFolder] = useState(false);
  const [error, setError] = useState<string>();
  const [busy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    document.title = texts.title(texts.signIn.heading, "");
    field.current?.focus();
  }, [projects]);

  useEffect(() => {
    const control = new AbortController();
    waysIn(control.signal).then(
      (ways) => {
        setProvider(ways.provider);
        setFolder(ways.isFolder);
      },
      // Keys and codes are offered in any case.
      () => setProvider(undefined),
    );
    return () => control.abort();
  }, []);

  async function leave() {
    setBusy(true);
    setError(undefined);
    try {
      window.location.assign(await beginWithProvider());
    } catch (failure) {
      setError(failure instanceof ApiError ? failure.message : texts.errors.server);
      setBusy(false);
    }
  }

  async function send(given: { secret: string } | { project: string }) {
    setBusy(true);
    setError(undefined);
    try {
      const signed = await signIn(given);
      if (Array.isArray(signed)) {
        setProjects(signed);
      } else {
        keepSession(signed);
        move();
        onSignedIn(signed);
      }
    } catch (failure) {
      setError(failure instanceof ApiError ? failure.message : texts.errors.server);
      if ("secret" in given) field.current?.select();
    } finally {
      setBusy(false);
    }
  }

  function submit(event: SubmitEvent) {
    event.preventDefault();
    const secret = field.current?.value.trim() ?? "";
    if (secret === "") {
      setError(texts.signIn.empty);
      field.current?.focus();
    } else {
      void send({ secret });
    }
  }

  const note = why === "ended" ? (isFolder ? texts.signIn.endedOfFolder : texts.signIn.ended) : why === "out" ? texts.signIn.out : why === "elsewhere" ? texts.signIn.outElsewhere : undefined;
  return (
    <main class="sign-in" id="content">
      <p class="brand">
        <span class="logo" aria-hidden="true" />
        {texts.name}
      </p>
      <h1>{projects === undefined ? texts.signIn.heading : texts.signIn.choose}</h1>
      {note !== undefined && projects === undefined && (
        <p class="note" role="status">
          {note}
        </p>
      )}
      {error !== undefined && (
        <p class="trouble" role="alert" id="sign-in-error">
          {error}
        </p>
      )}
      {isFolder ? (
        <p>{texts.signIn.byLink}</p>
      ) : projects === undefined ? (
        <form onSubmit={submit} noValidate>
          <p>{texts.signIn.intro}</p>
          {provider !== undefined && (
            <>
              <button class="main" type="button" disabled={busy} onClick={() => void leave()}>
                {texts.signIn.with(provider)}
              </button>
              <p class="hint">{texts.signIn.or}</p>
            </>
          )}
          <label for="secret">{texts.signIn.label}</label>
          <input
            id="secret"
            ref={field}
            type="password"
            autocomplete="off"
            spellcheck={false}
            required
            aria-invalid={error !== undefined}
            aria-describedby={error === undefined ? "secret-hint" : "sign-in-error secret-hint"}
          />
          <p class="hint" id="secret-hint">
            {texts.signIn.hint}
          </p>
          <button class="main" type="submit" disabled={busy}>
            {texts.signIn.button}
          </button>
        </form>
      ) : (
        <>
          <ul class="choices">
            {projects.map((project) => (
              <li key={project.id}>
                <button type="button" disabled={busy} onClick={() => void send({ project: project.id })}>
                  <strong>{project.name === "" ? project.slug : project.name}</strong>
                  <span>
                    {project.slug} · {texts.signIn.role(project.role)}
                  </span>
                </button>
              </li>
            ))}
          </ul>
          <button type="button" onClick={() => setProjects(undefined)}>
            {texts.signIn.again}
          </button>
        </>
      )}
    </main>
  );
}
