-- 003: the few functions that serve many tenants at once, or that an administrator calls. Each does one thing, takes
-- typed arguments, gives back no more than its caller needs, and may be called by the server's role alone.
--
-- They belong to app_definer and look past row-level security by its policies, so that nobody needs to be a superuser.
-- Their errors carry one of three codes: MB400 refused, MB404 not there, MB409 there already.

BEGIN;
SET LOCAL client_min_messages = warning;

-- A write that the policies let nothing of through fails as a whole, instead of changing less than it was to change.
CREATE OR REPLACE FUNCTION app.must_be(got bigint, wanted bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF got <> wanted THEN
    RAISE EXCEPTION 'row-level security let % of % rows be changed', got, wanted USING ERRCODE = 'insufficient_privilege';
  END IF;
END
$$;
REVOKE ALL ON FUNCTION app.must_be(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.must_be(bigint, bigint) TO app_user;

SET LOCAL ROLE app_definer;

-- Who a key stands for. A key whose user is no member of its project (any more) stands for nobody. Revoked and expired
-- keys are told apart from unknown ones by the caller.
CREATE OR REPLACE FUNCTION app.authenticate(p_key_hash bytea)
RETURNS TABLE (
  key_id uuid, user_id uuid, user_name text, project_id uuid, project_slug text, role text, scopes text[],
  rate_limit integer, expires_at timestamptz, revoked_at timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT k.id, k.user_id, u.name, k.project_id, p.slug, m.role::text, k.scopes, k.rate_limit, k.expires_at, k.revoked_at
  FROM public.api_keys k
  JOIN public.users u ON u.id = k.user_id
  JOIN public.projects p ON p.id = k.project_id
  JOIN public.memberships m ON m.user_id = k.user_id AND m.project_id = k.project_id
  WHERE k.key_hash = p_key_hash
$$;

-- Notes when keys were last used, many at once.
CREATE OR REPLACE FUNCTION app.touch_keys(p_keys uuid[], p_at timestamptz[]) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  UPDATE public.api_keys k SET last_used_at = greatest(k.last_used_at, used.at)
  FROM (SELECT u.key, max(u.at) AS at FROM unnest(p_keys, p_at) AS u (key, at) GROUP BY u.key) AS used
  WHERE k.id = used.key
$$;

-- Opens a session, unless the project has p_most live ones already. False: it has, or the user is no member.
CREATE OR REPLACE FUNCTION app.open_session(
  p_id text, p_user uuid, p_project uuid, p_metadata jsonb, p_ttl_seconds integer, p_most integer
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM public.memberships m WHERE m.user_id = p_user AND m.project_id = p_project) OR p_most <= (
    SELECT count(*) FROM (
      SELECT FROM public.sessions s WHERE s.project_id = p_project AND s.expires_at > now() LIMIT p_most
    ) AS live
  ) THEN
    RETURN false;
  END IF;
  INSERT INTO public.sessions (id, user_id, project_id, metadata, expires_at)
  VALUES (p_id, p_user, p_project, p_metadata, now() + make_interval(secs => p_ttl_seconds));
  RETURN true;
END
$$;

-- Notes when sessions were last seen, many at once, and lets each live on for p_ttl_seconds from then.
CREATE OR REPLACE FUNCTION app.touch_sessions(p_sessions text[], p_at timestamptz[], p_ttl_seconds integer) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  UPDATE public.sessions s
  SET last_seen = greatest(s.last_seen, seen.at),
    expires_at = greatest(s.expires_at, seen.at + make_interval(secs => p_ttl_seconds))
  FROM (SELECT u.id, max(u.at) AS at FROM unnest(p_sessions, p_at) AS u (id, at) GROUP BY u.id) AS seen
  WHERE s.id = seen.id AND s.expires_at > now()
$$;

-- Ends a session of this user in this project, with its events; says whether there was one.
CREATE OR REPLACE FUNCTION app.close_session(p_id text, p_user uuid, p_project uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  DELETE FROM public.sessions s WHERE s.id = p_id AND s.user_id = p_user AND s.project_id = p_project;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  DELETE FROM public.mcp_events e WHERE e.session_id = p_id;
  RETURN true;
END
$$;

-- Stores events of many sessions with one statement, and gives their ids back in the order of the arguments. They are
-- for replay only: losing the last of them in a crash of the server's machine is no loss of data, so the commit does
-- not wait for the disk. A message that jsonb cannot hold (it has an escaped null character) is stored as a JSON string.
CREATE OR REPLACE FUNCTION app.append_events(
  p_sessions text[], p_streams text[], p_users uuid[], p_projects uuid[], p_messages text[]
) RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  RETURN QUERY
  INSERT INTO public.mcp_events (session_id, stream_id, user_id, project_id, message)
  SELECT e.session, e.stream, e.usr, e.project,
    CASE WHEN e.message LIKE '%\\u0000%' THEN to_jsonb(e.message) ELSE e.message::jsonb END
  FROM unnest(p_sessions, p_streams, p_users, p_projects, p_messages) WITH ORDINALITY
    AS e (session, stream, usr, project, message, place)
  ORDER BY e.place
  RETURNING id;
END
$$;

-- Removes at most p_most events older than p_event_seconds, and at most p_most expired sessions with their events.
-- One replica at a time; a replica that finds another at it removes nothing and says -1.
CREATE OR REPLACE FUNCTION app.purge(p_event_seconds integer, p_most integer)
RETURNS TABLE (events bigint, sessions bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  gone text[];
  more bigint;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('memory-bank-mcp purge', 0)) THEN
    RETURN QUERY SELECT -1::bigint, -1::bigint;
    RETURN;
  END IF;
  DELETE FROM public.mcp_events e WHERE e.id IN (
    SELECT o.id FROM public.mcp_events o
    WHERE o.created_at < now() - make_interval(secs => p_event_seconds) ORDER BY o.created_at LIMIT p_most
  );
  GET DIAGNOSTICS events = ROW_COUNT;
  SELECT array_agg(o.id) INTO gone FROM (
    SELECT s.id FROM public.sessions s WHERE s.expires_at <= now() ORDER BY s.expires_at LIMIT p_most
    FOR UPDATE SKIP LOCKED
  ) AS o;
  -- A session goes when its events have gone, so that no call deletes more than a bounded number.
  DELETE FROM public.mcp_events e WHERE e.id IN (
    SELECT o.id FROM public.mcp_events o WHERE o.session_id = ANY (gone) LIMIT p_most
  );
  GET DIAGNOSTICS more = ROW_COUNT;
  events := events + more;
  DELETE FROM public.sessions s WHERE s.id = ANY (gone)
    AND NOT EXISTS (SELECT FROM public.mcp_events e WHERE e.session_id = s.id);
  GET DIAGNOSTICS sessions = ROW_COUNT;
  RETURN NEXT;
END
$$;

-- Administration ----------------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION app.user_named(p_name text) RETURNS uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found uuid := (SELECT u.id FROM public.users u WHERE u.name = p_name);
BEGIN
  IF found IS NULL THEN
    RAISE EXCEPTION 'there is no user `%`', p_name USING ERRCODE = 'MB404', HINT = 'users list shows who there is';
  END IF;
  RETURN found;
END
$$;

CREATE OR REPLACE FUNCTION app.project_called(p_slug text) RETURNS uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found uuid := (SELECT p.id FROM public.projects p WHERE p.slug = p_slug);
BEGIN
  IF found IS NULL THEN
    RAISE EXCEPTION 'there is no project `%`', p_slug USING ERRCODE = 'MB404', HINT = 'projects list shows what there is';
  END IF;
  RETURN found;
END
$$;

CREATE OR REPLACE FUNCTION app.create_user(p_id uuid, p_name text, p_email text) RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  broken text;
BEGIN
  INSERT INTO public.users (id, name, email) VALUES (p_id, p_name, p_email);
  RETURN p_id;
EXCEPTION WHEN unique_violation THEN
  GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
  IF broken = 'users_email_key' THEN
    RAISE EXCEPTION 'a user has the address `%` already', p_email USING ERRCODE = 'MB409';
  END IF;
  RAISE EXCEPTION 'there is a user `%` already', p_name USING ERRCODE = 'MB409';
END
$$;

CREATE OR REPLACE FUNCTION app.list_users()
RETURNS TABLE (id uuid, name text, email text, created_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT u.id, u.name, u.email, u.created_at FROM public.users u ORDER BY u.name $$;

CREATE OR REPLACE FUNCTION app.create_project(p_id uuid, p_slug text, p_owner text, p_name text) RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  owner constant uuid := app.user_named(p_owner);
BEGIN
  INSERT INTO public.projects (id, owner_id, name, slug) VALUES (p_id, owner, coalesce(p_name, p_slug), p_slug);
  INSERT INTO public.memberships (user_id, project_id, role) VALUES (owner, p_id, 'owner');
  RETURN p_id;
EXCEPTION
  WHEN unique_violation THEN
    RAISE EXCEPTION 'there is a project `%` already', p_slug USING ERRCODE = 'MB409';
  WHEN check_violation THEN
    RAISE EXCEPTION '`%` is no project slug', p_slug USING ERRCODE = 'MB400',
      HINT = 'lower-case letters, digits, `.`, `_` and `-`, at most 100, a letter or digit first and last';
END
$$;

CREATE OR REPLACE FUNCTION app.list_projects()
RETURNS TABLE (id uuid, slug text, name text, owner text, members bigint, created_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT p.id, p.slug, p.name, u.name, (SELECT count(*) FROM public.memberships m WHERE m.project_id = p.id), p.created_at
  FROM public.projects p JOIN public.users u ON u.id = p.owner_id ORDER BY p.slug
$$;

-- A project keeps an owner: the last one can be neither removed nor made less.
CREATE OR REPLACE FUNCTION app.keeps_an_owner(p_project uuid, p_leaving uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM FROM public.projects p WHERE p.id = p_project FOR UPDATE;
  IF NOT EXISTS (
    SELECT FROM public.memberships m WHERE m.project_id = p_project AND m.user_id <> p_leaving AND m.role = 'owner'
  ) THEN
    RAISE EXCEPTION 'this is the project''s last owner' USING ERRCODE = 'MB400', HINT = 'make another member owner first';
  END IF;
END
$$;

CREATE OR REPLACE FUNCTION app.put_member(p_slug text, p_user text, p_role text)
RETURNS TABLE (user_id uuid, user_name text, role text, created_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  project constant uuid := app.project_called(p_slug);
  usr constant uuid := app.user_named(p_user);
BEGIN
  IF p_role <> 'owner' AND EXISTS (
    SELECT FROM public.memberships m WHERE m.project_id = project AND m.user_id = usr AND m.role = 'owner'
  ) THEN
    PERFORM app.keeps_an_owner(project, usr);
  END IF;
  RETURN QUERY
  INSERT INTO public.memberships AS m (user_id, project_id, role) VALUES (usr, project, p_role::public.project_role)
  ON CONFLICT (user_id, project_id) DO UPDATE SET role = excluded.role
  RETURNING m.user_id, p_user, m.role::text, m.created_at;
END
$$;

-- Removes a member and revokes the keys that it has in the project; gives their hashes, for the caches to forget.
CREATE OR REPLACE FUNCTION app.remove_member(p_slug text, p_user text) RETURNS SETOF bytea
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project constant uuid := app.project_called(p_slug);
  usr constant uuid := app.user_named(p_user);
  held public.project_role := (SELECT m.role FROM public.memberships m WHERE m.project_id = project AND m.user_id = usr);
BEGIN
  IF held IS NULL THEN
    RAISE EXCEPTION '`%` is no member of `%`', p_user, p_slug USING ERRCODE = 'MB404';
  ELSIF held = 'owner' THEN
    PERFORM app.keeps_an_owner(project, usr);
  END IF;
  DELETE FROM public.memberships m WHERE m.project_id = project AND m.user_id = usr;
  RETURN QUERY
  UPDATE public.api_keys k SET revoked_at = coalesce(k.revoked_at, now())
  WHERE k.project_id = project AND k.user_id = usr RETURNING k.key_hash;
END
$$;

CREATE OR REPLACE FUNCTION app.list_members(p_slug text)
RETURNS TABLE (user_id uuid, user_name text, role text, created_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  project constant uuid := app.project_called(p_slug);
BEGIN
  RETURN QUERY
  SELECT m.user_id, u.name, m.role::text, m.created_at
  FROM public.memberships m JOIN public.users u ON u.id = m.user_id
  WHERE m.project_id = project ORDER BY u.name;
END
$$;

CREATE OR REPLACE FUNCTION app.create_key(
  p_id uuid, p_user text, p_slug text, p_key_hash bytea, p_key_prefix text, p_label text, p_scopes text[],
  p_rate_limit integer, p_expires_at timestamptz
) RETURNS SETOF public.api_keys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project constant uuid := app.project_called(p_slug);
  usr constant uuid := app.user_named(p_user);
BEGIN
  IF NOT EXISTS (SELECT FROM public.memberships m WHERE m.user_id = usr AND m.project_id = project) THEN
    RAISE EXCEPTION '`%` is no member of `%`', p_user, p_slug USING ERRCODE = 'MB400', HINT = 'members add makes one';
  END IF;
  RETURN QUERY
  INSERT INTO public.api_keys (id, user_id, project_id, key_hash, key_prefix, label, scopes, rate_limit, expires_at)
  VALUES (p_id, usr, project, p_key_hash, p_key_prefix, p_label, p_scopes, p_rate_limit, p_expires_at)
  RETURNING *;
END
$$;

CREATE OR REPLACE FUNCTION app.list_keys(p_slug text, p_all boolean)
RETURNS TABLE (key public.api_keys, user_name text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project constant uuid := app.project_called(p_slug);
BEGIN
  RETURN QUERY
  SELECT k, u.name FROM public.api_keys k JOIN public.users u ON u.id = k.user_id
  WHERE k.project_id = project AND (p_all OR k.revoked_at IS NULL) ORDER BY k.created_at DESC, k.id;
END
$$;

CREATE OR REPLACE FUNCTION app.revoke_key(p_id uuid) RETURNS SETOF public.api_keys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  UPDATE public.api_keys k SET revoked_at = now() WHERE k.id = p_id AND k.revoked_at IS NULL RETURNING k.*;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no key `%` that could be revoked', p_id USING ERRCODE = 'MB404',
      HINT = 'keys list --all shows all keys';
  END IF;
END
$$;

-- Revokes a key and makes one like it. An expiry that lies ahead moves on by as long as the old key was to live.
-- The first row is the new key, the second the old one.
CREATE OR REPLACE FUNCTION app.rotate_key(p_id uuid, p_new_id uuid, p_key_hash bytea, p_key_prefix text)
RETURNS SETOF public.api_keys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  old public.api_keys := app.revoke_key(p_id);
BEGIN
  RETURN QUERY
  INSERT INTO public.api_keys (id, user_id, project_id, key_hash, key_prefix, label, scopes, rate_limit, expires_at)
  VALUES (p_new_id, old.user_id, old.project_id, p_key_hash, p_key_prefix, old.label, old.scopes, old.rate_limit,
    now() + (old.expires_at - old.created_at))
  RETURNING *;
  RETURN NEXT old;
END
$$;

DO $$
DECLARE
  one record;
BEGIN
  FOR one IN
    SELECT p.oid::regprocedure AS signature
    FROM pg_catalog.pg_proc p
    WHERE p.pronamespace = 'app'::regnamespace AND p.prosecdef AND p.proname IN (
      'authenticate', 'touch_keys', 'open_session', 'touch_sessions', 'close_session', 'append_events', 'purge',
      'user_named', 'project_called', 'create_user', 'list_users', 'create_project', 'list_projects', 'keeps_an_owner',
      'put_member', 'remove_member', 'list_members', 'create_key', 'list_keys', 'revoke_key', 'rotate_key')
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', one.signature);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO app_server', one.signature);
  END LOOP;
END
$$;

RESET ROLE;

-- updated_at follows every change of an account or a project.
CREATE OR REPLACE FUNCTION app.note_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER note_update BEFORE UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION app.note_update();
CREATE OR REPLACE TRIGGER note_update BEFORE UPDATE ON public.projects FOR EACH ROW EXECUTE FUNCTION app.note_update();

INSERT INTO public.schema_migrations (version) VALUES ('003_functions') ON CONFLICT DO NOTHING;

COMMIT;
