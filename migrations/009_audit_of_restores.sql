-- 009: a restore of a whole project is told of as such, in the transaction that does it, and what it removes on the way is
-- then not told of one by one.

BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL ROLE app_definer;

CREATE OR REPLACE FUNCTION app.note_audit(p_action text, p_subject text, p_detail jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  held constant public.project_role := app.current_project_role();
BEGIN
  IF NOT coalesce(CASE
      WHEN p_action = 'bank.exported' THEN true
      WHEN p_action = 'bank.imported' THEN held IN ('owner', 'editor')
      WHEN p_action IN ('backup.restored', 'project.restored') THEN held = 'owner'
    END AND held IS NOT NULL, false) THEN
    RAISE EXCEPTION 'the role may not tell of `%`', p_action USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM app.audit(p_action, app.current_project_id(), p_subject, p_detail);
  IF p_action IN ('backup.restored', 'bank.imported', 'project.restored') THEN
    PERFORM set_config('app.audit_restores', 'true', true);
  END IF;
END
$$;

RESET ROLE;

INSERT INTO public.schema_migrations (version) VALUES ('009_audit_of_restores') ON CONFLICT DO NOTHING;

COMMIT;
