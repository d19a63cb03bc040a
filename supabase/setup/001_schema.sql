-- 001: roles, types and all tables. The ten tables of docs/deployment-guide.md are in schema public, all others in schema app,
-- so that dropping it removes them.
--
-- Works on PostgreSQL 15 to 18 and on Supabase; run by psql -f, by a container's init folder, by an SQL editor or by
-- the server. It can be run again at any time: existing objects are not changed.
-- The role that runs it must be allowed to create roles (CREATEROLE is enough), unless the three roles exist. It must also own
-- the database, or be allowed to create schemas in it and tables in schema public, and to grant the latter to others.

BEGIN;
SET LOCAL client_min_messages = warning;
-- Settings of the role or the database must not change how names are resolved or written here.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL quote_all_identifiers = off;
SET LOCAL row_security = on;

-- A table of the same name that belongs to another program is neither used nor changed.
DO $$
DECLARE
  ours boolean := false;
  ancient boolean := false;
  others text;
  owner oid;
BEGIN
  IF to_regclass('public.schema_migrations') IS NOT NULL THEN
    EXECUTE 'SELECT EXISTS (SELECT FROM public.schema_migrations WHERE version::text = ''001_schema'')' INTO ours;
  END IF;
  SELECT string_agg(name, ', ') INTO others
  FROM unnest(ARRAY['schema_migrations', 'users', 'projects', 'memberships', 'api_keys', 'documents', 'graph_entities',
    'graph_observations', 'graph_relations', 'mcp_events', 'sessions']) AS name
  WHERE to_regclass('public.' || name) IS NOT NULL;
  IF others IS NOT NULL AND NOT ours THEN
    RAISE EXCEPTION 'schema public holds tables of another program: %', others
      USING HINT = 'give memory-bank-mcp a database (on Supabase: a project) of its own';
  END IF;
  -- The same applies to schema app and the type: 002 revokes rights on all objects of the schema, and a rollback drops it.
  IF NOT ours THEN
    SELECT string_agg(o.name, ', ') INTO others FROM (
      SELECT 'table ' || c.oid::regclass AS name FROM pg_catalog.pg_class c
      WHERE c.relnamespace = to_regnamespace('app') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      UNION ALL
      SELECT 'function ' || p.oid::regprocedure FROM pg_catalog.pg_proc p WHERE p.pronamespace = to_regnamespace('app')
      UNION ALL
      SELECT 'type ' || t.oid::regtype FROM pg_catalog.pg_type t WHERE t.typelem = 0 AND t.typrelid = 0 AND (
        t.typnamespace = to_regnamespace('app')
        OR t.typnamespace = to_regnamespace('public') AND t.typname = 'project_role')
      LIMIT 10
    ) AS o;
    IF others IS NOT NULL THEN
      RAISE EXCEPTION 'the database holds what belongs to another program: %', others
        USING HINT = 'give memory-bank-mcp a database (on Supabase: a project) of its own; if nobody needs what is left, '
          'DROP SCHEMA IF EXISTS app CASCADE and DROP TYPE IF EXISTS public.project_role, then apply this script once more';
    END IF;
    -- The owner of a schema may drop and shadow all objects in it.
    SELECT n.nspowner INTO owner FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner
    WHERE n.nspname = 'app' AND NOT r.rolsuper AND r.rolname NOT IN (current_user, 'pg_database_owner')
      AND r.oid <> (SELECT d.datdba FROM pg_catalog.pg_database d WHERE d.datname = current_database());
    IF owner IS NOT NULL THEN
      RAISE EXCEPTION 'schema app belongs to role %', owner::regrole
        USING ERRCODE = 'insufficient_privilege', HINT = 'DROP SCHEMA app, or ALTER SCHEMA app OWNER TO the role that runs this';
    END IF;
  END IF;
  -- A database of a version before 2.0 is not changed. That version had nine scripts, and the first three had the names
  -- of these.
  IF ours THEN
    EXECUTE 'SELECT EXISTS (SELECT FROM public.schema_migrations WHERE version::text ~ ''^00[4-9]_'')' INTO ancient;
  END IF;
  IF ours AND (ancient OR NOT EXISTS (
    SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'app' AND c.relname = 'files'
  )) THEN
    RAISE EXCEPTION 'this database was made before memory-bank-mcp 2.0'
      USING HINT = 'export each project with the version that made it, then import it into a new database';
  END IF;
END
$$;

-- Three group roles, none of which can log in:
--   app_user     the role of every statement on a project's data; limited by the policies of 002
--   app_server   the group of the server's login role: may become app_user and call the functions of 003
--   app_definer  owns those functions; only they act as it
DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['app_user', 'app_server', 'app_definer'] LOOP
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
      BEGIN
        -- NOINHERIT: on PostgreSQL 15 this prevents members of app_server from having app_user's rights
        -- without SET ROLE.
        EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT', wanted);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- Roles belong to the whole cluster: another database's migration was faster.
      END;
    END IF;
  END LOOP;
END
$$;

-- The role that runs this also serves, unless another login role becomes a member of app_server; and it must be able to
-- create functions that belong to app_definer. A superuser needs no grant. Since 16 a role that may create roles is not a
-- member of the roles that it creates, so it is granted the membership that SET LOCAL ROLE needs, and no more.
DO $$
DECLARE
  modern constant boolean := current_setting('server_version_num')::integer >= 160000;
  set_only constant text := CASE WHEN modern THEN ' WITH INHERIT FALSE, SET TRUE' ELSE '' END;
  superuser constant boolean := (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user);
  owns_public constant boolean := (
    SELECT pg_has_role(current_user, n.nspowner, 'USAGE') FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public');
  wanted text;
  full_member boolean;
BEGIN
  -- A new owner of a table must be allowed to create tables in its schema while the ownership changes (002).
  IF NOT superuser AND NOT owns_public AND NOT has_schema_privilege('app_definer', 'public', 'CREATE')
    AND NOT has_schema_privilege(current_user, 'public', 'CREATE WITH GRANT OPTION') THEN
    RAISE EXCEPTION 'role % does not own schema public, and cannot give others the right to create tables in it', current_user
      USING ERRCODE = 'insufficient_privilege', HINT = format('run this as the owner of the database, or first, as the owner of the schema: '
        'GRANT CREATE ON SCHEMA public TO %I WITH GRANT OPTION', current_user);
  END IF;
  IF modern THEN
    IF NOT EXISTS (
      SELECT FROM pg_catalog.pg_auth_members
      WHERE roleid = 'app_user'::regrole AND member = 'app_server'::regrole
    ) THEN
      EXECUTE 'GRANT app_user TO app_server' || set_only;
    END IF;
  ELSIF NOT pg_has_role('app_server', 'app_user', 'MEMBER') THEN
    GRANT app_user TO app_server;
  END IF;
  IF NOT superuser THEN
    FOREACH wanted IN ARRAY ARRAY['app_user', 'app_server', 'app_definer'] LOOP
      -- A role that does not own schema public drops the table of app_definer in it as that table's owner.
      full_member := wanted = 'app_server' OR wanted = 'app_definer' AND NOT owns_public;
      IF NOT pg_has_role(current_user, wanted, CASE WHEN modern THEN 'SET' ELSE 'MEMBER' END)
        OR (full_member AND NOT pg_has_role(current_user, wanted, 'USAGE')) THEN
        EXECUTE format('GRANT %I TO %I', wanted, current_user)
          || CASE WHEN full_member AND modern THEN ' WITH INHERIT TRUE, SET TRUE' ELSE set_only END;
      END IF;
    END LOOP;
  END IF;
EXCEPTION WHEN unique_violation OR serialization_failure THEN
  RAISE EXCEPTION 'another migration grants the same roles at this moment; run this again'
    USING ERRCODE = 'serialization_failure';
END
$$;

CREATE SCHEMA IF NOT EXISTS app;

DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_type WHERE typname = 'project_role' AND typnamespace = 'public'::regnamespace
  ) THEN
    CREATE TYPE public.project_role AS ENUM ('owner', 'editor', 'viewer');
  END IF;
END
$$;

-- The rights of a transaction's caller: the role in the project, the visibility by the purpose of the transaction, and
-- each right that role and scopes give. app.current_access (002) returns it.
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_type WHERE typname = 'access' AND typnamespace = 'app'::regnamespace
  ) THEN
    CREATE TYPE app.access AS (
      role public.project_role, scopes text[], sees boolean, reads boolean, writes boolean, administers boolean
    );
  END IF;
END
$$;

-- Every tenant table has project_id in its primary key, in each unique constraint and in each foreign key to another tenant
-- table, so that projects can be distributed over several machines by project_id (as Citus does). The exceptions:
--   users                      belong to no project; id, name and email are unique over all of them
--   projects                   their id is the project_id of all others; slug is unique over all of them
--   api_keys (key_hash)        a key is found by it before its project is known
--   oauth_clients, oauth_sign_ins, oauth_login_codes   belong to no project; only functions of 003 reach them
--   oauth_assertions                                   the same
--   issuers, identities, barred_identities             the same
-- A foreign key to users or projects contains their id only. A test reads the catalog and checks this for every table.
CREATE TABLE IF NOT EXISTS public.schema_migrations (
  version    text PRIMARY KEY,
  applied_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.users (
  id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name       text NOT NULL UNIQUE CHECK (name <> '' AND octet_length(name) <= 255),
  email      text UNIQUE CHECK (octet_length(email) <= 320),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.projects (
  id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  owner_id   uuid NOT NULL REFERENCES public.users (id),
  name       text NOT NULL CHECK (name <> '' AND octet_length(name) <= 255),
  slug       text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9._-]{0,98}[a-z0-9])?$'),
  settings   jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS projects_owner_idx ON public.projects (owner_id);

CREATE TABLE IF NOT EXISTS public.memberships (
  user_id    uuid NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  project_id uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
  role       public.project_role NOT NULL DEFAULT 'viewer',
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (user_id, project_id)
);
-- Both columns: the check of a foreign key to a membership may choose any index that begins with one of them, when the
-- statistics of the table do not differ between them.
CREATE INDEX IF NOT EXISTS memberships_members_idx ON public.memberships (project_id, user_id);
DROP INDEX IF EXISTS public.memberships_project_idx;

-- What a user gave to a client with OAuth, in one project: the rights, and until when. To the rest of the schema a grant acts
-- as a key does, under its own id, and its access tokens are its secrets: rows of api_keys with its id in grant_id, which
-- change every hour. It has no more rights than its row says, whatever its tokens say.
CREATE TABLE IF NOT EXISTS app.oauth_grants (
  project_id   uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
  id           uuid NOT NULL,
  user_id      uuid NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  client_id    text NOT NULL CHECK (octet_length(client_id) BETWEEN 1 AND 2048),
  client_name  text NOT NULL CHECK (octet_length(client_name) BETWEEN 1 AND 512),
  -- Where the answers go: the host of the redirect URI.
  client_host  text NOT NULL CHECK (octet_length(client_host) BETWEEN 1 AND 255),
  scopes       text[] NOT NULL CHECK (scopes <> '{}' AND scopes <@ ARRAY['read', 'write', 'admin']),
  resource     text NOT NULL CHECK (octet_length(resource) BETWEEN 1 AND 2048),
  rate_limit   integer NOT NULL DEFAULT 60 CHECK (rate_limit >= 0),
  -- The key that its user signed in with: the grant ends with it. A key that is gone is only an id here.
  by_key       uuid,
  -- The outside identity that its user signed in with: the grant ends with it.
  by_identity  uuid,
  created_at   timestamptz NOT NULL DEFAULT now(),
  refreshed_at timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz,
  revoked_at   timestamptz,
  revoked_for  text CHECK (revoked_for IN (
    'user', 'client', 'operator', 'member', 'key', 'identity', 'code_reuse', 'token_reuse', 'many')),
  PRIMARY KEY (project_id, id),
  CHECK ((revoked_at IS NULL) = (revoked_for IS NULL))
);
-- A table that an earlier script of this version made knows no outside identities.
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = 'app.oauth_grants'::regclass AND a.attname = 'by_identity' AND NOT a.attisdropped
  ) THEN
    ALTER TABLE app.oauth_grants ADD COLUMN by_identity uuid,
      DROP CONSTRAINT oauth_grants_revoked_for_check, ADD CONSTRAINT oauth_grants_revoked_for_check CHECK (revoked_for IN (
        'user', 'client', 'operator', 'member', 'key', 'identity', 'code_reuse', 'token_reuse', 'many'));
  END IF;
END
$$;
CREATE INDEX IF NOT EXISTS oauth_grants_by_identity_idx ON app.oauth_grants (by_identity) WHERE by_identity IS NOT NULL;
CREATE INDEX IF NOT EXISTS oauth_grants_user_idx ON app.oauth_grants (user_id, project_id);
-- Commands and pages name a grant by its id alone.
CREATE INDEX IF NOT EXISTS oauth_grants_id_idx ON app.oauth_grants (id);
CREATE INDEX IF NOT EXISTS oauth_grants_by_key_idx ON app.oauth_grants (project_id, by_key) WHERE by_key IS NOT NULL;

-- The table stores the SHA-256 and the beginning of a key, not the key. No scopes: all rights of the user's role.
-- A row with a grant_id is an access token of that grant.
CREATE TABLE IF NOT EXISTS public.api_keys (
  id           uuid NOT NULL DEFAULT gen_random_uuid(),
  user_id      uuid NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  project_id   uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
  key_hash     bytea NOT NULL UNIQUE CHECK (octet_length(key_hash) = 32),
  key_prefix   varchar(16) NOT NULL,
  label        text CHECK (octet_length(label) <= 1024),
  scopes       text[] NOT NULL DEFAULT '{}' CHECK (scopes <@ ARRAY['read', 'write', 'admin']),
  rate_limit   integer NOT NULL DEFAULT 60 CHECK (rate_limit >= 0),
  last_used_at timestamptz,
  expires_at   timestamptz,
  created_at   timestamptz NOT NULL DEFAULT now(),
  revoked_at   timestamptz,
  grant_id     uuid,
  PRIMARY KEY (project_id, id),
  FOREIGN KEY (project_id, grant_id) REFERENCES app.oauth_grants (project_id, id) ON DELETE CASCADE,
  -- A token always expires, and never has all that a role grants.
  CONSTRAINT api_keys_tokens CHECK (grant_id IS NULL OR (expires_at IS NOT NULL AND scopes <> '{}')),
  -- The server cannot read 'infinity', and such a value would hide all keys of the project. A key that does not expire has
  -- NULL.
  CONSTRAINT api_keys_moments CHECK (
    least(last_used_at, expires_at, created_at, revoked_at) >= '0001-01-01 00:00+00'
    AND greatest(last_used_at, expires_at, created_at, revoked_at) < '9999-01-01 00:00+00')
);
-- An operator's commands name a key by its id alone.
-- A table that an earlier script of this version made knows no tokens.
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = 'public.api_keys'::regclass AND a.attname = 'grant_id' AND NOT a.attisdropped
  ) THEN
    ALTER TABLE public.api_keys ADD COLUMN grant_id uuid,
      ADD FOREIGN KEY (project_id, grant_id) REFERENCES app.oauth_grants (project_id, id) ON DELETE CASCADE,
      ADD CONSTRAINT api_keys_tokens CHECK (grant_id IS NULL OR (expires_at IS NOT NULL AND scopes <> '{}'));
  END IF;
END
$$;
CREATE INDEX IF NOT EXISTS api_keys_id_idx ON public.api_keys (id);
CREATE INDEX IF NOT EXISTS api_keys_user_idx ON public.api_keys (user_id);
CREATE INDEX IF NOT EXISTS api_keys_project_idx ON public.api_keys (project_id, created_at);
CREATE INDEX IF NOT EXISTS api_keys_grant_idx ON public.api_keys (project_id, grant_id) WHERE grant_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS api_keys_tokens_idx ON public.api_keys (expires_at) WHERE grant_id IS NOT NULL;

CREATE TABLE IF NOT EXISTS public.documents (
  id         uuid NOT NULL DEFAULT gen_random_uuid(),
  project_id uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
  -- The server parses names; the database checks them for every writer: a plain path below the bank, with `/` between
  -- its folders, and without backslashes. Each edit parses the condition, so it is short.
  path       text COLLATE "C" NOT NULL CHECK (octet_length(path) <= 255 AND path !~ E'(^|/)[.]{0,2}(/|$)|\\\\'),
  content    text NOT NULL DEFAULT '' CHECK (octet_length(content) <= 16777216),
  etag       text COLLATE "C" NOT NULL,
  version    bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  -- The words of content, by app.document_fts (003). NULL: not computed yet. A write never computes it: the trigger
  -- mark_fts_stale sets it to NULL, and app.fill_fts fills it later. So a vector always matches the content.
  fts        tsvector,
  -- The name in lower case, of ASCII letters only, as the column compares by bytes. Policies let no index on the expression serve.
  path_low   text COLLATE "C" NOT NULL GENERATED ALWAYS AS (lower(path)) STORED,
  PRIMARY KEY (project_id, id),
  UNIQUE (project_id, path)
);
-- A table that an earlier script of this version made has no names in lower case. This writes it anew, with all its indexes.
ALTER TABLE public.documents
  ADD COLUMN IF NOT EXISTS path_low text COLLATE "C" NOT NULL GENERATED ALWAYS AS (lower(path)) STORED;
-- For app.open_documents: names with capitals, which are few in most projects.
CREATE INDEX IF NOT EXISTS documents_capitals_idx ON public.documents (project_id, path_low) INCLUDE (path) WHERE path <> path_low;
-- Both are partial, so that writing a document whose vector is not computed touches no word of the GIN index. A change of
-- a document that is stale already changes no indexed column, so it stays a HOT update.
CREATE INDEX IF NOT EXISTS documents_fts_idx ON public.documents USING gin (fts) WHERE fts IS NOT NULL;
CREATE INDEX IF NOT EXISTS documents_stale_idx ON public.documents (id) WHERE fts IS NULL;
-- Statistics of words would cover all projects, and the planner's estimates would reveal them to each project.
ALTER TABLE public.documents ALTER COLUMN fts SET STATISTICS 0;
ALTER TABLE public.documents ALTER COLUMN path_low SET STATISTICS 0;

-- An edit compresses the text again; lz4 takes a sixteenth of the time of the default method. PostgreSQL without lz4 keeps
-- the default method.
DO $$
BEGIN
  IF EXISTS (
    SELECT FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = 'public.documents'::regclass AND a.attname = 'content' AND a.attcompression = ''
  ) THEN
    ALTER TABLE public.documents ALTER COLUMN content SET COMPRESSION lz4;
  END IF;
EXCEPTION WHEN feature_not_supported THEN
  NULL;
END
$$;

-- Ids are derived from names (`ent_…`), so two projects may have the same id; seq is the order of storage. attrs is
-- json, not jsonb: an export has the members in their original order.
CREATE TABLE IF NOT EXISTS public.graph_entities (
  project_id  uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
  id          text COLLATE "C" NOT NULL,
  seq         bigint GENERATED BY DEFAULT AS IDENTITY,
  name        text NOT NULL,
  name_key    text COLLATE "C" NOT NULL,
  entity_type text NOT NULL,
  attrs       json,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project_id, id)
);
-- Partial, so that only searches by name can use it. After ANALYZE of an emptied table all indexes look equally cheap, and the
-- checks of foreign keys of a restore would read all entities of the project for each observation.
CREATE INDEX IF NOT EXISTS graph_entities_key_idx ON public.graph_entities (project_id, name_key) WHERE name_key IS NOT NULL;
DROP INDEX IF EXISTS public.graph_entities_name_idx, public.graph_entities_seq_idx;

-- timestamp is the original text, since ids are derived from it; at is the same time in milliseconds since 1970.
CREATE TABLE IF NOT EXISTS public.graph_observations (
  project_id  uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
  id          text COLLATE "C" NOT NULL,
  entity_id   text COLLATE "C" NOT NULL,
  seq         bigint GENERATED BY DEFAULT AS IDENTITY,
  content     text NOT NULL,
  source      json,
  "timestamp" text NOT NULL,
  at          bigint NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now(),
  -- Finds a repeated fact: a text may be too long for an index, and row-level security prevents the use of an index on an
  -- expression.
  content_hash bigint GENERATED ALWAYS AS (hashtextextended(content, 0)) STORED,
  PRIMARY KEY (project_id, id),
  FOREIGN KEY (project_id, entity_id) REFERENCES public.graph_entities (project_id, id) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS graph_observations_entity_idx
  ON public.graph_observations (project_id, entity_id, at DESC, seq DESC);
-- By the hash first: beside the index above, one that begins with the entity would be chosen for its newest facts, and sort all of them.
DROP INDEX IF EXISTS public.graph_observations_fact_idx;
CREATE INDEX IF NOT EXISTS graph_observations_hash_idx
  ON public.graph_observations (project_id, content_hash, entity_id, seq);
-- From when until when a fact holds, and the ids of facts of the same entity that it replaces, as the log of a folder has them; null
-- for most facts. The other columns are made of it: the first moment, and the first one after the last, in milliseconds since 1970;
-- the replaced facts.
ALTER TABLE public.graph_observations ADD COLUMN IF NOT EXISTS bounds json;
ALTER TABLE public.graph_observations ADD COLUMN IF NOT EXISTS starts_at bigint;
ALTER TABLE public.graph_observations ADD COLUMN IF NOT EXISTS ends_at bigint;
ALTER TABLE public.graph_observations ADD COLUMN IF NOT EXISTS supersedes text[] COLLATE "C";
CREATE INDEX IF NOT EXISTS graph_observations_bounds_idx
  ON public.graph_observations (project_id, entity_id) WHERE ends_at IS NOT NULL OR supersedes IS NOT NULL;

CREATE TABLE IF NOT EXISTS public.graph_relations (
  project_id     uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
  id             text COLLATE "C" NOT NULL,
  from_entity_id text COLLATE "C" NOT NULL,
  to_entity_id   text COLLATE "C" NOT NULL,
  seq            bigint GENERATED BY DEFAULT AS IDENTITY,
  relation_type  text NOT NULL,
  created_at     timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project_id, id),
  FOREIGN KEY (project_id, from_entity_id) REFERENCES public.graph_entities (project_id, id) ON DELETE CASCADE,
  FOREIGN KEY (project_id, to_entity_id) REFERENCES public.graph_entities (project_id, id) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS graph_relations_from_idx ON public.graph_relations (project_id, from_entity_id);
CREATE INDEX IF NOT EXISTS graph_relations_to_idx ON public.graph_relations (project_id, to_entity_id);

-- A statement is planned once for all projects. Beside many small projects the average one has a few rows, and its plan would read the
-- whole of a large project to find one row: with this estimate (used from the next ANALYZE on) an id is looked up.
ALTER TABLE public.graph_entities ALTER COLUMN project_id SET (n_distinct = 50);
ALTER TABLE public.graph_observations ALTER COLUMN project_id SET (n_distinct = 50);
ALTER TABLE public.graph_relations ALTER COLUMN project_id SET (n_distinct = 50);

-- metadata: client info of the handshake.
CREATE TABLE IF NOT EXISTS public.sessions (
  id            uuid NOT NULL,
  user_id       uuid NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  project_id    uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
  metadata      jsonb NOT NULL DEFAULT '{}',
  subscriptions text[] NOT NULL DEFAULT '{}',
  -- The key that used the session last; the session counts against that key. The id of a deleted key may remain.
  key_id        uuid,
  created_at    timestamptz NOT NULL DEFAULT now(),
  last_seen     timestamptz NOT NULL DEFAULT now(),
  expires_at    timestamptz NOT NULL DEFAULT now() + interval '24 hours',
  PRIMARY KEY (project_id, id)
);
CREATE INDEX IF NOT EXISTS sessions_project_idx ON public.sessions (project_id, expires_at);
CREATE INDEX IF NOT EXISTS sessions_expires_idx ON public.sessions (expires_at);
CREATE INDEX IF NOT EXISTS sessions_user_idx ON public.sessions (user_id);

-- An event belongs to the session that it was sent in, and so to that session's user and project. A stream is the
-- reply to one request; place counts its events from 1. needs are the rights that a key must have to see the event, the
-- sum of 1 = read, 2 = write, 4 = admin: the keys of a session's user may have different rights.
--
-- Partitions are ranges of time, in schema app. Functions of 003 create them ahead and drop old ones, so the table belongs
-- to app_definer (002). Events without a partition go into the default one, so an insert never fails. created_at is in the
-- key because PostgreSQL requires it; the server gives each event its time.
DO $$
BEGIN
  IF to_regclass('public.mcp_events') IS NULL THEN
    CREATE TABLE public.mcp_events (
      id         bigint GENERATED ALWAYS AS IDENTITY,
      session_id uuid NOT NULL,
      stream_id  uuid NOT NULL,
      place      bigint NOT NULL,
      last       boolean NOT NULL DEFAULT false,
      user_id    uuid NOT NULL,
      project_id uuid NOT NULL,
      needs      smallint NOT NULL DEFAULT 7 CHECK (needs BETWEEN 0 AND 7),
      message    jsonb NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (project_id, stream_id, place, created_at)
    ) PARTITION BY RANGE (created_at);
    CREATE INDEX mcp_events_session_idx ON public.mcp_events (session_id);
    CREATE INDEX mcp_events_created_idx ON public.mcp_events (created_at);
    CREATE TABLE app.mcp_events_default PARTITION OF public.mcp_events DEFAULT;
    ALTER TABLE public.mcp_events ENABLE ROW LEVEL SECURITY;
    ALTER TABLE app.mcp_events_default ENABLE ROW LEVEL SECURITY;
    -- It compresses faster than the default; a build of PostgreSQL may lack it. Later partitions copy this setting.
    IF 'lz4' = ANY ((SELECT s.enumvals FROM pg_catalog.pg_settings s WHERE s.name = 'default_toast_compression')::text[]) THEN
      ALTER TABLE public.mcp_events ALTER COLUMN message SET COMPRESSION lz4;
      ALTER TABLE app.mcp_events_default ALTER COLUMN message SET COMPRESSION lz4;
    END IF;
  END IF;
END
$$;

-- Mode, "Update Memory Bank" and thinking sessions of one user in one project. json, since jsonb cannot store every
-- string of JSON.
CREATE TABLE IF NOT EXISTS app.project_state (
  user_id    uuid NOT NULL,
  project_id uuid NOT NULL,
  state      json NOT NULL,
  version    bigint NOT NULL DEFAULT 1,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project_id, user_id),
  FOREIGN KEY (user_id, project_id) REFERENCES public.memberships (user_id, project_id) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS project_state_user_idx ON app.project_state (user_id);

CREATE TABLE IF NOT EXISTS app.backups (
  project_id uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
  id         text COLLATE "C" NOT NULL CHECK (octet_length(id) <= 255),
  created_by uuid,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (project_id, id)
);

-- The rows of a backup, one object each.
CREATE TABLE IF NOT EXISTS app.backup_items (
  project_id uuid NOT NULL,
  backup_id  text COLLATE "C" NOT NULL,
  kind       text COLLATE "C" NOT NULL CHECK (kind IN ('document', 'entity', 'observation', 'relation', 'file')),
  key        text COLLATE "C" NOT NULL,
  item       json NOT NULL,
  PRIMARY KEY (project_id, backup_id, kind, key),
  FOREIGN KEY (project_id, backup_id) REFERENCES app.backups (project_id, id) ON DELETE CASCADE
);

-- The parts of a folder's bank other than documents and graph rows, so that an export restores them exactly: files that are
-- not documents, the bytes of documents that are not UTF-8, lines of the graph's log that rows cannot express, and the rules
-- files of the modes.
-- kind: `file` (path in the bank), `bytes` (of the document with this name), `graph` (`lines` and `times`), `rules`
-- (name of the rules file).
CREATE TABLE IF NOT EXISTS app.files (
  project_id  uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
  kind        text COLLATE "C" NOT NULL CHECK (kind IN ('file', 'bytes', 'graph', 'rules')),
  path        text COLLATE "C" NOT NULL CHECK (octet_length(path) BETWEEN 1 AND 1024),
  content     bytea NOT NULL CHECK (octet_length(content) <= 67108864),
  modified_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project_id, kind, path)
);

-- The versions of documents, one row for each committed change, added by triggers (003) in the transaction of the change, and by
-- app.import_versions. Rows are never changed; only app.erase_history, app.thin_versions and app.trim_history delete some. Where a
-- row goes, the next one is stored anew.
--
-- A row has what its change replaced: the text before it is the first `kept_start` bytes of the text after it, then `former`,
-- then its last `kept_end` bytes. If both are 0, `former` is the whole text before. A document that was created has no
-- `former`. A document keeps its id, and counts its versions, through renames, and through deletion and restore.
--
-- Each append adds a row, so there is no foreign key (a trigger removes the rows of a removed project), and no B-tree of all
-- rows beside the primary key. Rows are added in the order of time, so the index of blocks finds old ones for the clean-up.
CREATE TABLE IF NOT EXISTS app.document_versions (
  project_id  uuid NOT NULL,
  document_id uuid NOT NULL,
  version     bigint NOT NULL,
  at          timestamptz NOT NULL,
  user_id     uuid,
  key_id      uuid,
  session_id  uuid,
  bytes       integer NOT NULL,
  kept_start  integer NOT NULL DEFAULT 0,
  kept_end    integer NOT NULL DEFAULT 0,
  kind        text COLLATE "C" NOT NULL,
  tool        text COLLATE "C",
  path        text COLLATE "C" NOT NULL,
  former_path text COLLATE "C",
  etag        text COLLATE "C",
  former_etag text COLLATE "C",
  former      bytea,
  PRIMARY KEY (project_id, document_id, version)
);
-- A version that an import brought (app.import_versions): who imported it, and its author as the source named it. Such a row has
-- no user_id, so it counts as nobody's of this database.
ALTER TABLE app.document_versions ADD COLUMN IF NOT EXISTS imported_by uuid;
ALTER TABLE app.document_versions ADD COLUMN IF NOT EXISTS claimed_author text;
-- Finds the document that had a name last. Few rows are in it.
CREATE INDEX IF NOT EXISTS document_versions_path_idx ON app.document_versions (project_id, path, at) WHERE kind <> 'changed';
CREATE INDEX IF NOT EXISTS document_versions_at_idx ON app.document_versions USING brin (at);
DO $$
BEGIN
  IF EXISTS (
    SELECT FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = 'app.document_versions'::regclass AND a.attname = 'former' AND a.attcompression = ''
  ) THEN
    ALTER TABLE app.document_versions ALTER COLUMN former SET COMPRESSION lz4;
  END IF;
EXCEPTION WHEN feature_not_supported THEN
  NULL;
END
$$;

-- Changes of a project's graph, in commit order, so that a search index can follow by difference.
-- A change of a project's graph locks its row until the commit, so that the order is that of commits.
CREATE TABLE IF NOT EXISTS app.graph_versions (
  project_id uuid PRIMARY KEY REFERENCES public.projects (id) ON DELETE CASCADE,
  version    bigint NOT NULL
);
-- Counts the changed rows, each of which is a change of the history.
ALTER TABLE app.graph_versions ADD COLUMN IF NOT EXISTS changes bigint NOT NULL DEFAULT 0;

-- The history of the graph, one row for each changed row, added by triggers (003) in the transaction of the change. Rows are
-- never changed; only app.erase_graph_history, app.thin_graph_changes and app.trim_history delete some. Only app.import_graph_changes
-- adds others.
--
-- `former` is the row before the change, none if it was created; json, as attributes are. The row after it is the `former` of
-- its next change, or the present row. entity_id: the entity itself, the owner of an observation, the source of a relation;
-- other_id: its target. name_key: of an entity before the change. There is no foreign key: a trigger removes the rows of a removed project.
CREATE TABLE IF NOT EXISTS app.graph_history (
  project_id uuid NOT NULL,
  number     bigint NOT NULL,
  at         timestamptz NOT NULL,
  kind       text COLLATE "C" NOT NULL,
  change     text COLLATE "C" NOT NULL,
  id         text COLLATE "C" NOT NULL,
  entity_id  text COLLATE "C" NOT NULL,
  other_id   text COLLATE "C",
  name_key   text COLLATE "C",
  user_id    uuid,
  key_id     uuid,
  session_id uuid,
  tool       text COLLATE "C",
  former     json,
  PRIMARY KEY (project_id, number)
);
-- A change that an import brought (app.import_graph_changes): who imported it, and its author as the source named it. Such a row has
-- no user_id, so it counts as nobody's of this database.
ALTER TABLE app.graph_history ADD COLUMN IF NOT EXISTS imported_by uuid;
ALTER TABLE app.graph_history ADD COLUMN IF NOT EXISTS claimed_author text;
CREATE INDEX IF NOT EXISTS graph_history_entity_idx ON app.graph_history (project_id, entity_id, id, number);
CREATE INDEX IF NOT EXISTS graph_history_other_idx ON app.graph_history (project_id, other_id, number) WHERE other_id IS NOT NULL;
-- Finds a deleted entity by its name. Few rows are in it.
CREATE INDEX IF NOT EXISTS graph_history_name_idx ON app.graph_history (project_id, name_key, number) WHERE change = 'deleted' AND name_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS graph_history_at_idx ON app.graph_history USING brin (at);

-- Kind and tool are what a transaction claims in app.current_change (003), so their form is checked where they are stored: nobody fills
-- the history with long names, or with words that servers cannot read. Rows of before are not checked.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_constraint c WHERE c.conrelid = 'app.document_versions'::regclass AND c.conname = 'document_versions_claims') THEN
    ALTER TABLE app.document_versions ADD CONSTRAINT document_versions_claims CHECK (
      kind IN ('created', 'changed', 'renamed', 'deleted', 'restored', 'outside', 'foreign')
      AND (tool IS NULL OR tool ~ '^[A-Za-z0-9_-]{1,64}$') AND (former IS NULL OR octet_length(former) <= 16777216)) NOT VALID;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_constraint c WHERE c.conrelid = 'app.graph_history'::regclass AND c.conname = 'graph_history_claims') THEN
    ALTER TABLE app.graph_history ADD CONSTRAINT graph_history_claims CHECK (
      kind IN ('entity', 'observation', 'relation') AND change IN ('created', 'changed', 'deleted')
      AND (tool IS NULL OR tool ~ '^[A-Za-z0-9_-]{1,64}$')) NOT VALID;
  END IF;
END
$$;

-- The last changes of each project: the row, not its contents.
CREATE TABLE IF NOT EXISTS app.graph_changes (
  project_id uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
  version    bigint NOT NULL,
  kind       text COLLATE "C" NOT NULL CHECK (kind IN ('entity', 'observation', 'relation')),
  id         text COLLATE "C" NOT NULL,
  PRIMARY KEY (project_id, version, kind, id)
);

-- The stored bytes of a project, for its quota: documents, snapshots, graph, and other files. Triggers update it. Each
-- connection adds to its own row (slot), so that edits of one project do not wait for each other; the sum counts.
-- The project's own quota is stored in the same table, so that an edit reads both at once; 0 is unlimited. So is the number of
-- its documents, of the kind `document_count`.
CREATE TABLE IF NOT EXISTS app.stored_bytes (
  project_id uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
  slot       smallint NOT NULL,
  kind       text COLLATE "C" NOT NULL,
  bytes      bigint NOT NULL,
  PRIMARY KEY (project_id, slot, kind),
  CONSTRAINT stored_bytes_kind_check CHECK (kind IN ('documents', 'document_count', 'snapshots', 'graph', 'files', 'quota'))
) WITH (fillfactor = 50);
-- A table that an earlier script of this version made counts no documents.
DO $$
BEGIN
  IF pg_get_constraintdef((SELECT c.oid FROM pg_catalog.pg_constraint c
      WHERE c.conrelid = 'app.stored_bytes'::regclass AND c.conname = 'stored_bytes_kind_check')) NOT LIKE '%document_count%' THEN
    ALTER TABLE app.stored_bytes DROP CONSTRAINT stored_bytes_kind_check, ADD CONSTRAINT stored_bytes_kind_check
      CHECK (kind IN ('documents', 'document_count', 'snapshots', 'graph', 'files', 'quota'));
  END IF;
END
$$;

-- Calls of tools in each hour (UTC), for the charts of owners: numbers only, no name and no content. The columns up_to_ count the calls
-- that took at most so many milliseconds. app.note_calls adds to them, and deletes what is older than 400 days.
CREATE TABLE IF NOT EXISTS app.call_hours (
  project_id uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
  hour       timestamptz NOT NULL,
  calls      bigint NOT NULL,
  failures   bigint NOT NULL,
  -- The estimated tokens of the replies.
  tokens     bigint NOT NULL,
  up_to_10   bigint NOT NULL,
  up_to_30   bigint NOT NULL,
  up_to_100  bigint NOT NULL,
  up_to_300  bigint NOT NULL,
  up_to_1000 bigint NOT NULL,
  up_to_3000 bigint NOT NULL,
  PRIMARY KEY (project_id, hour)
) WITH (fillfactor = 70);

-- For how many days all versions are kept, and the quota of projects without their own, as the servers store them
-- (app.state_history_bounds): the clean-up of the histories reads them here, so that no statement can name others. A lower bound has
-- an effect after it has been stated for a day.
CREATE TABLE IF NOT EXISTS app.history_bounds (
  only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  days        integer NOT NULL,
  quota       bigint NOT NULL,
  -- Lower ones, and since when they are stated.
  lower_days  integer,
  lower_quota bigint,
  lower_since timestamptz
);

-- The history that the log of this database is part of (app.log_position): the primary gives it another mark when it is first asked after a
-- start or a promotion, and its standbys get the mark with the log. So a standby of a former primary, or of a former state, is recognised.
CREATE TABLE IF NOT EXISTS app.log_history (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  -- Also the last value of the sequence: servers read it there at a standby, for each read.
  mark     bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY (SEQUENCE NAME app.log_mark),
  started  timestamptz NOT NULL,
  timeline text NOT NULL
);

-- The audit log: which actor created, changed, deleted or used which object. Triggers add its rows in the same transaction;
-- rows are never changed, and old ones are deleted.
--
-- user_id and key_id are the actor in a project, proved by the presented key; login is the database role of an operator.
-- xact is the transaction that added the row: by it app.restores recognises a restore within its own transaction. Rows
-- outlive their subjects, so there are no foreign keys. subject is an id or a name, detail has a few words more; neither
-- contains the content of a document, a key or a hash.
CREATE TABLE IF NOT EXISTS app.audit_log (
  id         bigint GENERATED ALWAYS AS IDENTITY,
  at         timestamptz NOT NULL DEFAULT now(),
  -- Zeros for a row without a project.
  project_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  action     text COLLATE "C" NOT NULL CHECK (action IN (
    'user.created', 'user.removed', 'project.created', 'project.renamed', 'project.removed',
    'member.added', 'member.role_changed', 'member.removed',
    'key.created', 'key.changed', 'key.revoked', 'key.rotated', 'key.used_from_new_address',
    'documents.deleted', 'entities.deleted', 'backup.restored', 'bank.imported', 'bank.exported',
    'project.backed_up', 'project.restored', 'project.quota_set', 'grant.created', 'grant.revoked',
    'identity.linked', 'identity.unlinked', 'identity.mapped', 'issuer.trusted', 'issuer.distrusted', 'history.erased')),
  user_id    uuid,
  key_id     uuid,
  login      text,
  subject    text CHECK (octet_length(subject) <= 1024),
  address    inet,
  xact       xid8 NOT NULL DEFAULT pg_current_xact_id(),
  detail     jsonb NOT NULL DEFAULT '{}' CHECK (octet_length(detail::text) <= 32768),
  PRIMARY KEY (project_id, id)
);
-- A database that an earlier script of this version made knows fewer actions.
DO $$
BEGIN
  IF EXISTS (
    SELECT FROM pg_catalog.pg_constraint c
    WHERE c.conrelid = 'app.audit_log'::regclass AND c.conname = 'audit_log_action_check'
      AND pg_get_constraintdef(c.oid) NOT LIKE '%history.erased%'
  ) THEN
    ALTER TABLE app.audit_log DROP CONSTRAINT audit_log_action_check, ADD CONSTRAINT audit_log_action_check CHECK (action IN (
      'user.created', 'user.removed', 'project.created', 'project.renamed', 'project.removed', 'member.added',
      'member.role_changed', 'member.removed',
      'key.created', 'key.changed', 'key.revoked', 'key.rotated', 'key.used_from_new_address',
      'documents.deleted', 'entities.deleted', 'backup.restored', 'bank.imported', 'bank.exported',
      'project.backed_up', 'project.restored', 'project.quota_set', 'grant.created', 'grant.revoked',
    'identity.linked', 'identity.unlinked', 'identity.mapped', 'issuer.trusted', 'issuer.distrusted', 'history.erased'));
  END IF;
END
$$;
CREATE INDEX IF NOT EXISTS audit_log_project_idx ON app.audit_log (project_id, at, id);
CREATE INDEX IF NOT EXISTS audit_log_at_idx ON app.audit_log (at);
-- One row for each address that a key was used from.
CREATE UNIQUE INDEX IF NOT EXISTS audit_log_address_idx ON app.audit_log (key_id, address, project_id)
  WHERE action = 'key.used_from_new_address';

-- Vectors of the meaning of text units, for search with EMBEDDINGS: derived data, stored to avoid computing it again. A vector
-- reveals its text, so it is as secret as the text. It belongs to the hash of a text and to a model: `model` is a digest of
-- the model's properties, `name` is for people. Until `held_until`, one replica (`holder`) computes the missing vectors.
CREATE TABLE IF NOT EXISTS app.vector_sets (
  project_id uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
  model      bytea NOT NULL CHECK (octet_length(model) BETWEEN 8 AND 32),
  name       text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 255),
  width      integer NOT NULL CHECK (width BETWEEN 1 AND 8192),
  vectors    bigint NOT NULL DEFAULT 0,
  holder     uuid,
  held_until timestamptz,
  used_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project_id, model)
);

CREATE TABLE IF NOT EXISTS app.vectors (
  project_id uuid NOT NULL,
  model      bytea NOT NULL,
  unit       bytea NOT NULL CHECK (octet_length(unit) BETWEEN 8 AND 32),
  vector     bytea NOT NULL CHECK (octet_length(vector) BETWEEN 1 AND 8192),
  made_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project_id, model, unit),
  FOREIGN KEY (project_id, model) REFERENCES app.vector_sets (project_id, model) ON DELETE CASCADE
);

-- Codes and refresh tokens of grants: their SHA-256 only. A code is redeemed once, within a minute, with the verifier of its
-- challenge (PKCE, S256). A refresh token is used once: the salt of its use and the token itself make its successors, so that
-- a client that asks again within the grace time is given the same ones. Used rows stay until they expire, since they show a
-- second use.
CREATE TABLE IF NOT EXISTS app.oauth_codes (
  project_id   uuid NOT NULL,
  code_hash    bytea NOT NULL CHECK (octet_length(code_hash) = 32),
  grant_id     uuid NOT NULL,
  redirect_uri text NOT NULL CHECK (octet_length(redirect_uri) BETWEEN 1 AND 2048),
  challenge    bytea NOT NULL CHECK (octet_length(challenge) = 32),
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz NOT NULL,
  used_at      timestamptz,
  PRIMARY KEY (project_id, code_hash),
  FOREIGN KEY (project_id, grant_id) REFERENCES app.oauth_grants (project_id, id) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS oauth_codes_hash_idx ON app.oauth_codes (code_hash);
CREATE INDEX IF NOT EXISTS oauth_codes_grant_idx ON app.oauth_codes (project_id, grant_id);
CREATE INDEX IF NOT EXISTS oauth_codes_expires_idx ON app.oauth_codes (expires_at);

CREATE TABLE IF NOT EXISTS app.oauth_refresh_tokens (
  project_id uuid NOT NULL,
  token_hash bytea NOT NULL CHECK (octet_length(token_hash) = 32),
  grant_id   uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  used_at    timestamptz,
  salt       bytea CHECK (octet_length(salt) = 16),
  PRIMARY KEY (project_id, token_hash),
  FOREIGN KEY (project_id, grant_id) REFERENCES app.oauth_grants (project_id, id) ON DELETE CASCADE,
  CHECK ((used_at IS NULL) = (salt IS NULL))
);
CREATE INDEX IF NOT EXISTS oauth_refresh_tokens_hash_idx ON app.oauth_refresh_tokens (token_hash);
CREATE INDEX IF NOT EXISTS oauth_refresh_tokens_grant_idx ON app.oauth_refresh_tokens (project_id, grant_id);
CREATE INDEX IF NOT EXISTS oauth_refresh_tokens_expires_idx ON app.oauth_refresh_tokens (expires_at);

-- A grant with an issuer is of that outside authorization server: the tokens are its own, and the client is one of its clients.
ALTER TABLE app.oauth_grants ADD COLUMN IF NOT EXISTS issuer text CHECK (octet_length(issuer) BETWEEN 1 AND 512);
-- One for a user, a project and a client.
CREATE UNIQUE INDEX IF NOT EXISTS oauth_grants_issuer_idx ON app.oauth_grants (project_id, user_id, issuer, client_id)
  WHERE issuer IS NOT NULL AND revoked_at IS NULL;

-- Clients that registered themselves, and those that an operator registered, which do not expire. A client that is known by
-- the address of a document has no row.
CREATE TABLE IF NOT EXISTS app.oauth_clients (
  id            text COLLATE "C" PRIMARY KEY CHECK (id ~ '^mbmcp_client_[0-9A-Za-z]{16,64}$'),
  name          text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 512),
  redirect_uris text[] NOT NULL CHECK (cardinality(redirect_uris) BETWEEN 1 AND 10 AND octet_length(redirect_uris::text) <= 16384),
  by_operator   boolean NOT NULL DEFAULT false,
  created_at    timestamptz NOT NULL DEFAULT now(),
  -- When a user last let it in.
  used_at       timestamptz,
  expires_at    timestamptz,
  CHECK (by_operator OR expires_at IS NOT NULL)
);
CREATE INDEX IF NOT EXISTS oauth_clients_expires_idx ON app.oauth_clients (expires_at);

-- The public keys of a client that authenticates itself (private_key_jwt), or their address. What a user gave to such a client
-- is used with an assertion only.
ALTER TABLE app.oauth_clients ADD COLUMN IF NOT EXISTS jwks text CHECK (octet_length(jwks) <= 16384);
ALTER TABLE app.oauth_clients ADD COLUMN IF NOT EXISTS jwks_uri text CHECK (octet_length(jwks_uri) <= 1024);
ALTER TABLE app.oauth_grants ADD COLUMN IF NOT EXISTS needs_assertion boolean NOT NULL DEFAULT false;

-- Assertions that clients have used, until they expire: the SHA-256 of the client and the assertion's id.
CREATE TABLE IF NOT EXISTS app.oauth_assertions (
  assertion_hash bytea PRIMARY KEY CHECK (octet_length(assertion_hash) = 32),
  client_id      text COLLATE "C" NOT NULL CHECK (octet_length(client_id) BETWEEN 1 AND 1024),
  expires_at     timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS oauth_assertions_client_idx ON app.oauth_assertions (client_id, expires_at);
CREATE INDEX IF NOT EXISTS oauth_assertions_expires_idx ON app.oauth_assertions (expires_at);

-- Browsers in which a user is signed in, for minutes: the SHA-256 of a cookie. With by_key, only the project of that key is
-- offered, and no right that the key does not have.
CREATE TABLE IF NOT EXISTS app.oauth_sign_ins (
  cookie_hash bytea PRIMARY KEY CHECK (octet_length(cookie_hash) = 32),
  user_id     uuid NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  by_key      uuid,
  key_project uuid REFERENCES public.projects (id) ON DELETE CASCADE,
  created_at  timestamptz NOT NULL DEFAULT now(),
  expires_at  timestamptz NOT NULL,
  CHECK ((by_key IS NULL) = (key_project IS NULL))
);
CREATE INDEX IF NOT EXISTS oauth_sign_ins_expires_idx ON app.oauth_sign_ins (expires_at);
CREATE INDEX IF NOT EXISTS oauth_sign_ins_user_idx ON app.oauth_sign_ins (user_id);

-- One-time codes with which a user signs in (`login-code`).
CREATE TABLE IF NOT EXISTS app.oauth_login_codes (
  code_hash  bytea PRIMARY KEY CHECK (octet_length(code_hash) = 32),
  user_id    uuid NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS oauth_login_codes_expires_idx ON app.oauth_login_codes (expires_at);
CREATE INDEX IF NOT EXISTS oauth_login_codes_user_idx ON app.oauth_login_codes (user_id);

-- Outside issuers whose users may sign in, or whose tokens are accepted: a server with a login role of its own acts on no
-- other issuer. A server that logs in as the schema's owner needs no row.
CREATE TABLE IF NOT EXISTS app.issuers (
  issuer     text COLLATE "C" PRIMARY KEY CHECK (octet_length(issuer) BETWEEN 1 AND 512),
  trusted_at timestamptz NOT NULL DEFAULT now()
);

-- Users as outside issuers know them. An identity is found by issuer and subject alone; an address is for people.
CREATE TABLE IF NOT EXISTS app.identities (
  issuer    text COLLATE "C" NOT NULL CHECK (octet_length(issuer) BETWEEN 1 AND 512),
  subject   text COLLATE "C" NOT NULL CHECK (octet_length(subject) BETWEEN 1 AND 255),
  id        uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
  user_id   uuid NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  email     text CHECK (octet_length(email) <= 320),
  linked_at timestamptz NOT NULL DEFAULT now(),
  seen_at   timestamptz,
  PRIMARY KEY (issuer, subject)
);
CREATE INDEX IF NOT EXISTS identities_user_idx ON app.identities (user_id);

-- Identities that an operator removed, alone or with their users: the SHA-256 of issuer and subject. No mapping makes such a
-- user again.
CREATE TABLE IF NOT EXISTS app.barred_identities (
  identity_hash bytea PRIMARY KEY CHECK (octet_length(identity_hash) = 32),
  barred_at     timestamptz NOT NULL DEFAULT now()
);

-- Memberships that the mapping of an issuer's claims gave, and the role that it gave; and those that an operator removed (no
-- role), which it does not give again. A membership that an operator added or changed has no row: no mapping changes it.
CREATE TABLE IF NOT EXISTS app.mapped_members (
  project_id uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
  user_id    uuid NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
  role       public.project_role,
  -- Which of the server's mappings, so that one does not undo what the other gave.
  mapping    text CHECK (mapping IN ('sign_in', 'token')),
  mapped_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project_id, user_id),
  CHECK ((role IS NULL) = (mapping IS NULL))
);
CREATE INDEX IF NOT EXISTS mapped_members_user_idx ON app.mapped_members (user_id);

-- A sign-in ends with the identity that it was made with.
ALTER TABLE app.oauth_sign_ins ADD COLUMN IF NOT EXISTS by_identity uuid REFERENCES app.identities (id) ON DELETE CASCADE;
CREATE INDEX IF NOT EXISTS oauth_sign_ins_by_identity_idx ON app.oauth_sign_ins (by_identity) WHERE by_identity IS NOT NULL;

-- Until 002 has run, only the owner can read.
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['public.schema_migrations', 'public.users', 'public.projects', 'public.memberships',
    'public.api_keys', 'public.documents', 'public.graph_entities', 'public.graph_observations',
    'public.graph_relations', 'public.sessions', 'app.project_state', 'app.backups',
    'app.backup_items', 'app.files', 'app.document_versions', 'app.graph_versions', 'app.graph_changes', 'app.graph_history', 'app.stored_bytes',
    'app.call_hours', 'app.history_bounds', 'app.log_history', 'app.audit_log', 'app.vector_sets', 'app.vectors', 'app.oauth_grants', 'app.oauth_codes',
    'app.oauth_refresh_tokens', 'app.oauth_clients', 'app.oauth_sign_ins', 'app.oauth_login_codes', 'app.oauth_assertions',
    'app.issuers', 'app.identities', 'app.barred_identities', 'app.mapped_members'] LOOP
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
  END LOOP;
END
$$;

INSERT INTO public.schema_migrations (version) VALUES ('001_schema') ON CONFLICT DO NOTHING;

COMMIT;
