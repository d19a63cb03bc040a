-- 002: who sees and changes what: forced row-level security on every table, by the role in the current project.
--
-- A statement on a project's data runs as app_user in a transaction that says who asks and in which project:
--   SET LOCAL app.current_user_id, SET LOCAL app.current_project_id, SET LOCAL ROLE app_user.
-- Without these settings there is no row. A viewer reads; an editor also writes; an owner also deletes.

BEGIN;
SET LOCAL client_min_messages = warning;

-- Nothing of a database that a version before 2.0 made is changed.
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'app' AND c.relname = 'files'
  ) OR EXISTS (SELECT FROM public.schema_migrations WHERE version ~ '^00[4-9]_') THEN
    RAISE EXCEPTION '001_schema.sql of this version was not applied, or the database was made before memory-bank-mcp 2.0'
      USING HINT = 'apply 001_schema.sql first; a database from before 2.0 stays as it is: export each project with the '
        'version that made it, then import it into a new database';
  END IF;
END
$$;

-- What the policies ask. They take no arguments, so that nobody can ask on behalf of another. Their bodies are parsed
-- here and now (RETURN), so that no search_path of a session can put another operator under them.
CREATE OR REPLACE FUNCTION app.current_user_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN NULLIF(pg_catalog.current_setting('app.current_user_id', true), '')::pg_catalog.uuid;

CREATE OR REPLACE FUNCTION app.current_project_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN NULLIF(pg_catalog.current_setting('app.current_project_id', true), '')::pg_catalog.uuid;

-- The key that the call came with; none for an operator's command.
CREATE OR REPLACE FUNCTION app.current_key_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN NULLIF(pg_catalog.current_setting('app.current_key_id', true), '')::pg_catalog.uuid;

GRANT USAGE, CREATE ON SCHEMA app TO app_definer;
GRANT USAGE ON SCHEMA app TO app_user, app_server;
GRANT USAGE ON SCHEMA public TO app_user, app_server, app_definer;

-- Nobody has rights on the tables and their sequences but those named here. Supabase grants its API roles rights on all
-- that is new in schema public.
DO $$
DECLARE
  one record;
  stranger text;
BEGIN
  FOR one IN
    SELECT format('%I.%I', n.nspname, c.relname) AS name
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND (n.nspname = 'app' OR n.nspname = 'public' AND c.relname IN (
      'users', 'projects', 'memberships', 'api_keys', 'documents', 'graph_entities', 'graph_observations',
      'graph_relations', 'mcp_events', 'sessions', 'schema_migrations'))
  LOOP
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', one.name);
    EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', one.name);
    FOREACH stranger IN ARRAY ARRAY['anon', 'authenticated', 'service_role'] LOOP
      IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = stranger) THEN
        EXECUTE format('REVOKE ALL ON %s FROM %I', one.name, stranger);
      END IF;
    END LOOP;
    -- The list of migrations belongs to whoever migrates and holds nothing of a tenant: it is not forced.
    IF one.name <> 'public.schema_migrations' THEN
      EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', one.name);
    END IF;
  END LOOP;
END
$$;

DO $$
DECLARE
  one record;
BEGIN
  FOR one IN
    SELECT DISTINCT s.oid::regclass AS name, coalesce(quote_ident(r.rolname), 'PUBLIC') AS stranger
    FROM pg_catalog.pg_class s
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype = 'i'
    JOIN pg_catalog.pg_class c ON c.oid = d.refobjid
    CROSS JOIN LATERAL aclexplode(s.relacl) x
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = x.grantee
    WHERE s.relkind = 'S' AND (c.relnamespace = 'app'::regnamespace OR c.relnamespace = 'public'::regnamespace
      AND c.relname IN ('graph_entities', 'graph_observations', 'graph_relations', 'mcp_events'))
      AND (x.grantee = 0 OR r.rolname IN ('anon', 'authenticated', 'service_role'))
  LOOP
    EXECUTE format('REVOKE ALL ON SEQUENCE %s FROM %s', one.name, one.stranger);
  END LOOP;
END
$$;

GRANT SELECT ON public.schema_migrations TO app_server;
GRANT SELECT ON public.users, public.projects, public.memberships, public.sessions, public.mcp_events TO app_user;
GRANT SELECT, INSERT ON public.api_keys TO app_user;
GRANT UPDATE (label, scopes, rate_limit, revoked_at) ON public.api_keys TO app_user;
GRANT SELECT, INSERT, UPDATE, DELETE
  ON public.documents, public.graph_entities, public.graph_observations, public.graph_relations TO app_user;
GRANT SELECT, INSERT, UPDATE, DELETE
  ON public.users, public.projects, public.memberships, public.api_keys, public.sessions, public.mcp_events
  TO app_definer;
GRANT SELECT, INSERT, UPDATE ON app.project_state TO app_user;
GRANT SELECT, INSERT ON app.backups, app.backup_items TO app_user;
GRANT SELECT, DELETE ON app.backups TO app_definer;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.files TO app_user;
GRANT SELECT ON app.graph_versions, app.graph_changes TO app_user;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.graph_versions, app.graph_changes TO app_definer;
GRANT SELECT ON app.audit_log TO app_user;
GRANT SELECT, INSERT, DELETE ON app.audit_log TO app_definer;

-- The role of the user in the project, or none. It looks past the policies of memberships, since these ask it.
-- A call that came with a key gets no more than the key's highest scope allows, nothing with a key of another user or
-- project, and an error with a key that is void: so a revocation counts at once, whatever a server still believes.
SET LOCAL ROLE app_definer;

CREATE OR REPLACE FUNCTION app.current_project_role() RETURNS public.project_role
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  key constant uuid := app.current_key_id();
  held public.project_role;
  good boolean;
BEGIN
  IF key IS NULL THEN
    RETURN (
      SELECT m.role FROM public.memberships m
      WHERE m.user_id = app.current_user_id() AND m.project_id = app.current_project_id()
    );
  END IF;
  -- The enum counts downwards: the greater of two roles is the one that may less.
  SELECT
    greatest(m.role, CASE
      WHEN k.scopes = '{}' OR 'admin' = ANY (k.scopes) THEN 'owner'
      WHEN 'write' = ANY (k.scopes) THEN 'editor'
      ELSE 'viewer'
    END::public.project_role),
    k.revoked_at IS NULL AND (k.expires_at > now()) IS NOT FALSE
  INTO held, good
  FROM public.api_keys k JOIN public.memberships m ON m.user_id = k.user_id AND m.project_id = k.project_id
  WHERE k.id = key AND k.user_id = app.current_user_id() AND k.project_id = app.current_project_id();
  IF NOT good THEN
    RAISE EXCEPTION 'the key was revoked or has expired' USING ERRCODE = 'MB401';
  END IF;
  RETURN held;
END
$$;

REVOKE ALL ON FUNCTION app.current_project_role() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.current_project_role() TO app_user, app_server;

RESET ROLE;

-- The same answers as one word each. They run once a statement, since the policies wrap them in (SELECT …).
CREATE OR REPLACE FUNCTION app.readable_project() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN app.current_project_role() IS NOT NULL THEN app.current_project_id() END;

CREATE OR REPLACE FUNCTION app.writable_project() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN app.current_project_role() IN ('owner', 'editor') THEN app.current_project_id() END;

CREATE OR REPLACE FUNCTION app.owned_project() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN app.current_project_role() = 'owner' THEN app.current_project_id() END;

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY[
    'current_user_id', 'current_project_id', 'current_key_id', 'readable_project', 'writable_project', 'owned_project'
  ] LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION app.%I() FROM PUBLIC', name);
    EXECUTE format('GRANT EXECUTE ON FUNCTION app.%I() TO app_user, app_definer', name);
  END LOOP;
END
$$;

-- One policy a table and right. Policies of the same name are replaced, so that this file can be run again.
DO $$
DECLARE
  one record;
  served text;
BEGIN
  FOR one IN
    SELECT * FROM (VALUES
      ('public.users', 'own_select', 'SELECT', 'id = (SELECT app.current_user_id()) AND (SELECT app.readable_project()) IS NOT NULL', NULL),
      ('public.users', 'owner_select', 'SELECT',
        'id IN (SELECT m.user_id FROM public.memberships m WHERE m.project_id = (SELECT app.owned_project()))', NULL),
      ('public.projects', 'member_select', 'SELECT', 'id = (SELECT app.readable_project())', NULL),
      ('public.memberships', 'own_select', 'SELECT',
        'project_id = (SELECT app.readable_project()) AND user_id = (SELECT app.current_user_id())', NULL),
      ('public.memberships', 'owner_select', 'SELECT', 'project_id = (SELECT app.owned_project())', NULL),
      ('public.api_keys', 'own_select', 'SELECT',
        'project_id = (SELECT app.readable_project()) AND user_id = (SELECT app.current_user_id())', NULL),
      ('public.api_keys', 'owner_select', 'SELECT', 'project_id = (SELECT app.owned_project())', NULL),
      ('public.api_keys', 'owner_insert', 'INSERT', NULL,
        'project_id = (SELECT app.owned_project()) AND user_id = (SELECT app.current_user_id())'),
      ('public.api_keys', 'owner_update', 'UPDATE', 'project_id = (SELECT app.owned_project())',
        'project_id = (SELECT app.owned_project())'),
      ('public.sessions', 'own_select', 'SELECT',
        'project_id = (SELECT app.readable_project()) AND user_id = (SELECT app.current_user_id())', NULL),
      ('public.mcp_events', 'own_select', 'SELECT',
        'project_id = (SELECT app.readable_project()) AND user_id = (SELECT app.current_user_id())', NULL),
      ('app.project_state', 'own_select', 'SELECT',
        'project_id = (SELECT app.readable_project()) AND user_id = (SELECT app.current_user_id())', NULL),
      ('app.project_state', 'own_insert', 'INSERT', NULL,
        'project_id = (SELECT app.readable_project()) AND user_id = (SELECT app.current_user_id())'),
      ('app.project_state', 'own_update', 'UPDATE',
        'project_id = (SELECT app.readable_project()) AND user_id = (SELECT app.current_user_id())',
        'project_id = (SELECT app.readable_project()) AND user_id = (SELECT app.current_user_id())'),
      -- Only app.prune_backups deletes a backup, and only the oldest.
      ('app.backups', 'member_select', 'SELECT', 'project_id = (SELECT app.readable_project())', NULL),
      ('app.backups', 'editor_insert', 'INSERT', NULL, 'project_id = (SELECT app.writable_project())'),
      ('app.backup_items', 'member_select', 'SELECT', 'project_id = (SELECT app.readable_project())', NULL),
      ('app.backup_items', 'editor_insert', 'INSERT', NULL, 'project_id = (SELECT app.writable_project())'),
      ('app.graph_versions', 'member_select', 'SELECT', 'project_id = (SELECT app.readable_project())', NULL),
      ('app.graph_changes', 'member_select', 'SELECT', 'project_id = (SELECT app.readable_project())', NULL),
      ('app.audit_log', 'owner_select', 'SELECT', 'project_id = (SELECT app.owned_project())', NULL)
    ) AS fixed (tab, policy, cmd, using_expr, check_expr)
    UNION ALL
    SELECT tab, policy, cmd, using_expr, check_expr
    FROM unnest(ARRAY[
      'public.documents', 'public.graph_entities', 'public.graph_observations', 'public.graph_relations', 'app.files'
    ]) AS tab,
    LATERAL (VALUES
      ('member_select', 'SELECT', 'project_id = (SELECT app.readable_project())', NULL),
      ('editor_insert', 'INSERT', NULL, 'project_id = (SELECT app.writable_project())'),
      ('editor_update', 'UPDATE', 'project_id = (SELECT app.writable_project())',
        'project_id = (SELECT app.writable_project())'),
      -- To undo a link is to write; to lose a document, an entity or an observation is the owner's to decide.
      ('delete', 'DELETE', CASE WHEN tab = 'public.graph_relations' THEN 'project_id = (SELECT app.writable_project())'
        ELSE 'project_id = (SELECT app.owned_project())' END, NULL)
    ) AS rights (policy, cmd, using_expr, check_expr)
  LOOP
    EXECUTE format('DROP POLICY IF EXISTS %I ON %s', one.policy, one.tab);
    EXECUTE format('CREATE POLICY %I ON %s FOR %s TO app_user', one.policy, one.tab, one.cmd)
      || coalesce(' USING (' || one.using_expr || ')', '')
      || coalesce(' WITH CHECK (' || one.check_expr || ')', '');
  END LOOP;

  -- The functions of 003 serve many tenants at once; only they act as app_definer.
  FOREACH served IN ARRAY ARRAY[
    'public.users', 'public.projects', 'public.memberships', 'public.api_keys', 'public.sessions', 'public.mcp_events',
    'app.backups', 'app.graph_versions', 'app.graph_changes'
  ] LOOP
    EXECUTE format('DROP POLICY IF EXISTS functions ON %s', served);
    EXECUTE format('CREATE POLICY functions ON %s TO app_definer USING (true) WITH CHECK (true)', served);
  END LOOP;
  -- Of the audit log they read and add; no one has a policy to change a row. What is younger than thirty days cannot be
  -- removed by any function, either.
  DROP POLICY IF EXISTS functions_select ON app.audit_log;
  CREATE POLICY functions_select ON app.audit_log FOR SELECT TO app_definer USING (true);
  DROP POLICY IF EXISTS functions_insert ON app.audit_log;
  CREATE POLICY functions_insert ON app.audit_log FOR INSERT TO app_definer WITH CHECK (true);
  DROP POLICY IF EXISTS functions_delete ON app.audit_log;
  CREATE POLICY functions_delete ON app.audit_log FOR DELETE TO app_definer USING (at < now() - interval '30 days');
  DROP POLICY IF EXISTS server_select ON public.schema_migrations;
  CREATE POLICY server_select ON public.schema_migrations FOR SELECT TO app_server USING (true);
END
$$;

INSERT INTO public.schema_migrations (version) VALUES ('002_policies') ON CONFLICT DO NOTHING;

COMMIT;
