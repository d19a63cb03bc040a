-- 008: the commonest call of all, reading documents, as one statement and so one message of the protocol: it enters the
-- caller's context, as 002 describes it, and reads what the policies let the caller see.
--
-- It runs with the rights of whoever calls it (SECURITY INVOKER), and so may do no more than the statements that it
-- replaces. Context and role are local to the transaction, which is the statement itself. When the context is refused,
-- nothing is read. No name in it is looked for on the session's search_path, operators included.

BEGIN;
SET LOCAL client_min_messages = warning;

CREATE OR REPLACE FUNCTION app.read_documents(p_user text, p_project text, p_key text, p_paths text[])
RETURNS TABLE (path text, content text, etag text, version bigint, updated_at timestamptz, project_id uuid)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
  -- The role in the project is asked for its error: a void key is refused, also where no row would ask a policy.
  PERFORM pg_catalog.set_config('app.current_user_id', p_user, true),
    pg_catalog.set_config('app.current_project_id', p_project, true),
    pg_catalog.set_config('app.current_key_id', p_key, true),
    pg_catalog.set_config('role', 'app_user', true),
    app.current_project_role() IS NULL;
  RETURN QUERY
    SELECT d.path, d.content, d.etag, d.version, d.updated_at, d.project_id FROM public.documents d
    WHERE d.project_id OPERATOR(pg_catalog.=) p_project::pg_catalog.uuid AND d.path OPERATOR(pg_catalog.=) ANY (p_paths);
END
$$;

REVOKE ALL ON FUNCTION app.read_documents(text, text, text, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.read_documents(text, text, text, text[]) TO app_server;

-- The server has its statements planned once, whatever their values. How much these two remove is worth a plan of its own.
SET LOCAL ROLE app_definer;
ALTER FUNCTION app.purge(timestamptz, timestamptz, bigint) SET plan_cache_mode = force_custom_plan;
ALTER FUNCTION app.purge_audit(timestamptz, bigint) SET plan_cache_mode = force_custom_plan;
RESET ROLE;

INSERT INTO public.schema_migrations (version) VALUES ('008_document_reads') ON CONFLICT DO NOTHING;

COMMIT;
