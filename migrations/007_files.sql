-- 007: what a folder's bank holds beside documents and a graph of rows, so that it can go back as it came: files that
-- are no documents, the bytes of documents that are not UTF-8, lines of the graph's log that rows cannot say, and the
-- rules files of the modes.

BEGIN;
SET LOCAL client_min_messages = warning;

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

DO $$
DECLARE
  one record;
BEGIN
  ALTER TABLE app.files ENABLE ROW LEVEL SECURITY;
  ALTER TABLE app.files FORCE ROW LEVEL SECURITY;
  REVOKE ALL ON app.files FROM PUBLIC;
  FOR one IN
    SELECT * FROM (VALUES
      ('member_select', 'SELECT', 'project_id = (SELECT app.readable_project())', NULL),
      ('editor_insert', 'INSERT', NULL, 'project_id = (SELECT app.writable_project())'),
      ('editor_update', 'UPDATE', 'project_id = (SELECT app.writable_project())',
        'project_id = (SELECT app.writable_project())'),
      ('delete', 'DELETE', 'project_id = (SELECT app.owned_project())', NULL)
    ) AS wanted (policy, cmd, using_expr, check_expr)
  LOOP
    EXECUTE format('DROP POLICY IF EXISTS %I ON app.files', one.policy);
    EXECUTE format('CREATE POLICY %I ON app.files FOR %s TO app_user', one.policy, one.cmd)
      || coalesce(' USING (' || one.using_expr || ')', '')
      || coalesce(' WITH CHECK (' || one.check_expr || ')', '');
  END LOOP;
  -- A backup keeps them, too.
  ALTER TABLE app.backup_items DROP CONSTRAINT IF EXISTS backup_items_kind_check;
  ALTER TABLE app.backup_items ADD CONSTRAINT backup_items_kind_check
    CHECK (kind IN ('document', 'entity', 'observation', 'relation', 'file'));
END
$$;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.files TO app_user;

INSERT INTO public.schema_migrations (version) VALUES ('007_files') ON CONFLICT DO NOTHING;

COMMIT;
