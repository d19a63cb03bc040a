-- 004: what goes past the ten tables: state that outlives a call, and backups. In schema app, so that dropping the
-- schema takes them along.

BEGIN;
SET LOCAL client_min_messages = warning;

-- Mode, "Update Memory Bank" and thinking sessions of one user in one project. json, since jsonb cannot hold every
-- string that JSON can.
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

-- The rows of a backup as they were, one object each.
CREATE TABLE IF NOT EXISTS app.backup_items (
  project_id uuid NOT NULL,
  backup_id  text COLLATE "C" NOT NULL,
  kind       text COLLATE "C" NOT NULL CHECK (kind IN ('document', 'entity', 'observation', 'relation')),
  key        text COLLATE "C" NOT NULL,
  item       json NOT NULL,
  PRIMARY KEY (project_id, backup_id, kind, key),
  FOREIGN KEY (project_id, backup_id) REFERENCES app.backups (project_id, id) ON DELETE CASCADE
);

DO $$
DECLARE
  one record;
BEGIN
  FOR one IN
    SELECT * FROM (VALUES
      ('project_state', 'own_select', 'SELECT',
        'project_id = (SELECT app.readable_project()) AND user_id = (SELECT app.current_user_id())', NULL),
      ('project_state', 'own_insert', 'INSERT', NULL,
        'project_id = (SELECT app.readable_project()) AND user_id = (SELECT app.current_user_id())'),
      ('project_state', 'own_update', 'UPDATE',
        'project_id = (SELECT app.readable_project()) AND user_id = (SELECT app.current_user_id())',
        'project_id = (SELECT app.readable_project()) AND user_id = (SELECT app.current_user_id())'),
      ('backups', 'member_select', 'SELECT', 'project_id = (SELECT app.readable_project())', NULL),
      ('backups', 'editor_insert', 'INSERT', NULL, 'project_id = (SELECT app.writable_project())'),
      ('backup_items', 'member_select', 'SELECT', 'project_id = (SELECT app.readable_project())', NULL),
      ('backup_items', 'editor_insert', 'INSERT', NULL, 'project_id = (SELECT app.writable_project())'),
      -- Only app.prune_backups deletes, and only the oldest.
      ('backups', 'functions', 'ALL', 'true', NULL)
    ) AS wanted (tab, policy, cmd, using_expr, check_expr)
  LOOP
    EXECUTE format('ALTER TABLE app.%I ENABLE ROW LEVEL SECURITY', one.tab);
    EXECUTE format('ALTER TABLE app.%I FORCE ROW LEVEL SECURITY', one.tab);
    EXECUTE format('REVOKE ALL ON app.%I FROM PUBLIC', one.tab);
    EXECUTE format('DROP POLICY IF EXISTS %I ON app.%I', one.policy, one.tab);
    EXECUTE format('CREATE POLICY %I ON app.%I FOR %s TO %I', one.policy, one.tab, one.cmd,
        CASE WHEN one.policy = 'functions' THEN 'app_definer' ELSE 'app_user' END)
      || coalesce(' USING (' || one.using_expr || ')', '')
      || coalesce(' WITH CHECK (' || one.check_expr || ')', '');
  END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE ON app.project_state TO app_user;
GRANT SELECT, INSERT ON app.backups, app.backup_items TO app_user;
GRANT SELECT, DELETE ON app.backups TO app_definer;

SET LOCAL ROLE app_definer;

-- Keeps the newest p_most backups of the current project. An editor may make room so, but not delete a backup.
CREATE OR REPLACE FUNCTION app.prune_backups(p_most integer) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project constant uuid := CASE WHEN app.current_project_role() IN ('owner', 'editor') THEN app.current_project_id() END;
BEGIN
  DELETE FROM app.backups b WHERE b.project_id = project AND b.id IN (
    SELECT o.id FROM app.backups o WHERE o.project_id = project ORDER BY o.created_at DESC, o.id DESC
    OFFSET greatest(p_most, 10)
  );
END
$$;
REVOKE ALL ON FUNCTION app.prune_backups(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.prune_backups(integer) TO app_user;

RESET ROLE;

INSERT INTO public.schema_migrations (version) VALUES ('004_state_and_backups') ON CONFLICT DO NOTHING;

COMMIT;
