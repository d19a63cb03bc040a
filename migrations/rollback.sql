-- Removes all of memory-bank-mcp from this database: its tables with ALL DATA, its type, schema `app` with its
-- functions and tables, its rights on schema public, and the three roles where nothing else in the cluster uses them.
-- docs/rollback.md explains when to use it and how to keep the data.
--
-- Not a migration: neither the server nor `memory-bank-mcp migrate` runs it. A container's init folder runs every
-- *.sql in it, so this one does nothing, and fails nothing, unless the session names the database that is to be emptied:
--
--   psql "$DATABASE_URL" -c "SET memory_bank.confirm_rollback = 'memory_bank_mcp'" -f migrations/rollback.sql
--
-- In an SQL editor, run the SET and this file together. Stop the servers first. All or nothing: it is one statement.

DO $rollback$
DECLARE
  confirmed constant text := coalesce(current_setting('memory_bank.confirm_rollback', true), '');
  attempts constant int := 100;
  name text;
  kept text[] := '{}';
  users text[] := '{}';
BEGIN
  IF confirmed = '' THEN
    RAISE WARNING 'nothing was changed: this drops all data of memory-bank-mcp in database "%"', current_database()
      USING HINT = format('if you mean it: SET memory_bank.confirm_rollback = %L in the same session, then run this again',
        current_database());
    RETURN;
  ELSIF confirmed <> current_database() THEN
    RAISE EXCEPTION 'nothing was changed: memory_bank.confirm_rollback names "%", but this is database "%"',
      confirmed, current_database();
  END IF;

  -- A running server holds locks only briefly; investigate longer ones.
  PERFORM set_config('lock_timeout', '30s', true);

  FOREACH name IN ARRAY ARRAY[
    'mcp_events', 'sessions', 'graph_relations', 'graph_observations', 'graph_entities', 'documents', 'api_keys',
    'memberships', 'projects', 'users', 'schema_migrations'
  ] LOOP
    EXECUTE format('DROP TABLE IF EXISTS public.%I CASCADE', name);
  END LOOP;
  DROP TYPE IF EXISTS public.project_role CASCADE;
  DROP SCHEMA IF EXISTS app CASCADE;

  -- Members first. A role that another database still uses, or that is not ours to drop, stays; it can do nothing here.
  FOREACH name IN ARRAY ARRAY['app_server', 'app_user', 'app_definer'] LOOP
    CONTINUE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name);
    EXECUTE format('REVOKE ALL ON SCHEMA public FROM %I', name);
    FOR attempt IN 1 .. attempts LOOP
      BEGIN
        EXECUTE format('DROP ROLE %I', name);
        EXIT;
      EXCEPTION
        WHEN dependent_objects_still_exist OR insufficient_privilege OR object_in_use THEN
          kept := kept || name;
          SELECT users || coalesce(array_agg(d.datname::text), '{}') INTO users FROM pg_catalog.pg_database d
          WHERE d.datname::text <> ALL (users) AND EXISTS (
            SELECT FROM pg_catalog.pg_shdepend s WHERE s.dbid = d.oid AND s.refclassid = 'pg_catalog.pg_authid'::regclass
              AND s.refobjid = (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = name));
          EXIT;
        WHEN undefined_object THEN
          -- The rollback of another database dropped it meanwhile.
          EXIT;
        WHEN internal_error THEN
          -- A database that uses the role is being dropped, and PostgreSQL no longer finds its name for the message
          -- ("cache lookup failed"), or another session drops the role. A retry finds out which.
          IF attempt = attempts THEN
            RAISE;
          END IF;
          PERFORM pg_catalog.pg_sleep(0.1);
      END;
    END LOOP;
  END LOOP;
  RAISE NOTICE 'memory-bank-mcp is gone from database "%"', current_database();
  IF kept <> '{}' THEN
    RAISE NOTICE 'roles that stay: %; %', array_to_string(kept, ', '), CASE
      WHEN users <> '{}' THEN 'they are used in the databases ' || array_to_string(users, ', ')
      ELSE 'they are not yours to drop' END;
  END IF;
END
$rollback$;
