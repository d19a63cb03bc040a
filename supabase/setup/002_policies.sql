-- 002: rights: forced row-level security on every table, by the role in the current project.
--
-- A statement on a project's data runs as app_user in a transaction whose settings name the user, the project, the key
-- and the purpose:
--   SET LOCAL app.current_user_id, app.current_project_id, app.current_key_id, app.current_key_hash (SHA-256 in
--   hexadecimal, of the key that the request presented), app.current_purpose (read, edit or own), SET LOCAL ROLE app_user.
--
-- The policies verify all of this: the hash must be that of the key, and the key must belong to this user in this project.
-- Without a key only a session of the schema's owner has a role in a project. A viewer reads; an editor also writes; an owner
-- also deletes and administers; the scopes of a key limit these rights one by one. `read` shows documents and graph to keys
-- that may read, `edit` also to keys that may write or administer, since an edit reads the document first. `own` shows them
-- to no key: it is for rows that belong to the user (sessions, state).

BEGIN;
SET LOCAL client_min_messages = warning;
-- Settings of the role or the database must not change how names are resolved or written here.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL quote_all_identifiers = off;
SET LOCAL row_security = on;

-- A database of a version before 2.0 is not changed.
DO $$
DECLARE
  applied text[] := '{}';
BEGIN
  IF to_regclass('app.files') IS NOT NULL AND to_regclass('public.schema_migrations') IS NOT NULL THEN
    applied := ARRAY(SELECT m.version FROM public.schema_migrations m);
  END IF;
  IF NOT '001_schema' = ANY (applied) OR EXISTS (SELECT FROM unnest(applied) AS a (version) WHERE a.version ~ '^00[4-9]_') THEN
    RAISE EXCEPTION '001_schema.sql of this version was not applied, or the database was made before memory-bank-mcp 2.0'
      USING HINT = 'apply 001_schema.sql first; a database from before 2.0 stays as it is: export each project with the '
        'version that made it, then import it into a new database';
  END IF;
END
$$;

-- Functions of the policies. Those that return rights take no arguments, so a caller cannot query the rights of another. Their bodies are parsed
-- when they are created (RETURN), so the search_path of a session cannot replace their operators.
CREATE OR REPLACE FUNCTION app.current_user_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN NULLIF(pg_catalog.current_setting('app.current_user_id', true), '')::pg_catalog.uuid;

CREATE OR REPLACE FUNCTION app.current_project_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN NULLIF(pg_catalog.current_setting('app.current_project_id', true), '')::pg_catalog.uuid;

-- The key of the call; NULL for an operator's command.
CREATE OR REPLACE FUNCTION app.current_key_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN NULLIF(pg_catalog.current_setting('app.current_key_id', true), '')::pg_catalog.uuid;

-- The SHA-256 of the key that was presented.
CREATE OR REPLACE FUNCTION app.current_key_hash() RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_catalog.decode(NULLIF(pg_catalog.current_setting('app.current_key_hash', true), ''), 'hex');

-- The purpose of the transaction; a read by default.
CREATE OR REPLACE FUNCTION app.current_purpose() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(NULLIF(pg_catalog.current_setting('app.current_purpose', true), ''), 'read');

-- Whether the session is one of the schema's owner or of a superuser, both of which have all rights anyway.
CREATE OR REPLACE FUNCTION app.is_operator() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_catalog.pg_has_role(
  session_user, (SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.oid = 'public.projects'::pg_catalog.regclass), 'MEMBER');

GRANT USAGE, CREATE ON SCHEMA app TO app_definer;
GRANT USAGE ON SCHEMA app TO app_user, app_server;
-- Every role has this right in a new database. It is granted only if it was revoked, since a grant on schema public would
-- remain after the schema of this server is dropped.
DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['app_user', 'app_server', 'app_definer'] LOOP
    IF NOT has_schema_privilege(wanted, 'public', 'USAGE') THEN
      EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', wanted);
    END IF;
  END LOOP;
END
$$;

-- The events and their partitions belong to app_definer, so that the functions of 003 can create and drop partitions while
-- the server's login role can do neither. Changes to them here run as app_definer.
DO $$
DECLARE
  lends constant boolean := NOT has_schema_privilege('app_definer', 'public', 'CREATE');
BEGIN
  IF (SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.oid = 'public.mcp_events'::regclass)
    <> 'app_definer'::regrole THEN
    -- A new owner of a table must be allowed to create tables in its schema while the ownership changes.
    IF lends THEN
      GRANT CREATE ON SCHEMA public TO app_definer;
    END IF;
    ALTER TABLE public.mcp_events OWNER TO app_definer;
    ALTER TABLE app.mcp_events_default OWNER TO app_definer;
    IF lends THEN
      REVOKE CREATE ON SCHEMA public FROM app_definer;
    END IF;
  END IF;
END
$$;

-- Only the roles named here have rights on the tables and their sequences. Supabase grants its API roles rights on all new
-- objects in schema public.
DO $$
DECLARE
  one record;
  stranger text;
BEGIN
  FOR one IN
    SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relowner = 'app_definer'::regrole AS of_definer
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND (n.nspname = 'app' OR n.nspname = 'public' AND c.relname IN (
      'users', 'projects', 'memberships', 'api_keys', 'documents', 'graph_entities', 'graph_observations',
      'graph_relations', 'mcp_events', 'sessions', 'schema_migrations'))
  LOOP
    IF one.of_definer THEN
      SET LOCAL ROLE app_definer;
    END IF;
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', one.name);
    EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', one.name);
    FOREACH stranger IN ARRAY ARRAY['anon', 'authenticated', 'service_role'] LOOP
      IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = stranger) THEN
        EXECUTE format('REVOKE ALL ON %s FROM %I', one.name, stranger);
      END IF;
    END LOOP;
    -- The list of migrations belongs to the migrating role and contains no tenant data, so row-level security is not forced.
    IF one.name <> 'public.schema_migrations' THEN
      EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', one.name);
    END IF;
    RESET ROLE;
  END LOOP;
END
$$;

DO $$
DECLARE
  one record;
BEGIN
  FOR one IN
    SELECT DISTINCT s.oid::regclass AS name, coalesce(quote_ident(r.rolname), 'PUBLIC') AS stranger,
      s.relowner = 'app_definer'::regrole AS of_definer
    FROM pg_catalog.pg_class s
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype = 'i'
    JOIN pg_catalog.pg_class c ON c.oid = d.refobjid
    CROSS JOIN LATERAL aclexplode(s.relacl) x
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = x.grantee
    WHERE s.relkind = 'S' AND (c.relnamespace = 'app'::regnamespace OR c.relnamespace = 'public'::regnamespace
      AND c.relname IN ('graph_entities', 'graph_observations', 'graph_relations', 'mcp_events'))
      AND (x.grantee = 0 OR r.rolname IN ('anon', 'authenticated', 'service_role'))
  LOOP
    IF one.of_definer THEN
      SET LOCAL ROLE app_definer;
    END IF;
    EXECUTE format('REVOKE ALL ON SEQUENCE %s FROM %s', one.name, one.stranger);
    RESET ROLE;
  END LOOP;
END
$$;

GRANT SELECT ON public.schema_migrations TO app_server;
GRANT SELECT ON public.users, public.projects, public.memberships, public.sessions TO app_user;
-- Without the hashes: the hash of a key suffices to act as that key here.
REVOKE ALL ON public.api_keys FROM app_user;
GRANT SELECT (id, user_id, project_id, key_prefix, label, scopes, rate_limit, last_used_at, expires_at, created_at, revoked_at,
  grant_id), INSERT ON public.api_keys TO app_user;
GRANT UPDATE (label, scopes, rate_limit, revoked_at) ON public.api_keys TO app_user;
GRANT SELECT, INSERT, UPDATE, DELETE
  ON public.documents, public.graph_entities, public.graph_observations, public.graph_relations TO app_user;
GRANT SELECT, INSERT, UPDATE, DELETE
  ON public.users, public.projects, public.memberships, public.api_keys, public.sessions
  TO app_definer;
GRANT SELECT, INSERT, UPDATE ON app.project_state TO app_user;
GRANT SELECT, INSERT ON app.backups, app.backup_items TO app_user;
GRANT SELECT, DELETE ON app.backups TO app_definer;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.files TO app_user;
GRANT SELECT ON app.graph_versions, app.graph_changes TO app_user;
-- Only triggers, app.import_versions and app.import_graph_changes add to the history, and nobody changes it.
GRANT SELECT ON app.document_versions, app.graph_history TO app_user;
GRANT SELECT, INSERT, DELETE ON app.document_versions, app.graph_history TO app_definer;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.graph_versions, app.graph_changes TO app_definer;
GRANT SELECT ON app.stored_bytes TO app_user;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.stored_bytes TO app_definer;
GRANT SELECT, INSERT, UPDATE ON app.history_bounds, app.log_history TO app_definer;
GRANT SELECT, UPDATE ON SEQUENCE app.log_mark TO app_definer;
GRANT SELECT ON SEQUENCE app.log_mark TO app_server;
GRANT SELECT ON app.call_hours TO app_user;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.call_hours TO app_definer;
GRANT SELECT ON app.audit_log TO app_user;
GRANT SELECT, INSERT, DELETE ON app.audit_log TO app_definer;
-- On the table of events, not on its partitions: only app_definer can use them by name.
SET LOCAL ROLE app_definer;
GRANT SELECT ON public.mcp_events TO app_user;
RESET ROLE;
-- Only functions of 003 write vectors: they check the holder of the set, the width and the number.
GRANT SELECT ON app.vector_sets, app.vectors TO app_user;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.vector_sets, app.vectors TO app_definer;
-- Not the hashes of codes and refresh tokens. Only functions of 003 write what OAuth needs, and only they see clients,
-- sign-ins and login codes.
GRANT SELECT ON app.oauth_grants TO app_user;
GRANT SELECT (project_id, grant_id, created_at, expires_at, used_at) ON app.oauth_codes, app.oauth_refresh_tokens TO app_user;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.oauth_grants, app.oauth_codes, app.oauth_refresh_tokens, app.oauth_clients,
  app.oauth_sign_ins, app.oauth_login_codes, app.oauth_assertions TO app_definer;
-- The same for outside identities and for what mappings gave.
GRANT SELECT, INSERT, UPDATE, DELETE ON app.issuers, app.identities, app.barred_identities, app.mapped_members TO app_definer;
-- Only app.fill_fts (003) writes the search vector. Functions see only the columns that they need; app.import_versions needs the
-- project of a document.
REVOKE INSERT, UPDATE ON public.documents FROM app_user;
GRANT INSERT (id, project_id, path, content, etag, version, created_at, updated_at),
  UPDATE (path, content, etag, version, created_at, updated_at) ON public.documents TO app_user;
-- No row gets another id, by which it would take over the history of another row.
REVOKE UPDATE ON public.graph_entities, public.graph_observations, public.graph_relations FROM app_user;
GRANT UPDATE (name, name_key, entity_type, attrs, created_at, updated_at) ON public.graph_entities TO app_user;
GRANT UPDATE (entity_id, content, source, "timestamp", at, bounds, starts_at, ends_at, supersedes) ON public.graph_observations TO app_user;
GRANT UPDATE (from_entity_id, to_entity_id, relation_type, created_at) ON public.graph_relations TO app_user;
GRANT SELECT (ctid, project_id, id, content, etag, fts), UPDATE (fts) ON public.documents TO app_definer;

-- The rights of the caller, or NULL. It bypasses the policies of keys and memberships, since these call it.
--
-- A presented key that is void, unknown, or of another user or project than the context is an error: so a revocation takes
-- effect at once, whatever a server has cached, and a forged cache entry grants no access.
SET LOCAL ROLE app_definer;

CREATE OR REPLACE FUNCTION app.current_access() RETURNS app.access
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  hash constant bytea := app.current_key_hash();
  key constant uuid := app.current_key_id();
  may app.access;
  good boolean;
BEGIN
  IF hash IS NOT NULL THEN
    SELECT m.role, k.scopes, k.revoked_at IS NULL AND (k.expires_at > now()) IS NOT FALSE
    INTO may.role, may.scopes, good
    FROM public.api_keys k JOIN public.memberships m ON m.user_id = k.user_id AND m.project_id = k.project_id
    -- A grant acts as the key whose secrets its tokens are.
    WHERE coalesce(k.grant_id, k.id) = key AND k.key_hash = hash AND k.user_id = app.current_user_id()
      AND k.project_id = app.current_project_id();
    IF good IS NULL THEN
      RAISE EXCEPTION 'the key that was presented does not open this project' USING ERRCODE = 'MB401';
    ELSIF NOT good THEN
      RAISE EXCEPTION 'the key was revoked or has expired' USING ERRCODE = 'MB401';
    END IF;
  ELSIF key IS NULL AND app.is_operator() THEN
    SELECT m.role, '{}'::text[] INTO may.role, may.scopes FROM public.memberships m
    WHERE m.user_id = app.current_user_id() AND m.project_id = app.current_project_id();
  END IF;
  IF may.role IS NULL THEN
    RETURN NULL;
  END IF;
  may.reads := may.scopes = '{}' OR 'read' = ANY (may.scopes);
  may.writes := may.role IN ('owner', 'editor') AND (may.scopes = '{}' OR 'write' = ANY (may.scopes));
  may.administers := may.role = 'owner' AND (may.scopes = '{}' OR 'admin' = ANY (may.scopes));
  may.sees := CASE app.current_purpose()
    WHEN 'read' THEN may.reads
    WHEN 'edit' THEN may.reads OR may.writes OR may.administers
    ELSE false
  END;
  RETURN may;
END
$$;

-- Whether this transaction restores or imports the project, as shown by an audit row that it added.
CREATE OR REPLACE FUNCTION app.restores(p_project uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT EXISTS (
    SELECT FROM app.audit_log l
    WHERE l.project_id = p_project AND l.at = now() AND l.xact = pg_current_xact_id_if_assigned()
      AND l.action IN ('backup.restored', 'bank.imported', 'project.restored')
  )
$$;

-- The project, if an owner whose key may administer but not write restores a backup.
CREATE OR REPLACE FUNCTION app.restored_project() RETURNS uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project constant uuid := app.current_project_id();
BEGIN
  RETURN CASE WHEN (app.current_access()).administers AND app.restores(project) THEN project END;
END
$$;

RESET ROLE;

-- The role of the user in the project, or none.
CREATE OR REPLACE FUNCTION app.current_project_role() RETURNS public.project_role
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (app.current_access()).role;

-- The same as project ids. Each runs once per statement, since the policies wrap it in (SELECT …).
CREATE OR REPLACE FUNCTION app.joined_project() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN (app.current_access()).role IS NOT NULL THEN app.current_project_id() END;

CREATE OR REPLACE FUNCTION app.readable_project() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN (app.current_access()).sees THEN app.current_project_id() END;

CREATE OR REPLACE FUNCTION app.owned_project() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN (app.current_access()).administers THEN app.current_project_id() END;

CREATE OR REPLACE FUNCTION app.writable_project() RETURNS uuid
LANGUAGE sql STABLE
RETURN CASE WHEN (app.current_access()).writes THEN app.current_project_id() ELSE app.restored_project() END;

-- Rows that may be locked for a change or deletion.
CREATE OR REPLACE FUNCTION app.lockable_project() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN (app.current_access()).writes THEN app.current_project_id() ELSE app.owned_project() END;

-- Whether the current user created the document and nobody else touched it: all versions since it was created (or brought back
-- after a deletion) are of this user, none is missing, and the last one is the row. Such a document an editor may delete, too,
-- in a transaction of the tool `history`, as app.current_change (003) names it: to take back what it did. A caller learns only
-- of versions that it may read.
CREATE OR REPLACE FUNCTION app.is_own_creation(p_project uuid, p_document uuid, p_version bigint, p_etag text) RETURNS boolean
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce(
    split_part(split_part(current_setting('app.current_change', true), '|', 2), '-', 1) = 'history'
      AND max(v.version) = p_version AND count(*) = p_version - min(v.version) + 1
      AND bool_and(v.user_id IS NOT DISTINCT FROM app.current_user_id())
      AND (array_agg(v.former_etag ORDER BY v.version))[1] IS NULL
      AND (array_agg(v.kind ORDER BY v.version))[1] <> 'changed'
      AND (array_agg(v.etag ORDER BY v.version DESC))[1] = p_etag,
    false)
  FROM app.document_versions v
  WHERE v.project_id = p_project AND v.document_id = p_document AND v.version > coalesce((
    SELECT max(d.version) FROM app.document_versions d
    WHERE d.project_id = p_project AND d.document_id = p_document AND d.kind = 'deleted'), -1)
$$;

-- The same of an entity or an observation of the graph: all its changes since it was created are of this user, and an entity has
-- neither observations nor relations.
CREATE OR REPLACE FUNCTION app.is_own_item(p_project uuid, p_entity text, p_id text) RETURNS boolean
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce(
    split_part(split_part(current_setting('app.current_change', true), '|', 2), '-', 1) = 'history'
      AND bool_and(h.user_id IS NOT DISTINCT FROM app.current_user_id())
      AND (array_agg(h.change ORDER BY h.number))[1] = 'created'
      AND (p_entity <> p_id OR NOT (
        EXISTS (SELECT FROM public.graph_observations o WHERE o.project_id = p_project AND o.entity_id = p_entity)
        OR EXISTS (SELECT FROM public.graph_relations r WHERE r.project_id = p_project AND r.from_entity_id = p_entity)
        OR EXISTS (SELECT FROM public.graph_relations r WHERE r.project_id = p_project AND r.to_entity_id = p_entity))),
    false)
  FROM app.graph_history h
  WHERE h.project_id = p_project AND h.entity_id = p_entity AND h.id = p_id
    AND h.kind = CASE WHEN p_entity = p_id THEN 'entity' ELSE 'observation' END AND h.number > coalesce((
    SELECT max(d.number) FROM app.graph_history d
    WHERE d.project_id = p_project AND d.entity_id = p_entity AND d.id = p_id AND d.change = 'deleted'), -1)
$$;

-- Whether the key may give these scopes to another key: only scopes that it has.
CREATE OR REPLACE FUNCTION app.may_give(p_scopes text[]) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (app.current_access()).scopes OPERATOR(pg_catalog.=) '{}'::pg_catalog.text[]
  OR (p_scopes OPERATOR(pg_catalog.<>) '{}'::pg_catalog.text[]
    AND p_scopes OPERATOR(pg_catalog.<@) (app.current_access()).scopes);

-- Raises the error of an invalid context; without it forbidden rows would look like missing ones.
CREATE OR REPLACE FUNCTION app.expect_access() RETURNS void
LANGUAGE plpgsql STABLE
AS $$
DECLARE
  may constant app.access := app.current_access();
BEGIN
  -- No name is resolved by the search_path of the session, operators included.
  IF may.role IS NULL OR (app.current_purpose() OPERATOR(pg_catalog.=) 'read' AND NOT may.reads) THEN
    RAISE EXCEPTION 'the caller may not read this project' USING ERRCODE = 'insufficient_privilege';
  END IF;
END
$$;

DO $$
DECLARE
  one record;
BEGIN
  FOR one IN
    SELECT p.oid::regprocedure AS signature, p.proowner::regrole::text AS owner,
      p.proname IN ('restores', 'is_operator') AS inside
    FROM pg_catalog.pg_proc p
    WHERE p.pronamespace = 'app'::regnamespace AND p.proname IN (
      'current_user_id', 'current_project_id', 'current_key_id', 'current_key_hash', 'current_purpose', 'is_operator',
      'current_access', 'current_project_role', 'restores', 'restored_project', 'joined_project', 'readable_project',
      'writable_project', 'owned_project', 'lockable_project', 'is_own_creation', 'is_own_item', 'may_give', 'expect_access')
  LOOP
    IF one.owner = 'app_definer' THEN
      SET LOCAL ROLE app_definer;
    END IF;
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', one.signature);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO app_definer', one.signature);
    IF NOT one.inside THEN
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO app_user, app_server', one.signature);
    END IF;
    RESET ROLE;
  END LOOP;
END
$$;

-- One policy per table and right. Policies of the same name are replaced, so that this file can be run again.
DO $$
DECLARE
  one record;
  served text;
BEGIN
  FOR one IN
    SELECT * FROM (VALUES
      -- The context is read and verified in one sub-query: between two of them a statement could change it.
      ('public.users', 'own_select', 'SELECT',
        'id = (SELECT CASE WHEN app.joined_project() IS NOT NULL THEN app.current_user_id() END)', NULL),
      ('public.users', 'owner_select', 'SELECT',
        'id IN (SELECT m.user_id FROM public.memberships m WHERE m.project_id = (SELECT app.owned_project()))', NULL),
      ('public.projects', 'member_select', 'SELECT', 'id = (SELECT app.joined_project())', NULL),
      ('public.memberships', 'own_select', 'SELECT',
        '(project_id, user_id) = (SELECT app.joined_project(), app.current_user_id())', NULL),
      ('public.memberships', 'owner_select', 'SELECT', 'project_id = (SELECT app.owned_project())', NULL),
      ('public.api_keys', 'owner_select', 'SELECT', 'project_id = (SELECT app.owned_project())', NULL),
      ('public.api_keys', 'owner_insert', 'INSERT', NULL,
        'project_id = (SELECT app.owned_project()) AND user_id = (SELECT app.current_user_id()) AND app.may_give(scopes) '
        'AND grant_id IS NULL AND NOT EXISTS (SELECT FROM app.oauth_grants g '
        'WHERE g.project_id = api_keys.project_id AND g.id = (SELECT app.current_key_id()) '
        'AND (g.client_id <> ''memory-bank-console'' OR g.issuer IS NOT NULL))'),
      -- The token of an application makes and changes no keys: a key would outlive it, and what its user can take back. The web
      -- console is a client, too, and its session is its user's own.
      ('public.api_keys', 'owner_update', 'UPDATE', 'project_id = (SELECT app.owned_project()) AND grant_id IS NULL '
        'AND NOT EXISTS (SELECT FROM app.oauth_grants g '
        'WHERE g.project_id = api_keys.project_id AND g.id = (SELECT app.current_key_id()) '
        'AND (g.client_id <> ''memory-bank-console'' OR g.issuer IS NOT NULL))',
        'project_id = (SELECT app.owned_project()) AND grant_id IS NULL'),
      ('public.sessions', 'own_select', 'SELECT',
        '(project_id, user_id) = (SELECT app.joined_project(), app.current_user_id())', NULL),
      ('public.mcp_events', 'own_select', 'SELECT',
        'project_id = (SELECT app.joined_project()) '
        'AND (project_id, user_id, needs) IN (SELECT app.joined_project(), app.current_user_id(), n::smallint '
        'FROM generate_series(0, 7) AS n, app.current_access() AS a '
        'WHERE n & (7 - a.reads::int - a.writes::int * 2 - a.administers::int * 4) = 0)',
        NULL),
      ('app.project_state', 'own_select', 'SELECT',
        '(project_id, user_id) = (SELECT app.joined_project(), app.current_user_id())', NULL),
      ('app.project_state', 'own_insert', 'INSERT', NULL,
        '(project_id, user_id) = (SELECT app.joined_project(), app.current_user_id())'),
      ('app.project_state', 'own_update', 'UPDATE',
        '(project_id, user_id) = (SELECT app.joined_project(), app.current_user_id())',
        '(project_id, user_id) = (SELECT app.joined_project(), app.current_user_id())'),
      -- Only app.prune_backups deletes a backup, and only the oldest.
      ('app.backups', 'member_select', 'SELECT', 'project_id = (SELECT app.readable_project())', NULL),
      ('app.backups', 'editor_insert', 'INSERT', NULL, 'project_id = (SELECT app.writable_project())'),
      ('app.backup_items', 'member_select', 'SELECT', 'project_id = (SELECT app.readable_project())', NULL),
      ('app.backup_items', 'editor_insert', 'INSERT', NULL, 'project_id = (SELECT app.writable_project())'),
      ('app.document_versions', 'member_select', 'SELECT', 'project_id = (SELECT app.readable_project())', NULL),
      ('app.graph_history', 'member_select', 'SELECT', 'project_id = (SELECT app.readable_project())', NULL),
      ('app.graph_versions', 'member_select', 'SELECT', 'project_id = (SELECT app.readable_project())', NULL),
      ('app.graph_changes', 'member_select', 'SELECT', 'project_id = (SELECT app.readable_project())', NULL),
      ('app.stored_bytes', 'member_select', 'SELECT', 'project_id = (SELECT app.joined_project())', NULL),
      ('app.vector_sets', 'member_select', 'SELECT', 'project_id = (SELECT app.readable_project())', NULL),
      ('app.vectors', 'member_select', 'SELECT', 'project_id = (SELECT app.readable_project())', NULL),
      ('app.audit_log', 'owner_select', 'SELECT', 'project_id = (SELECT app.owned_project())', NULL),
      ('app.call_hours', 'owner_select', 'SELECT', 'project_id = (SELECT app.owned_project())', NULL),
      ('app.oauth_grants', 'own_select', 'SELECT',
        '(project_id, user_id) = (SELECT app.joined_project(), app.current_user_id())', NULL),
      ('app.oauth_codes', 'own_select', 'SELECT', 'project_id = (SELECT app.joined_project()) AND grant_id IN '
        '(SELECT g.id FROM app.oauth_grants g WHERE g.project_id = oauth_codes.project_id)', NULL),
      ('app.oauth_refresh_tokens', 'own_select', 'SELECT', 'project_id = (SELECT app.joined_project()) AND grant_id IN '
        '(SELECT g.id FROM app.oauth_grants g WHERE g.project_id = oauth_refresh_tokens.project_id)', NULL)
    ) AS fixed (tab, policy, cmd, using_expr, check_expr)
    UNION ALL
    -- The shared policies: members read, editors write, owners delete.
    SELECT tab, policy, cmd, using_expr, check_expr
    FROM unnest(ARRAY[
      'public.documents', 'public.graph_entities', 'public.graph_observations', 'public.graph_relations', 'app.files'
    ]) AS tab,
    LATERAL (VALUES
      ('member_select', 'SELECT', 'project_id = (SELECT app.readable_project())', NULL),
      ('editor_insert', 'INSERT', NULL, 'project_id = (SELECT app.writable_project())'),
      ('editor_update', 'UPDATE', 'project_id = (SELECT app.lockable_project())',
        'project_id = (SELECT app.writable_project())'),
      -- Removing a link is a write; only an owner may delete a document, an entity or an observation. An editor who takes
      -- back what it did may delete what it created and nobody else touched.
      ('delete', 'DELETE', CASE tab WHEN 'public.graph_relations' THEN 'project_id = (SELECT app.writable_project())'
        WHEN 'public.documents' THEN 'project_id = (SELECT app.owned_project()) OR (project_id = (SELECT app.writable_project()) '
          'AND app.is_own_creation(project_id, id, version, etag))'
        WHEN 'public.graph_entities' THEN 'project_id = (SELECT app.owned_project()) OR (project_id = (SELECT app.writable_project()) '
          'AND app.is_own_item(project_id, id, id))'
        WHEN 'public.graph_observations' THEN 'project_id = (SELECT app.owned_project()) OR (project_id = (SELECT app.writable_project()) '
          'AND app.is_own_item(project_id, entity_id, id))'
        ELSE 'project_id = (SELECT app.owned_project())' END, NULL)
    ) AS rights (policy, cmd, using_expr, check_expr)
  LOOP
    IF one.tab = 'public.mcp_events' THEN
      SET LOCAL ROLE app_definer;
    END IF;
    EXECUTE format('DROP POLICY IF EXISTS %I ON %s', one.policy, one.tab);
    EXECUTE format('CREATE POLICY %I ON %s FOR %s TO app_user', one.policy, one.tab, one.cmd)
      || coalesce(' USING (' || one.using_expr || ')', '')
      || coalesce(' WITH CHECK (' || one.check_expr || ')', '');
    RESET ROLE;
  END LOOP;

  -- The tables that functions serve: those of 003 that serve many tenants at once; only they act as app_definer.
  FOREACH served IN ARRAY ARRAY[
    'public.users', 'public.projects', 'public.memberships', 'public.api_keys', 'public.sessions', 'public.mcp_events',
    'app.backups', 'app.document_versions', 'app.graph_versions', 'app.graph_changes', 'app.graph_history', 'app.stored_bytes', 'app.call_hours', 'app.history_bounds', 'app.log_history', 'app.mcp_events_default',
    'app.vector_sets', 'app.vectors', 'app.oauth_grants', 'app.oauth_codes', 'app.oauth_refresh_tokens', 'app.oauth_clients',
    'app.oauth_sign_ins', 'app.oauth_login_codes', 'app.oauth_assertions', 'app.issuers', 'app.identities', 'app.barred_identities', 'app.mapped_members'
  ] LOOP
    IF served IN ('public.mcp_events', 'app.mcp_events_default') THEN
      SET LOCAL ROLE app_definer;
    END IF;
    EXECUTE format('DROP POLICY IF EXISTS functions ON %s', served);
    EXECUTE format('CREATE POLICY functions ON %s TO app_definer USING (true) WITH CHECK (true)', served);
    RESET ROLE;
  END LOOP;
  -- The functions read the audit log and add rows; no role has a policy to change a row. No function can delete a row that is
  -- younger than thirty days.
  DROP POLICY IF EXISTS functions_select ON app.audit_log;
  CREATE POLICY functions_select ON app.audit_log FOR SELECT TO app_definer USING (true);
  DROP POLICY IF EXISTS functions_insert ON app.audit_log;
  CREATE POLICY functions_insert ON app.audit_log FOR INSERT TO app_definer WITH CHECK (true);
  DROP POLICY IF EXISTS functions_delete ON app.audit_log;
  CREATE POLICY functions_delete ON app.audit_log FOR DELETE TO app_definer USING (at < now() - interval '30 days');
  -- app.fill_fts sees the granted columns of documents, and writes the search vector.
  DROP POLICY IF EXISTS functions_select ON public.documents;
  CREATE POLICY functions_select ON public.documents FOR SELECT TO app_definer USING (true);
  DROP POLICY IF EXISTS functions_update ON public.documents;
  CREATE POLICY functions_update ON public.documents FOR UPDATE TO app_definer USING (fts IS NULL) WITH CHECK (true);
  DROP POLICY IF EXISTS server_select ON public.schema_migrations;
  CREATE POLICY server_select ON public.schema_migrations FOR SELECT TO app_server USING (true);
END
$$;

INSERT INTO public.schema_migrations (version) VALUES ('002_policies') ON CONFLICT DO NOTHING;

COMMIT;
