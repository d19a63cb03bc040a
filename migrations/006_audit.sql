-- 006: the audit log: who made, changed, deleted or used what. Rows are added in the transaction that does it, by
-- triggers, so that it does not matter who sends the statement; nobody changes them, and they go when they are old.

BEGIN;
SET LOCAL client_min_messages = warning;

-- user_id and key_id say who acted in a project's name; login says who acted on the database itself. What is told of
-- outlives what it tells of: there are no foreign keys. subject is an id or a name, detail a few words more; never a
-- document's content, a key or a hash.
CREATE TABLE IF NOT EXISTS app.audit_log (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at         timestamptz NOT NULL DEFAULT now(),
  project_id uuid,
  action     text COLLATE "C" NOT NULL CHECK (action IN (
    'user.created', 'project.created', 'member.added', 'member.role_changed', 'member.removed',
    'key.created', 'key.changed', 'key.revoked', 'key.rotated', 'key.used_from_new_address',
    'documents.deleted', 'entities.deleted', 'backup.restored', 'bank.imported', 'bank.exported',
    'project.backed_up', 'project.restored')),
  user_id    uuid,
  key_id     uuid,
  login      text,
  subject    text CHECK (octet_length(subject) <= 1024),
  address    inet,
  detail     jsonb NOT NULL DEFAULT '{}' CHECK (octet_length(detail::text) <= 32768)
);
CREATE INDEX IF NOT EXISTS audit_log_project_idx ON app.audit_log (project_id, at, id);
CREATE INDEX IF NOT EXISTS audit_log_at_idx ON app.audit_log (at);
-- One row for each address that a key was used from.
CREATE UNIQUE INDEX IF NOT EXISTS audit_log_address_idx ON app.audit_log (key_id, address)
  WHERE action = 'key.used_from_new_address';

ALTER TABLE app.audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.audit_log FORCE ROW LEVEL SECURITY;
REVOKE ALL ON app.audit_log FROM PUBLIC;
DROP POLICY IF EXISTS owner_select ON app.audit_log;
CREATE POLICY owner_select ON app.audit_log FOR SELECT TO app_user USING (project_id = (SELECT app.owned_project()));
DROP POLICY IF EXISTS functions_select ON app.audit_log;
CREATE POLICY functions_select ON app.audit_log FOR SELECT TO app_definer USING (true);
DROP POLICY IF EXISTS functions_insert ON app.audit_log;
CREATE POLICY functions_insert ON app.audit_log FOR INSERT TO app_definer WITH CHECK (true);
-- No one has a policy to change a row. What is younger than thirty days cannot be removed by any function, either.
DROP POLICY IF EXISTS functions_delete ON app.audit_log;
CREATE POLICY functions_delete ON app.audit_log FOR DELETE TO app_definer USING (at < now() - interval '30 days');

GRANT SELECT ON app.audit_log TO app_user;
GRANT SELECT, INSERT, DELETE ON app.audit_log TO app_definer;

SET LOCAL ROLE app_definer;

-- Adds a row: in whose name, the transaction's settings say; who acts without them acts as the login role.
CREATE OR REPLACE FUNCTION app.audit(p_action text, p_project uuid, p_subject text, p_detail jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO app.audit_log (project_id, action, user_id, key_id, login, subject, detail)
  VALUES (
    p_project, p_action, app.current_user_id(),
    app.current_key_id(),
    CASE WHEN app.current_user_id() IS NULL THEN session_user::text END,
    left(p_subject, 255), jsonb_strip_nulls(p_detail)
  );
END
$$;

CREATE OR REPLACE FUNCTION app.audit_user() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM app.audit('user.created', NULL, NEW.id::text, jsonb_build_object('name', NEW.name));
  RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION app.audit_project() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM app.audit('project.created', NEW.id, NEW.id::text, jsonb_build_object('slug', NEW.slug));
  RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION app.audit_membership() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM app.audit('member.added', NEW.project_id, NEW.user_id::text, jsonb_build_object('role', NEW.role));
  ELSIF TG_OP = 'DELETE' THEN
    PERFORM app.audit('member.removed', OLD.project_id, OLD.user_id::text, jsonb_build_object('role', OLD.role));
  ELSE
    PERFORM app.audit('member.role_changed', NEW.project_id, NEW.user_id::text,
      jsonb_build_object('role', NEW.role, 'before', OLD.role));
  END IF;
  RETURN NULL;
END
$$;

-- A key that is made in the transaction that revoked another one of the same user in the same project takes its place;
-- where the old one is revoked afterwards, app.audit_replaces names it before.
CREATE OR REPLACE FUNCTION app.audit_key() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  mark constant text := concat_ws('/', NEW.user_id, NEW.project_id) || '/';
  revoked constant text := current_setting('app.audit_revoked', true);
  replaced constant text := coalesce(
    NULLIF(current_setting('app.audit_replaces', true), ''),
    CASE WHEN starts_with(revoked, mark) THEN substr(revoked, length(mark) + 1) END);
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM app.audit(
      CASE WHEN replaced IS NOT NULL THEN 'key.rotated' ELSE 'key.created' END, NEW.project_id, NEW.id::text,
      jsonb_build_object('user', NEW.user_id, 'prefix', NEW.key_prefix, 'scopes', to_jsonb(NEW.scopes),
        'rateLimit', NEW.rate_limit, 'expiresAt', NEW.expires_at,
        'replaces', replaced));
    PERFORM set_config('app.audit_revoked', '', true), set_config('app.audit_replaces', '', true);
  ELSIF OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL THEN
    PERFORM app.audit('key.revoked', NEW.project_id, NEW.id::text,
      jsonb_build_object('user', NEW.user_id, 'prefix', NEW.key_prefix));
    PERFORM set_config('app.audit_revoked', mark || NEW.id, true);
  ELSE
    PERFORM app.audit('key.changed', NEW.project_id, NEW.id::text,
      jsonb_build_object('user', NEW.user_id, 'prefix', NEW.key_prefix, 'scopes', to_jsonb(NEW.scopes),
        'rateLimit', NEW.rate_limit));
  END IF;
  RETURN NULL;
END
$$;

-- The rows of one statement are one row of the log, with the first of their names. A restore takes the graph away to put
-- it back; it tells of itself.
CREATE OR REPLACE FUNCTION app.audit_deletion() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  one record;
BEGIN
  IF current_setting('app.audit_restores', true) = 'true' THEN
    RETURN NULL;
  END IF;
  IF TG_ARGV[0] = 'documents.deleted' THEN
    FOR one IN
      SELECT g.project_id, count(*) AS n, (array_agg(left(g.path, 255) ORDER BY g.path))[1:10] AS names
      FROM gone g GROUP BY g.project_id
    LOOP
      PERFORM app.audit(TG_ARGV[0], one.project_id, one.names[1],
        jsonb_build_object('count', one.n, 'names', to_jsonb(one.names)));
    END LOOP;
  ELSE
    FOR one IN
      SELECT g.project_id, count(*) AS n, (array_agg(left(g.id, 64) ORDER BY g.id))[1:10] AS names
      FROM gone g GROUP BY g.project_id
    LOOP
      PERFORM app.audit(TG_ARGV[0], one.project_id, one.names[1],
        jsonb_build_object('count', one.n, 'ids', to_jsonb(one.names)));
    END LOOP;
  END IF;
  RETURN NULL;
END
$$;

-- What no trigger sees: told by whoever does it, in the transaction that does it and in the tenant's name. Only what the
-- role may do can be told.
CREATE OR REPLACE FUNCTION app.note_audit(p_action text, p_subject text, p_detail jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  held constant public.project_role := app.current_project_role();
BEGIN
  IF NOT coalesce(CASE
      WHEN p_action = 'bank.exported' THEN true
      WHEN p_action = 'bank.imported' THEN held IN ('owner', 'editor')
      WHEN p_action = 'backup.restored' THEN held = 'owner'
    END AND held IS NOT NULL, false) THEN
    RAISE EXCEPTION 'the role may not tell of `%`', p_action USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM app.audit(p_action, app.current_project_id(), p_subject, p_detail);
  IF p_action IN ('backup.restored', 'bank.imported') THEN
    PERFORM set_config('app.audit_restores', 'true', true);
  END IF;
END
$$;

-- The same for the operator's commands.
CREATE OR REPLACE FUNCTION app.note_operator_audit(p_slug text, p_action text, p_subject text, p_detail jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF p_action NOT IN ('bank.imported', 'bank.exported', 'project.backed_up', 'project.restored') THEN
    RAISE EXCEPTION '`%` is told of where it happens', p_action USING ERRCODE = 'MB400';
  END IF;
  PERFORM app.audit(p_action, app.project_called(p_slug), p_subject, p_detail);
END
$$;

-- Notes that keys were used from addresses, many at once: each pair once, at most p_most addresses a key.
CREATE OR REPLACE FUNCTION app.note_key_addresses(p_keys uuid[], p_addresses text[], p_at timestamptz[], p_most integer)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  INSERT INTO app.audit_log (at, project_id, action, user_id, key_id, subject, address)
  SELECT used.at, k.project_id, 'key.used_from_new_address', k.user_id, k.id, k.id::text, used.address
  FROM (
    SELECT u.key, u.address::inet AS address, min(u.at) AS at,
      row_number() OVER (PARTITION BY u.key ORDER BY min(u.at)) AS place
    FROM unnest(p_keys, p_addresses, p_at) AS u (key, address, at)
    WHERE NOT EXISTS (
      SELECT FROM app.audit_log l
      WHERE l.key_id = u.key AND l.address = u.address::inet AND l.action = 'key.used_from_new_address'
    )
    GROUP BY u.key, u.address::inet
  ) AS used
  JOIN public.api_keys k ON k.id = used.key
  WHERE used.place + (
    SELECT count(*) FROM app.audit_log l WHERE l.key_id = used.key AND l.action = 'key.used_from_new_address'
  ) <= p_most
  ON CONFLICT DO NOTHING
$$;

-- The log of one project, or of all with what belongs to none, newest first.
CREATE OR REPLACE FUNCTION app.list_audit(p_slug text, p_since timestamptz, p_most bigint)
RETURNS TABLE (
  id bigint, at timestamptz, action text, project text, user_name text, user_id uuid, key_id uuid, login text,
  subject text, address text, detail jsonb
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  project constant uuid := CASE WHEN p_slug IS NOT NULL THEN app.project_called(p_slug) END;
BEGIN
  RETURN QUERY
  SELECT l.id, l.at, l.action, p.slug, u.name, l.user_id, l.key_id, l.login, l.subject, host(l.address), l.detail
  FROM app.audit_log l
  LEFT JOIN public.users u ON u.id = l.user_id
  LEFT JOIN public.projects p ON p.id = l.project_id
  WHERE (project IS NULL OR l.project_id = project) AND (p_since IS NULL OR l.at >= p_since)
  ORDER BY l.at DESC, l.id DESC LIMIT p_most;
END
$$;

-- Removes at most p_most rows from before p_before, and none that is younger than the policy lets go. One replica at a
-- time; gives the number of rows.
CREATE OR REPLACE FUNCTION app.purge_audit(p_before timestamptz, p_most bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  removed bigint;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('memory-bank-mcp audit', 0)) THEN
    RETURN 0;
  END IF;
  DELETE FROM app.audit_log l WHERE l.id IN (
    SELECT o.id FROM app.audit_log o WHERE o.at < p_before AND o.at < now() - interval '30 days'
    ORDER BY o.at LIMIT p_most
  );
  GET DIAGNOSTICS removed = ROW_COUNT;
  RETURN removed;
END
$$;

DO $$
DECLARE
  one record;
BEGIN
  FOR one IN
    SELECT p.oid::regprocedure AS signature, w.grantee
    FROM (VALUES
      ('audit', NULL), ('note_audit', 'app_user'),
      -- Who makes the triggers must be allowed to; nobody can call these otherwise.
      ('audit_user', 'app_server'), ('audit_project', 'app_server'), ('audit_membership', 'app_server'),
      ('audit_key', 'app_server'), ('audit_deletion', 'app_server'),
      ('note_operator_audit', 'app_server'), ('note_key_addresses', 'app_server'), ('list_audit', 'app_server'),
      ('purge_audit', 'app_server')
    ) AS w (name, grantee)
    JOIN pg_catalog.pg_proc p ON p.proname = w.name AND p.pronamespace = 'app'::regnamespace
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', one.signature);
    IF one.grantee IS NOT NULL THEN
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', one.signature, one.grantee);
    END IF;
  END LOOP;
END
$$;

RESET ROLE;

CREATE OR REPLACE TRIGGER audit AFTER INSERT ON public.users FOR EACH ROW EXECUTE FUNCTION app.audit_user();
CREATE OR REPLACE TRIGGER audit AFTER INSERT ON public.projects FOR EACH ROW EXECUTE FUNCTION app.audit_project();
CREATE OR REPLACE TRIGGER audit_insert AFTER INSERT ON public.memberships
  FOR EACH ROW EXECUTE FUNCTION app.audit_membership();
CREATE OR REPLACE TRIGGER audit_update AFTER UPDATE ON public.memberships
  FOR EACH ROW WHEN (OLD.role IS DISTINCT FROM NEW.role) EXECUTE FUNCTION app.audit_membership();
CREATE OR REPLACE TRIGGER audit_delete AFTER DELETE ON public.memberships
  FOR EACH ROW EXECUTE FUNCTION app.audit_membership();
CREATE OR REPLACE TRIGGER audit_insert AFTER INSERT ON public.api_keys FOR EACH ROW EXECUTE FUNCTION app.audit_key();
-- Not for last_used_at, which is written all the time.
CREATE OR REPLACE TRIGGER audit_update AFTER UPDATE ON public.api_keys
  FOR EACH ROW WHEN (
    (OLD.revoked_at, OLD.label, OLD.scopes, OLD.rate_limit, OLD.expires_at)
      IS DISTINCT FROM (NEW.revoked_at, NEW.label, NEW.scopes, NEW.rate_limit, NEW.expires_at)
  ) EXECUTE FUNCTION app.audit_key();
CREATE OR REPLACE TRIGGER audit_delete AFTER DELETE ON public.documents REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION app.audit_deletion('documents.deleted');
CREATE OR REPLACE TRIGGER audit_delete AFTER DELETE ON public.graph_entities REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION app.audit_deletion('entities.deleted');

INSERT INTO public.schema_migrations (version) VALUES ('006_audit') ON CONFLICT DO NOTHING;

COMMIT;
