-- 005: what changed in a project's graph, in the order of the commits, so that a search index can follow it by
-- difference. Any statement that changes the graph notes itself here, whoever sends it.

BEGIN;
SET LOCAL client_min_messages = warning;

-- Whoever changes the graph of a project holds its row until the commit: that is what makes the order one of commits.
CREATE TABLE IF NOT EXISTS app.graph_versions (
  project_id uuid PRIMARY KEY REFERENCES public.projects (id) ON DELETE CASCADE,
  version    bigint NOT NULL
);

-- The last changes of each project: which row, not what it held.
CREATE TABLE IF NOT EXISTS app.graph_changes (
  project_id uuid NOT NULL REFERENCES public.projects (id) ON DELETE CASCADE,
  version    bigint NOT NULL,
  kind       text COLLATE "C" NOT NULL CHECK (kind IN ('entity', 'observation', 'relation')),
  id         text COLLATE "C" NOT NULL,
  PRIMARY KEY (project_id, version, kind, id)
);

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['graph_versions', 'graph_changes'] LOOP
    EXECUTE format('ALTER TABLE app.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE app.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('REVOKE ALL ON app.%I FROM PUBLIC', name);
    EXECUTE format('DROP POLICY IF EXISTS member_select ON app.%I', name);
    EXECUTE format('DROP POLICY IF EXISTS functions ON app.%I', name);
    EXECUTE format('CREATE POLICY member_select ON app.%I FOR SELECT TO app_user '
      'USING (project_id = (SELECT app.readable_project()))', name);
    EXECUTE format('CREATE POLICY functions ON app.%I TO app_definer USING (true) WITH CHECK (true)', name);
  END LOOP;
END
$$;
GRANT SELECT ON app.graph_versions, app.graph_changes TO app_user;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.graph_versions, app.graph_changes TO app_definer;

SET LOCAL ROLE app_definer;

-- The rows of one statement get one version.
CREATE OR REPLACE FUNCTION app.note_graph_change() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  one record;
  now_at bigint;
BEGIN
  FOR one IN SELECT c.project_id, array_agg(c.id) AS ids FROM changed c GROUP BY c.project_id LOOP
    INSERT INTO app.graph_versions AS v (project_id, version)
    SELECT one.project_id, 1 WHERE EXISTS (SELECT FROM public.projects p WHERE p.id = one.project_id)
    ON CONFLICT (project_id) DO UPDATE SET version = v.version + 1
    RETURNING v.version INTO now_at;
    -- The project itself is going.
    CONTINUE WHEN now_at IS NULL;
    INSERT INTO app.graph_changes (project_id, version, kind, id)
    SELECT one.project_id, now_at, TG_ARGV[0], i.id FROM unnest(one.ids) AS i (id) ON CONFLICT DO NOTHING;
    IF now_at % 500 = 0 THEN
      DELETE FROM app.graph_changes c WHERE c.project_id = one.project_id AND c.version <= now_at - 2000;
    END IF;
  END LOOP;
  RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION app.note_graph_change() FROM PUBLIC;
-- Who makes the triggers must be allowed to; nobody can call it otherwise.
GRANT EXECUTE ON FUNCTION app.note_graph_change() TO app_server;

RESET ROLE;

DO $$
DECLARE
  one record;
BEGIN
  FOR one IN
    SELECT tab, kind, event FROM (VALUES
      ('graph_entities', 'entity'), ('graph_observations', 'observation'), ('graph_relations', 'relation')
    ) AS t (tab, kind), unnest(ARRAY['INSERT', 'UPDATE', 'DELETE']) AS event
  LOOP
    EXECUTE format(
      'CREATE OR REPLACE TRIGGER %I AFTER %s ON public.%I REFERENCING %s TABLE AS changed '
      'FOR EACH STATEMENT EXECUTE FUNCTION app.note_graph_change(%L)',
      'note_' || lower(one.event), one.event, one.tab, CASE WHEN one.event = 'DELETE' THEN 'OLD' ELSE 'NEW' END, one.kind);
  END LOOP;
END
$$;

INSERT INTO public.schema_migrations (version) VALUES ('005_graph_changes') ON CONFLICT DO NOTHING;

COMMIT;
