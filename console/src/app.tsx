// The frame around every page: who is signed in, where the pages are, and the commands.

import { Component, type ComponentChildren } from "preact";
import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import * as api from "./api";
import { forgetDrafts, forgetOpen, type Unsaved, unsaved } from "./drafts";
import { followChanges } from "./live";
import { type Command, Palette } from "./palette";
import { Document } from "./pages/document";
import { Documents } from "./pages/documents";
import { Entity } from "./pages/entity";
import { Graph } from "./pages/graph";
import { History, ProjectHistory } from "./pages/history";
import { Home } from "./pages/home";
import { Search } from "./pages/search";
import { SignIn, type Why } from "./pages/sign_in";
import { OutboxNotes } from "./outbox_notes";
import { IsServedReadOnly, MayAdminister, MayOnlyRead, MayWrite, PageHeading, Shown, Trouble, useLoaded } from "./parts";
import { go, links, type PictureView, PROJECT_PARTS, type ProjectPart, type Route, useRoute } from "./router";
import { Shortcuts } from "./shortcuts";
import { hasMore, hasUnsaved, SignOutQuestion } from "./sign_out";
import { texts } from "./texts";
import { forgetRights, useSession } from "./session";
import { HeldNote, loadPart } from "./retry";
import { setTheme } from "./theme";
import { InUtc, setUtc, useUtc } from "./time";
import { visible } from "./unseen";

function Page({ route, hasMembers }: { route: Route; hasMembers: boolean }) {
  switch (route.page) {
    case "home":
      return <Home />;
    case "documents":
      return <Documents />;
    case "document":
      return <Document key={route.name} name={route.name} heading={route.heading} />;
    case "deleted":
      return <ChangesLater>{({ Deleted }) => <Deleted />}</ChangesLater>;
    case "graph":
      return <Graph query={route.query} />;
    case "entity":
      return <Entity key={route.name} name={route.name} />;
    case "picture":
      return <PictureLater view={route.view} />;
    case "blame":
      return <ChangesLater>{({ Blame }) => <Blame key={route.name} name={route.name} />}</ChangesLater>;
    case "undo":
      return <ChangesLater>{({ Undo }) => <Undo wanted={route.wanted} />}</ChangesLater>;
    case "sessions":
      return <ProjectLater>{({ Sessions }) => <Sessions />}</ProjectLater>;
    case "project":
      return <ProjectLater>{({ Project }) => <Project key={route.part} part={route.part} hasMembers={hasMembers} />}</ProjectLater>;
    case "edit":
      return <EditLater key={`${route.name} ${route.version ?? ""}`} name={route.name} version={route.version} />;
    case "search":
      return <Search query={route.query} filters={route.filters} />;
    case "history":
      return route.name === undefined ? <ProjectHistory {...route.wanted} /> : <History key={route.name} name={route.name} version={route.version} />;
    case "unknown":
      return (
        <>
          <PageHeading text={texts.errors.unknownPage} />
          <p>
            <a href={links.home}>{texts.pages.home}</a>
          </p>
        </>
      );
  }
}

interface EditProps {
  name: string;
  version: number | undefined;
}

/** The page for editing, which is loaded when it is opened first. */
function EditLater(props: EditProps) {
  const [loaded, retry] = useLoaded(async () => (await loadPart(() => import("./pages/edit"))).default, []);
  return (
    <Shown loaded={loaded} retry={retry}>
      {(Edit) => <Edit {...props} />}
    </Shown>
  );
}

/** The picture of the graph, with what draws it, which is loaded when it is opened first. */
function PictureLater({ view }: { view: PictureView }) {
  const [loaded, retry] = useLoaded(async () => (await loadPart(() => import("./pages/picture"))).default, []);
  return (
    <Shown loaded={loaded} retry={retry}>
      {(Picture) => <Picture view={view} />}
    </Shown>
  );
}

/** Blame and undo, which are loaded when one is opened first. */
function ChangesLater({ children }: { children: (pages: typeof import("./pages/changes")) => ComponentChildren }) {
  const [loaded, retry] = useLoaded(() => loadPart(() => import("./pages/changes")), []);
  return (
    <Shown loaded={loaded} retry={retry}>
      {children}
    </Shown>
  );
}

/** Working sessions, and what owners administer, which are loaded when one is opened first. */
function ProjectLater({ children }: { children: (pages: typeof import("./pages/project")) => ComponentChildren }) {
  const [loaded, retry] = useLoaded(() => loadPart(() => import("./pages/project")), []);
  return (
    <Shown loaded={loaded} retry={retry}>
      {children}
    </Shown>
  );
}

/** Shows that a page has failed, in its place; the rest of the console stays. Another page is another boundary. */
class Boundary extends Component<{ children: ComponentChildren }, { hasFailed: boolean }> {
  override state = { hasFailed: false };

  override componentDidCatch(error: unknown) {
    console.error(error);
    this.setState({ hasFailed: true });
  }

  override render() {
    if (!this.state.hasFailed) return this.props.children;
    return <Trouble error={new api.ApiError(500, texts.errors.page)} retry={() => this.setState({ hasFailed: false })} />;
  }
}

function titleOf(route: Route): string {
  switch (route.page) {
    case "document":
      return route.name;
    case "graph":
    case "picture":
    case "entity":
      return texts.graph.heading;
    case "edit":
      return texts.edit.heading(route.name);
    case "blame":
      return texts.blame.heading(route.name);
    case "undo":
      return texts.undo.heading;
    case "deleted":
      return texts.documents.deletedHeading;
    case "sessions":
      return texts.sessions.heading;
    case "project":
      return texts.project.parts[route.part];
    case "history":
      return route.name === undefined ? texts.pages.history : `${texts.history.of} ${route.name}`;
    case "search":
      return route.query === "" ? texts.pages.search : `${route.query} · ${texts.pages.search}`;
    case "unknown":
      return texts.errors.unknownPage;
    default:
      return texts.pages[route.page];
  }
}

const PAGES = ["home", "documents", "search", "graph", "history"] as const;

function address(page: (typeof PAGES)[number]): string {
  const of = links[page];
  return typeof of === "string" ? of : of();
}

/** Whether a key is typed into a field. The one with colours is in a shadow root, so that the target of its events is the host. */
function isTyping(event: Event): boolean {
  const target = event.composedPath()[0];
  return target instanceof HTMLElement && target.closest("input, textarea, select, [contenteditable]") !== null;
}

function Frame({ session, onSignOut }: { session: api.StoredSession; onSignOut: () => void }) {
  const route = useRoute();
  const [isOpen, setOpen] = useState(false);
  const [isListing, setListing] = useState(false);
  const found = useSession(session);
  const role = found?.role ?? "…";
  const close = useCallback(() => setOpen(false), []);
  const title = titleOf(route);

  useEffect(() => {
    document.title = visible(texts.title(title, session.project));
  }, [title, session.project]);
  useEffect(() => followChanges(), [session.token]);
  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setOpen(true);
      } else if (event.key === "/" && !isTyping(event) && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        go(links.search());
      } else if (event.key === "?" && !isTyping(event) && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        setListing(true);
      }
    };
    window.addEventListener("keydown", key);
    return () => window.removeEventListener("keydown", key);
  }, []);

  const inUtc = useUtc();
  const isOwner = found?.rights.includes("admin") === true;
  const hasMembers = found?.hasMembers !== false;
  const parts = useMemo<readonly ProjectPart[]>(() => (!isOwner ? [] : hasMembers ? PROJECT_PARTS : ["health"]), [isOwner, hasMembers]);
  const commands = useMemo<Command[]>(
    () => [
      ...PAGES.map((page) => ({ label: texts.pages[page], run: () => go(address(page)) })),
      { label: texts.picture.command, run: () => go(links.picture()) },
      { label: texts.sessions.heading, run: () => go(links.sessions) },
      ...parts.map((part) => ({ label: `${texts.project.heading}: ${texts.project.parts[part]}`, run: () => go(links.project(part)) })),
      { label: texts.theme.light, run: () => setTheme("light") },
      { label: texts.theme.dark, run: () => setTheme("dark") },
      { label: texts.theme.auto, run: () => setTheme("auto") },
      { label: inUtc ? texts.time.toLocal : texts.time.toUtc, run: () => setUtc(!inUtc) },
      { label: texts.documents.deletedLink, run: () => go(links.deleted) },
      { label: texts.shortcuts.heading, run: () => setListing(true) },
      { label: texts.signOut, run: onSignOut },
    ],
    [onSignOut, parts, inUtc],
  );
  const section = ["document", "edit", "blame", "deleted"].includes(route.page) ? "documents" : route.page === "undo" || route.page === "sessions" ? "history" : route.page === "entity" || route.page === "picture" ? "graph" : route.page;
  return (
    <>
      <a class="skip" href="#content">
        {texts.skip}
      </a>
      <header class="top">
        <a class="brand" href={links.home}>
          <span class="logo" aria-hidden="true" />
          <span class="project">{session.project}</span>
        </a>
        <nav aria-label={texts.menu}>
          {PAGES.map((page) => (
            <a key={page} href={address(page)} {...(section === page ? { "aria-current": "page" as const } : {})}>
              {texts.pages[page]}
            </a>
          ))}
          {parts[0] !== undefined && (
            <a href={links.project(parts[0])} {...(section === "project" ? { "aria-current": "page" as const } : {})}>
              {texts.project.heading}
            </a>
          )}
        </nav>
        <div class="tools">
          <button type="button" class="command" onClick={() => setOpen(true)} aria-keyshortcuts="Control+K">
            {texts.palette.open} <kbd aria-hidden="true">Ctrl K</kbd>
          </button>
          <button type="button" onClick={onSignOut} title={texts.signedInAs(session.user, role)}>
            {texts.signOut}
          </button>
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        <HeldNote />
        <OutboxNotes route={route} />
        <MayOnlyRead.Provider value={found?.rights.includes("write") === false}>
          <MayWrite.Provider value={found?.rights.includes("write") === true}>
            <MayAdminister.Provider value={found?.rights.includes("admin") === true}>
              <IsServedReadOnly.Provider value={found?.readOnly === true}>
                <InUtc.Provider value={inUtc}>
                  <Boundary key={route.page}>
                    <Page route={route} hasMembers={found?.hasMembers !== false} />
                  </Boundary>
                </InUtc.Provider>
              </IsServedReadOnly.Provider>
            </MayAdminister.Provider>
          </MayWrite.Provider>
        </MayOnlyRead.Provider>
      </main>
      <footer>
        <p class="quiet">{texts.signedInAs(session.user, role)}</p>
        <button type="button" aria-pressed={inUtc} onClick={() => setUtc(!inUtc)}>
          {texts.time.inUtc}
        </button>
      </footer>
      {isOpen && <Palette commands={commands} onClose={close} />}
      {isListing && <Shortcuts onClose={() => setListing(false)} />}
    </>
  );
}

/** How the user has arrived: with a link, or back from the OpenID provider. */
function takeArrival(): api.SignInWith | undefined {
  if (window.location.hash === "#signed-in") {
    window.history.replaceState(null, "", window.location.pathname);
    return { signedIn: true };
  }
  const secret = takeLink();
  return secret === undefined ? undefined : { secret };
}

/** The secret of a link that opens the console of a folder. It leaves the address at once. A key or a login code is none: a page of
 * another site could sign the user in to a project of others with it. */
function takeLink(): string | undefined {
  const secret = /^#open=(mbmcp_si_\w{32})$/.exec(window.location.hash)?.[1];
  if (secret !== undefined) window.history.replaceState(null, "", window.location.pathname);
  return secret;
}

export function App() {
  const [session, setSession] = useState(api.currentSession);
  const [arrival, setArrival] = useState(takeArrival);
  const [offered, setOffered] = useState<api.Project[]>();
  const [why, setWhy] = useState<Why>("first");
  const [error, setError] = useState<string>();
  const [asked, setAsked] = useState<Unsaved>();

  useEffect(() => {
    // Another tab has signed in or out.
    const follow = (before: api.StoredSession | undefined, after: api.StoredSession | undefined) => {
      if (before !== undefined && after === undefined) {
        setWhy(api.leftHow() === "out" ? "elsewhere" : "ended");
        if (api.leftHow() === "out") forgetOpen();
      }
      setSession(after);
    };
    const changed = () => follow(api.currentSession(), api.adoptSession());
    api.onSessionEnd(() => {
      const before = api.currentSession();
      const stored = api.adoptSession();
      if (stored !== before) {
        follow(before, stored);
        return;
      }
      api.keepSession(undefined);
      setWhy("ended");
      setSession(undefined);
    });
    window.addEventListener("storage", changed);
    // Or has done so since this page read it.
    changed();
    return () => window.removeEventListener("storage", changed);
  }, []);

  useEffect(() => {
    if (arrival === undefined) return;
    api.signIn(arrival).then(
      (signed) => {
        setArrival(undefined);
        if (Array.isArray(signed)) {
          setOffered(signed);
          setSession(undefined);
          return;
        }
        api.keepSession(signed);
        setSession(signed);
      },
      (failure: unknown) => {
        setError(failure instanceof api.ApiError ? failure.message : texts.errors.server);
        setArrival(undefined);
      },
    );
  }, [arrival]);

  const signOut = useCallback((answered?: Unsaved) => {
    setError(undefined);
    const lost = unsaved();
    // Another tab may have a new text since the user was asked.
    if (hasUnsaved(lost) && (answered === undefined || hasMore(lost, answered))) {
      setAsked(lost);
      return;
    }
    setAsked(undefined);
    // Another tab may learn that the session has ended, and end it in this one, before the server has answered here.
    const user = api.currentSession()?.user;
    api.signOut().then(
      () => {
        forgetDrafts(user);
        forgetRights();
        api.keepSession(undefined, "out");
        setWhy("out");
        setSession(undefined);
        go(links.home, { replace: true });
      },
      (failure: unknown) => setError(failure instanceof api.ApiError ? failure.message : texts.errors.server),
    );
  }, []);
  const askToSignOut = useCallback(() => signOut(), []);

  if (arrival !== undefined) {
    return (
      <main class="sign-in">
        <p role="status">{texts.loading}</p>
      </main>
    );
  }
  return (
    <>
      {error !== undefined && (
        <p class="trouble" role="alert">
          {error}
        </p>
      )}
      {session === undefined ? <SignIn why={why} offered={offered} onSignedIn={setSession} /> : <Frame key={session.token} session={session} onSignOut={askToSignOut} />}
      {session !== undefined && asked !== undefined && <SignOutQuestion unsaved={asked} onSignOut={() => signOut(asked)} onStay={() => setAsked(undefined)} />}
    </>
  );
}
