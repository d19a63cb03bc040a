// Members of the project, and their keys.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import * as api from "../api";
import { useKept } from "../forms";
import { Trouble } from "../parts";
import { texts } from "../texts";
import { Time } from "../time";
import { asApiError, Paged, ShownOnce, Sure } from "./project_parts";

const t = texts.project;
const ROLES = ["viewer", "editor", "owner"] as const;

function roleOf(text: string): api.Role {
  return ROLES.find((role) => role === text) ?? "viewer";
}

function RoleChoice({ id, value, onChange, label }: { id: string; value: api.Role; onChange: (role: api.Role) => void; label?: string }) {
  return (
    <select id={id} value={value} onChange={(event) => onChange(roleOf(event.currentTarget.value))} {...(label !== undefined && { "aria-label": label })}>
      {ROLES.map((role) => (
        <option key={role} value={role}>
          {t.roles[role]}
        </option>
      ))}
    </select>
  );
}

function Invite({ onInvited }: { onInvited: () => void }) {
  const { values, isRestored, set, forget } = useKept("invite", { name: "", role: "editor" });
  const { name } = values;
  const role = roleOf(values.role);
  const [made, setMade] = useState<{ name: string; key: api.NewKey }[]>([]);
  const [error, setError] = useState<api.ApiError>();
  const isRunning = useRef(false);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (name.trim() === "" || isRunning.current) return;
    isRunning.current = true;
    api
      .invite(name.trim(), role)
      .then(
        (invited) => {
          // The key of another member stays on the screen until it was stored.
          setMade((before) => [...before, invited]);
          forget();
          setError(undefined);
          onInvited();
        },
        (failure: unknown) => setError(asApiError(failure)),
      )
      .finally(() => {
        isRunning.current = false;
      });
  };
  return (
    <>
      {made.map((one) => (
        <ShownOnce key={one.key.key} text={t.keyOnce(one.name)} secret={one.key.key} onKept={() => setMade((before) => before.filter((other) => other !== one))} />
      ))}
      <details class="create" open={isRestored}>
        <summary>{t.invite}</summary>
        <p class="hint">{t.inviteHint}</p>
        <form class="fields" onSubmit={submit}>
          <label for="invite-name">{t.name}</label>
          <input id="invite-name" type="text" required maxLength={255} autocomplete="off" spellcheck={false} value={name} onInput={(event) => set({ name: event.currentTarget.value })} />
          <label for="invite-role">{t.role}</label>
          <RoleChoice id="invite-role" value={role} onChange={(role) => set({ role })} />
          <button type="submit" class="main">
            {t.inviteButton}
          </button>
        </form>
        {error !== undefined && <Trouble error={error} />}
      </details>
    </>
  );
}

export function Members() {
  const [note, setNote] = useState<string>();
  const [error, setError] = useState<api.ApiError>();
  const [changed, setChanged] = useState(0);
  const [replaced, setReplaced] = useState<{ name: string; key: api.NewKey }[]>([]);
  const again = () => setChanged((before) => before + 1);
  return (
    <>
      <Invite onInvited={again} />
      {replaced.map((one) => (
        <ShownOnce key={one.key.key} text={t.keyOnce(one.name)} secret={one.key.key} onKept={() => setReplaced((before) => before.filter((other) => other !== one))} />
      ))}
      <p role="status">{note}</p>
      {error !== undefined && <Trouble error={error} />}
      <Paged key={changed} load={api.members} items={(page) => page.members}>
        {(members) => (
          <ul class="rows">
            {members.map((member, at) => (
              <li key={member.name}>
                <h2>
                  {member.name} {member.name === api.currentSession()?.user && <span class="tag">{t.you}</span>}
                </h2>
                <p class="facts">
                  {t.joined} <Time at={member.createdAt} />
                </p>
                <div class="actions">
                  <RoleChoice
                    id={`role-${at}`}
                    label={t.roleOf(member.name)}
                    value={member.role}
                    onChange={(role) => {
                      api.changeRole(member.name, role).then(
                        () => {
                          setNote(t.changed(member.name, role));
                          setError(undefined);
                          again();
                        },
                        (failure: unknown) => {
                          setNote(undefined);
                          setError(asApiError(failure));
                          again();
                        },
                      );
                    }}
                  />
                  {member.mayReplaceKey && (
                    <Sure
                      label={t.newKey}
                      of={t.newKeyOf(member.name)}
                      question={t.newKeySure(member.name)}
                      yes={t.newKeyYes}
                      run={async () => {
                        const made = await api.replaceInvitation(member.name);
                        setReplaced((before) => [...before, made]);
                        again();
                      }}
                    />
                  )}
                  <Sure
                    label={t.remove}
                    of={t.removeOf(member.name)}
                    question={member.name === api.currentSession()?.user ? t.removeSelfSure : t.removeSure(member.name)}
                    yes={t.removeYes}
                    run={async () => {
                      await api.removeMember(member.name);
                      setNote(t.removed(member.name));
                      again();
                    }}
                  />
                </div>
              </li>
            ))}
          </ul>
        )}
      </Paged>
    </>
  );
}

/** What a key may do. */
function Scopes({ chosen, onChange }: { chosen: string[]; onChange: (scopes: string[]) => void }) {
  const choose = (scope: string, isChosen: boolean) => onChange(isChosen ? [...chosen, scope] : chosen.filter((one) => one !== scope));
  return (
    <fieldset>
      <legend>{t.scopes}</legend>
      {["read", "write", "admin"].map((scope) => (
        <label key={scope} class="choice">
          <input type="checkbox" checked={chosen.includes(scope)} onChange={(event) => choose(scope, event.currentTarget.checked)} />
          {t.scope[scope]}
        </label>
      ))}
    </fieldset>
  );
}

function CreateKey({ onCreated }: { onCreated: () => void }) {
  const { values, isRestored, set, forget } = useKept("key", { label: "", days: "", scopes: ["read", "write"] });
  const { label, days, scopes } = values;
  const [made, setMade] = useState<api.NewKey[]>([]);
  const [error, setError] = useState<api.ApiError>();
  // A second click must not make a second key: only one secret is shown.
  const isRunning = useRef(false);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (isRunning.current) return;
    isRunning.current = true;
    const until = days.trim() === "" ? undefined : Number(days);
    api
      .createKey(label.trim(), scopes, until)
      .then(
        (key) => {
          setMade((before) => [...before, key]);
          forget();
          setError(undefined);
          onCreated();
        },
        (failure: unknown) => setError(asApiError(failure)),
      )
      .finally(() => {
        isRunning.current = false;
      });
  };
  return (
    <>
      {made.map((key) => (
        <ShownOnce key={key.key} text={t.keyOwn} secret={key.key} onKept={() => setMade((before) => before.filter((other) => other !== key))} />
      ))}
      <details class="create" open={isRestored}>
        <summary>{t.createKey}</summary>
        <p class="hint">{t.createHint}</p>
        <form class="fields" onSubmit={submit}>
          <label for="key-label">{t.label}</label>
          <input id="key-label" type="text" maxLength={200} autocomplete="off" value={label} onInput={(event) => set({ label: event.currentTarget.value })} />
          <Scopes chosen={scopes} onChange={(scopes) => set({ scopes })} />
          <label for="key-days">{t.days}</label>
          <input id="key-days" type="number" min={1} max={3650} value={days} onInput={(event) => set({ days: event.currentTarget.value })} />
          <button type="submit" class="main" disabled={scopes.length === 0}>
            {t.createButton}
          </button>
        </form>
        {error !== undefined && <Trouble error={error} />}
      </details>
    </>
  );
}

/** Label, rights and limit of an own key. */
function ChangeKey({ apiKey, name, onChanged }: { apiKey: api.Key; name: string; onChanged: () => void }) {
  const { values, isRestored, set, forget } = useKept(`key ${apiKey.id}`, { label: apiKey.label ?? "", limit: String(apiKey.rateLimit), scopes: apiKey.scopes });
  const { label, limit, scopes } = values;
  const [isOpen, setOpen] = useState(isRestored);
  const [error, setError] = useState<api.ApiError>();
  const field = useRef<HTMLInputElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const wasOpen = useRef(false);
  useLayoutEffect(() => {
    if (isOpen) field.current?.focus();
    else if (wasOpen.current) button.current?.focus();
    wasOpen.current = isOpen;
  }, [isOpen]);
  if (!isOpen) {
    return (
      <button ref={button} type="button" aria-label={t.changeOf(name)} onClick={() => setOpen(true)}>
        {t.change}
      </button>
    );
  }
  const close = () => {
    forget();
    setOpen(false);
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const isSame = scopes.length === apiKey.scopes.length && scopes.every((scope) => apiKey.scopes.includes(scope));
    const wanted = { label: label.trim() === "" ? null : label.trim(), rateLimit: Number(limit), ...(!isSame && { scopes }) };
    api.changeKey(apiKey.id, wanted).then(
      () => {
        forget();
        onChanged();
      },
      (failure: unknown) => setError(asApiError(failure)),
    );
  };
  return (
    <form
      class="fields"
      aria-label={t.changeOf(name)}
      onSubmit={submit}
      onKeyDown={(event) => {
        if (event.key === "Escape") close();
      }}
    >
      <label for={`label-${apiKey.id}`}>{t.label}</label>
      <input id={`label-${apiKey.id}`} ref={field} type="text" maxLength={200} autocomplete="off" value={label} onInput={(event) => set({ label: event.currentTarget.value })} />
      <Scopes chosen={scopes} onChange={(scopes) => set({ scopes })} />
      {apiKey.scopes.length === 0 && <p class="hint">{t.scopesHint}</p>}
      <label for={`limit-${apiKey.id}`}>{t.limitOfKey}</label>
      <input id={`limit-${apiKey.id}`} type="number" required min={0} max={1_000_000} value={limit} onInput={(event) => set({ limit: event.currentTarget.value })} />
      <p class="hint">{t.expiryHint}</p>
      {error !== undefined && <Trouble error={error} />}
      <div class="actions">
        <button type="submit" class="main" disabled={scopes.length === 0 && apiKey.scopes.length > 0}>
          {t.saveKey}
        </button>
        <button type="button" onClick={close}>
          {t.cancel}
        </button>
      </div>
    </form>
  );
}

export function Keys() {
  const [note, setNote] = useState<string>();
  const [changed, setChanged] = useState(0);
  const again = () => setChanged((before) => before + 1);
  return (
    <>
      <CreateKey onCreated={again} />
      <p role="status">{note}</p>
      <Paged key={changed} load={api.keys} items={(page) => page.keys}>
        {(keys) => (
          <>
            {keys.length === 0 && <p class="quiet">{t.noKeys}</p>}
            {keys.some((key) => key.user !== api.currentSession()?.user) && <p class="hint">{t.othersHint}</p>}
            <ul class="rows">
              {keys.map((key) => {
                const name = key.label === null || key.label === "" ? t.noLabel : key.label;
                return (
                  <li key={key.id}>
                    <h2>
                      {key.user}: {name} <code>{key.prefix}…</code>
                    </h2>
                    <p class="facts">
                      {key.scopes.length === 0 ? `${t.scopes} ${t.everything}` : t.within} {key.scopes.length === 0 ? "" : key.scopes.map((scope) => t.scope[scope] ?? scope).join(", ")} · {t.used}{" "}
                      {key.lastUsedAt === null ? t.never : <Time at={key.lastUsedAt} near />} · {t.expires} {key.expiresAt === null ? t.never : <Time at={key.expiresAt} />} · {t.perMinute(key.rateLimit)}
                    </p>
                    <div class="actions">
                    {key.user === api.currentSession()?.user && (
                      <ChangeKey
                        apiKey={key}
                        name={`${name} ${key.prefix}`}
                        onChanged={() => {
                          setNote(t.keyChanged);
                          again();
                        }}
                      />
                    )}
                    <Sure
                      label={t.revoke}
                      of={t.revokeOf(`${key.user}: ${name} ${key.prefix}`)}
                      question={t.revokeSure}
                      yes={t.revokeYes}
                      run={async () => {
                        await api.revokeKey(key.id);
                        setNote(t.revoked);
                        again();
                      }}
                    />
                    </div>
                  </li>
                );
              })}
            </ul>
          </>
        )}
      </Paged>
    </>
  );
}
