-- 003: the few functions that serve many tenants, those that an administrator calls, and the triggers. Each does one
-- thing, takes typed arguments and returns only what its caller needs.
--
-- The server's role may call the serving functions. Those that read or change rows of a tenant take the hash of the
-- presented key, and do nothing for other tenants. Only the owner of the schema may call the functions of administration.
--
-- They belong to app_definer and bypass row-level security by its policies, so that no role needs to be a superuser.
-- Their errors have one of three codes: MB400 refused, with a text; MB404 not found and MB409 exists already, with the
-- name as text and its kind (user, project, member, key) as detail.

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
  ELSIF NOT '002_policies' = ANY (applied) THEN
    RAISE EXCEPTION '002_policies.sql was not applied' USING HINT = 'apply 002_policies.sql first';
  END IF;
END
$$;

-- A write fails completely if the policies filter some of its rows, instead of changing only the others.
CREATE OR REPLACE FUNCTION app.must_be(got bigint, wanted bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF got <> wanted THEN
    RAISE EXCEPTION 'row-level security let % of % rows be changed', got, wanted USING ERRCODE = 'insufficient_privilege';
  END IF;
END
$$;
REVOKE ALL ON FUNCTION app.must_be(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.must_be(bigint, bigint) TO app_user;

SET LOCAL ROLE app_definer;

-- The identity of a key; that of a token is its grant. A key whose user is not a member of its project has none. The caller distinguishes revoked and
-- expired keys from unknown ones. The sessions of the console that a key or a user has opened are counted under that id.
DO $$
BEGIN
  -- A function that an earlier script of this version made returns one column less.
  IF pg_get_function_result(to_regprocedure('app.authenticate(bytea)')) NOT LIKE '%counted_as%' THEN
    DROP FUNCTION app.authenticate(bytea);
  END IF;
END
$$;
CREATE OR REPLACE FUNCTION app.authenticate(p_key_hash bytea)
RETURNS TABLE (
  key_id uuid, user_id uuid, user_name text, project_id uuid, project_slug text, role text, scopes text[],
  rate_limit integer, expires_at timestamptz, revoked_at timestamptz, counted_as uuid
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce(k.grant_id, k.id), k.user_id, u.name, k.project_id, p.slug, m.role::text, k.scopes, k.rate_limit,
    k.expires_at, k.revoked_at,
    CASE WHEN g.client_id = 'memory-bank-console' AND g.issuer IS NULL THEN coalesce(g.by_key, g.user_id) END
  FROM public.api_keys k
  JOIN public.users u ON u.id = k.user_id
  JOIN public.projects p ON p.id = k.project_id
  JOIN public.memberships m ON m.user_id = k.user_id AND m.project_id = k.project_id
  LEFT JOIN app.oauth_grants g ON g.project_id = k.project_id AND g.id = k.grant_id
  WHERE k.key_hash = p_key_hash
$$;

-- Refuses a key that is void or does not belong to this user in this project. Returns whether the key may read.
CREATE OR REPLACE FUNCTION app.proven(p_key_hash bytea, p_user uuid, p_project uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  reads boolean;
BEGIN
  SELECT k.scopes = '{}' OR 'read' = ANY (k.scopes) INTO reads
  FROM public.api_keys k JOIN public.memberships m ON m.user_id = k.user_id AND m.project_id = k.project_id
  WHERE k.key_hash = p_key_hash AND k.user_id = p_user AND k.project_id = p_project
    AND k.revoked_at IS NULL AND (k.expires_at > now()) IS NOT FALSE;
  IF reads IS NULL THEN
    RAISE EXCEPTION 'the key that was presented does not open this project' USING ERRCODE = 'MB401';
  END IF;
  RETURN reads;
END
$$;

-- Records the last use of many keys.
CREATE OR REPLACE FUNCTION app.touch_keys(p_key_hashes bytea[], p_at timestamptz[]) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  UPDATE public.api_keys k SET last_used_at = greatest(k.last_used_at, used.at)
  FROM (SELECT u.hash, max(u.at) AS at FROM unnest(p_key_hashes, p_at) AS u (hash, at) GROUP BY u.hash) AS used
  -- The server cannot read a time beyond these years.
  WHERE k.key_hash = used.hash AND used.at BETWEEN '2000-01-01' AND now() + interval '1 day'
$$;

-- Opens a session and returns `opened`. A key has at most p_most_of_key sessions, a project p_most. Past either bound, the
-- oldest session of the same key that was not used since p_idle_before is ended with its events and returned as `ended`;
-- sessions of other keys are never ended. Without such a session: `key_full` or `project_full`, and nothing is opened.
CREATE OR REPLACE FUNCTION app.open_session(
  p_key_hash bytea, p_id uuid, p_user uuid, p_project uuid, p_metadata jsonb, p_subscriptions text[],
  p_created_at timestamptz, p_expires_at timestamptz, p_most bigint, p_most_of_key bigint, p_idle_before timestamptz,
  OUT outcome text, OUT ended uuid
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  key uuid;
  of_project bigint;
  of_key bigint;
BEGIN
  SELECT coalesce(k.grant_id, k.id) INTO key FROM public.api_keys k
  WHERE k.key_hash = p_key_hash AND k.user_id = p_user AND k.project_id = p_project
    AND k.revoked_at IS NULL AND (k.expires_at > now()) IS NOT FALSE;
  IF key IS NOT NULL AND NOT EXISTS (
    SELECT FROM public.memberships m WHERE m.user_id = p_user AND m.project_id = p_project
  ) THEN
    RAISE EXCEPTION 'the user is no member of the project' USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM app.proven(p_key_hash, p_user, p_project);
  -- One call at a time in a project, so that concurrent calls do not exceed the bound.
  PERFORM pg_advisory_xact_lock(hashtextextended('memory-bank-mcp sessions of ' || p_project, 0));
  SELECT count(*), count(*) FILTER (WHERE s.key_id = key) INTO of_project, of_key
  FROM public.sessions s WHERE s.project_id = p_project AND s.expires_at > p_created_at;
  IF of_key >= p_most_of_key OR of_project >= p_most THEN
    SELECT s.id INTO ended FROM public.sessions s
    WHERE s.project_id = p_project AND s.user_id = p_user AND s.key_id = key AND s.expires_at > p_created_at
      AND s.last_seen < p_idle_before
    ORDER BY s.last_seen LIMIT 1 FOR UPDATE;
    IF ended IS NULL THEN
      outcome := CASE WHEN of_key >= p_most_of_key THEN 'key_full' ELSE 'project_full' END;
      RETURN;
    END IF;
    DELETE FROM public.sessions s WHERE s.id = ended AND s.project_id = p_project;
    DELETE FROM public.mcp_events e WHERE e.session_id = ended AND e.project_id = p_project;
  END IF;
  INSERT INTO public.sessions
    (id, user_id, project_id, metadata, subscriptions, key_id, created_at, last_seen, expires_at)
  VALUES (p_id, p_user, p_project, p_metadata, p_subscriptions, key, p_created_at, p_created_at, p_expires_at);
  outcome := 'opened';
END
$$;

-- Adds a subscription to a session of this user in this project, or removes one. Past p_most nothing is added. A
-- subscription requires the right to read.
CREATE OR REPLACE FUNCTION app.subscribe_session(
  p_key_hash bytea, p_id uuid, p_user uuid, p_project uuid, p_uri text, p_subscribed boolean, p_most integer
) RETURNS SETOF public.sessions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF NOT app.proven(p_key_hash, p_user, p_project) AND p_subscribed THEN
    RAISE EXCEPTION 'the key may not read' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN QUERY
  UPDATE public.sessions s SET subscriptions = CASE
      WHEN NOT p_subscribed THEN array_remove(s.subscriptions, p_uri)
      WHEN p_uri = ANY (s.subscriptions) OR cardinality(s.subscriptions) >= p_most THEN s.subscriptions
      ELSE s.subscriptions || p_uri
    END
  WHERE s.id = p_id AND s.user_id = p_user AND s.project_id = p_project
  RETURNING s.*;
END
$$;

-- Records the last use, the expiry and the last key of many sessions. The row of a session is written at most once a
-- minute, however many replicas call this.
CREATE OR REPLACE FUNCTION app.touch_sessions(
  p_key_hashes bytea[], p_sessions uuid[], p_at timestamptz[], p_expires_at timestamptz[]
) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  UPDATE public.sessions s SET last_seen = seen.at, expires_at = seen.until, key_id = seen.key_id
  FROM (
    SELECT u.id, k.user_id, k.project_id, (array_agg(coalesce(k.grant_id, k.id) ORDER BY u.at DESC))[1] AS key_id,
      max(u.at) AS at, max(u.until) AS until
    FROM unnest(p_key_hashes, p_sessions, p_at, p_expires_at) AS u (hash, id, at, until)
    JOIN public.api_keys k ON k.key_hash = u.hash AND k.revoked_at IS NULL
    GROUP BY u.id, k.user_id, k.project_id
  ) AS seen
  WHERE s.id = seen.id AND s.user_id = seen.user_id AND s.project_id = seen.project_id
    AND s.last_seen <= seen.at - interval '1 minute'
$$;

-- Ends a session of this user in this project, with its events; returns whether it existed.
CREATE OR REPLACE FUNCTION app.close_session(p_key_hash bytea, p_id uuid, p_user uuid, p_project uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM app.proven(p_key_hash, p_user, p_project);
  DELETE FROM public.sessions s WHERE s.id = p_id AND s.user_id = p_user AND s.project_id = p_project;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  DELETE FROM public.mcp_events e WHERE e.session_id = p_id AND e.project_id = p_project;
  RETURN true;
END
$$;

-- Stores events of many sessions with one statement. They are for replay only: a crash of the database's machine may lose
-- the last of them without losing data, so the commit does not wait for the disk. An event is skipped if its session does
-- not exist or does not belong to the user and project of its key. Fails if one of them is stored already: ON CONFLICT would
-- look for each event first. Keys and sessions are found by unique keys, one by one, however many there are: a join may read all of
-- a project. A message is stored as a JSON string: it is replayed as it was sent and never searched, and to parse it would take longer
-- than to store it.
CREATE OR REPLACE FUNCTION app.append_events(
  p_key_hashes bytea[], p_sessions uuid[], p_streams uuid[], p_places bigint[], p_last boolean[], p_users uuid[],
  p_projects uuid[], p_messages text[], p_at timestamptz[], p_needs smallint[]
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  INSERT INTO public.mcp_events
    (session_id, stream_id, place, last, user_id, project_id, message, needs, created_at)
  SELECT e.session, e.stream, e.place, e.last, e.usr, e.project, to_jsonb(e.message), e.needs, e.at
  FROM unnest(p_key_hashes, p_sessions, p_streams, p_places, p_last, p_users, p_projects, p_messages, p_at, p_needs)
    AS e (hash, session, stream, place, last, usr, project, message, at, needs)
  WHERE (SELECT k.user_id = e.usr AND k.project_id = e.project FROM public.api_keys k WHERE k.key_hash = e.hash)
    AND (SELECT s.user_id = e.usr FROM public.sessions s WHERE s.project_id = e.project AND s.id = e.session);
END
$$;

-- Keeps the newest events of one session, or of all sessions of a project, up to p_most bytes, and deletes the others.
-- Counts the size of a message in the table. Returns the number of deleted events, or NULL while another replica does this.
-- Requires the key that stores the events, and keeps at least half a megabyte. The sizes are taken before the events are sorted: to
-- sort the messages themselves would write them to the disk. A session has statements of its own: one plan for both would read all events
-- of the project.
CREATE OR REPLACE FUNCTION app.trim_events(
  p_key_hash bytea, p_user uuid, p_project uuid, p_session uuid, p_most bigint
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  most bigint := greatest(p_most, 524288);
  last_removed bigint;
  removed bigint := 0;
BEGIN
  PERFORM app.proven(p_key_hash, p_user, p_project);
  IF NOT pg_try_advisory_xact_lock(hashtextextended('memory-bank-mcp events of ' || p_project, 0)) THEN
    RETURN NULL;
  END IF;
  PERFORM set_config('synchronous_commit', 'off', true);
  IF p_session IS NULL THEN
    SELECT max(o.id) INTO last_removed FROM (
      SELECT n.id, sum(n.size) OVER (ORDER BY n.id DESC ROWS UNBOUNDED PRECEDING) AS bytes FROM (
        SELECT i.id, pg_column_size(i.message) + 200 AS size FROM public.mcp_events i WHERE i.project_id = p_project OFFSET 0
      ) AS n
    ) AS o WHERE o.bytes > most;
    DELETE FROM public.mcp_events e WHERE e.project_id = p_project AND e.id <= last_removed;
    GET DIAGNOSTICS removed = ROW_COUNT;
  ELSIF EXISTS (SELECT FROM public.sessions s WHERE s.project_id = p_project AND s.id = p_session AND s.user_id = p_user) THEN
    SELECT max(o.id) INTO last_removed FROM (
      SELECT n.id, sum(n.size) OVER (ORDER BY n.id DESC ROWS UNBOUNDED PRECEDING) AS bytes FROM (
        SELECT i.id, pg_column_size(i.message) + 200 AS size FROM public.mcp_events i
        WHERE i.session_id = p_session AND i.project_id = p_project OFFSET 0
      ) AS n
    ) AS o WHERE o.bytes > most;
    DELETE FROM public.mcp_events e WHERE e.session_id = p_session AND e.project_id = p_project AND e.id <= last_removed;
    GET DIAGNOSTICS removed = ROW_COUNT;
  END IF;
  RETURN removed;
END
$$;

-- The partitions of the events except the default one, from the catalog.
CREATE OR REPLACE FUNCTION app.event_partitions() RETURNS TABLE (tab regclass, begins timestamptz, ends timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO'
AS $$
  SELECT b.tab, b.bounds[1]::timestamptz, b.bounds[2]::timestamptz FROM (
    SELECT c.oid::regclass AS tab, regexp_match(
      pg_get_expr(c.relpartbound, c.oid), $re$FROM \('([^']+)'\) TO \('([^']+)'\)$re$) AS bounds
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'public.mcp_events'::regclass
  ) AS b WHERE b.bounds IS NOT NULL
$$;

-- Creates the next missing partition of the events, p_hours wide (1 to 48), and returns its name; NULL if the partitions of
-- the next three widths exist, or while another replica does this. It creates one per call and waits only briefly for a lock,
-- so that no statement waits long behind it: without the lock it fails, and is called again some minutes later.
-- A range with events in the default partition stays there.
CREATE OR REPLACE FUNCTION app.make_event_partition(p_hours integer) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' SET lock_timeout = '100ms'
AS $$
DECLARE
  width constant interval := make_interval(hours => greatest(1, least(48, p_hours)));
  since timestamptz := date_bin(width, now(), '2000-01-01'::timestamptz);
  until timestamptz;
  named text;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('memory-bank-mcp event partitions', 0)) THEN
    RETURN NULL;
  END IF;
  WHILE since <= now() + 3 * width LOOP
    SELECT p.ends INTO until FROM app.event_partitions() p WHERE p.begins <= since AND p.ends > since;
    IF until IS NULL THEN
      SELECT least(date_bin(width, since, '2000-01-01'::timestamptz) + width, min(p.begins)) INTO until
      FROM app.event_partitions() p WHERE p.begins > since;
      named := 'mcp_events_' || to_char(since, 'YYYYMMDDHH24MI');
      IF to_regclass('app.' || named) IS NULL AND NOT EXISTS (
        SELECT FROM app.mcp_events_default e WHERE e.created_at >= since AND e.created_at < until
      ) THEN
        -- ATTACH PARTITION allows concurrent writes, PARTITION OF does not.
        EXECUTE format('CREATE TABLE app.%I (LIKE public.mcp_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMPRESSION)', named);
        EXECUTE format('ALTER TABLE app.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', named);
        EXECUTE format('ALTER TABLE public.mcp_events ATTACH PARTITION app.%I FOR VALUES FROM (%L) TO (%L)',
          named, since, until);
        RETURN named;
      END IF;
    END IF;
    since := until;
  END LOOP;
  RETURN NULL;
END
$$;

-- Drops the oldest partition that ended before p_before, and returns its name; NULL if there is none, or while another
-- replica does this. It drops one per call, with the locks of the function above. No event is deleted within its first hour
-- by the database's clock, whatever the arguments are.
CREATE OR REPLACE FUNCTION app.drop_event_partition(p_before timestamptz) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' SET lock_timeout = '100ms'
AS $$
DECLARE
  old text;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('memory-bank-mcp event partitions', 0)) THEN
    RETURN NULL;
  END IF;
  -- As text, since a dropped table has no name.
  SELECT p.tab::text INTO old FROM app.event_partitions() p
  WHERE p.ends <= p_before AND p.ends <= now() - interval '1 hour' ORDER BY p.ends LIMIT 1;
  IF old IS NOT NULL THEN
    EXECUTE format('DROP TABLE %s', old);
  END IF;
  RETURN old;
END
$$;

-- Deletes sessions that expired before p_now with their events, and events of the default partition stored before
-- p_events_before; other events are dropped with their partition. Deletes at most p_most rows of each; one replica at a time.
-- Returns the number of rows; 0 while another replica does this. By the database's clock, nothing is deleted that has not
-- expired, and no event within its first hour, whatever the arguments are.
CREATE OR REPLACE FUNCTION app.purge(p_now timestamptz, p_events_before timestamptz, p_most bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  expired uuid[];
  projects uuid[];
  removed bigint;
  more bigint;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('memory-bank-mcp purge', 0)) THEN
    RETURN 0;
  END IF;
  DELETE FROM public.mcp_events e USING (
    SELECT o.project_id, o.stream_id, o.place, o.created_at FROM app.mcp_events_default o
    WHERE o.created_at < least(p_events_before, now() - interval '1 hour') ORDER BY o.created_at LIMIT p_most
  ) AS old
  WHERE e.project_id = old.project_id AND e.stream_id = old.stream_id AND e.place = old.place
    AND e.created_at = old.created_at;
  GET DIAGNOSTICS removed = ROW_COUNT;
  SELECT array_agg(o.id), array_agg(o.project_id) INTO expired, projects FROM (
    SELECT s.project_id, s.id FROM public.sessions s WHERE s.expires_at <= least(p_now, now())
    ORDER BY s.expires_at LIMIT p_most FOR UPDATE SKIP LOCKED
  ) AS o;
  IF expired IS NULL THEN
    RETURN removed;
  END IF;
  DELETE FROM public.mcp_events e USING (
    SELECT o.project_id, o.stream_id, o.place, o.created_at FROM public.mcp_events o
    WHERE o.session_id = ANY (expired) AND (o.project_id, o.session_id) IN (SELECT * FROM unnest(projects, expired))
    LIMIT p_most
  ) AS old
  WHERE e.project_id = old.project_id AND e.stream_id = old.stream_id AND e.place = old.place
    AND e.created_at = old.created_at;
  GET DIAGNOSTICS more = ROW_COUNT;
  removed := removed + more;
  -- A session is deleted after its events, so that each call deletes a bounded number of rows.
  DELETE FROM public.sessions s USING unnest(projects, expired) AS x (project_id, id)
  WHERE s.project_id = x.project_id AND s.id = x.id AND NOT EXISTS (
    SELECT FROM public.mcp_events e WHERE e.session_id = x.id AND e.project_id = x.project_id
  );
  GET DIAGNOSTICS more = ROW_COUNT;
  RETURN removed + more;
END
$$;

-- The number and age of stored events, for operators whose clients cannot resume.
CREATE OR REPLACE FUNCTION app.kept_for_replay()
RETURNS TABLE (events bigint, oldest timestamptz, newest timestamptz, sessions bigint, expired_sessions bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT
    (SELECT count(*) FROM (SELECT FROM public.mcp_events LIMIT 1000000) AS e),
    (SELECT min(e.created_at) FROM public.mcp_events e),
    (SELECT max(e.created_at) FROM public.mcp_events e),
    (SELECT count(*) FROM (SELECT FROM public.sessions LIMIT 1000000) AS s),
    (SELECT count(*) FROM (SELECT FROM public.sessions s WHERE s.expires_at <= now() LIMIT 1000000) AS s)
$$;

-- Up to where the log of this primary is on disk, and the mark of its history: at or past the record of every acknowledged commit, unless
-- commits are acknowledged before (synchronous_commit). Without a place nobody may rely on one: the primary has just got another mark, or
-- acknowledges too early. An error on a standby.
CREATE OR REPLACE FUNCTION app.log_position(OUT place pg_lsn, OUT mark bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  line text := substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8);
  next bigint;
BEGIN
  SELECT h.mark INTO mark FROM app.log_history h, app.log_mark m
  WHERE h.started = pg_postmaster_start_time() AND h.timeline = line AND h.mark = m.last_value;
  IF mark IS NULL AND current_setting('transaction_read_only') = 'off' THEN
    -- Nobody reads at a standby before the mark is there, so the mark waits for none.
    IF current_setting('synchronous_commit') <> 'off' THEN
      PERFORM set_config('synchronous_commit', 'local', true);
    END IF;
    -- 60 random bits; a new sequence has 1.
    next := ('x' || right(replace(gen_random_uuid()::text, '-', ''), 15))::bit(60)::bigint + 2;
    INSERT INTO app.log_history AS h (mark, started, timeline) VALUES (next, pg_postmaster_start_time(), line)
    ON CONFLICT (only_row) DO UPDATE SET mark = excluded.mark, started = excluded.started, timeline = excluded.timeline
    WHERE (h.started, h.timeline) IS DISTINCT FROM (excluded.started, excluded.timeline)
      OR h.mark <> (SELECT m.last_value FROM app.log_mark m);
    -- Not if another session has done it since.
    IF FOUND THEN
      PERFORM setval('app.log_mark', next);
    END IF;
  ELSIF mark IS NOT NULL AND current_setting('synchronous_commit') <> 'off' THEN
    place := pg_current_wal_flush_lsn();
  END IF;
END
$$;

-- Whether this session gets a role in a project by naming one of its members, without a key: the server checks this before
-- it listens. NULL if no project has a member.
CREATE OR REPLACE FUNCTION app.opens_without_key() RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  usr uuid;
  project uuid;
  opens boolean;
BEGIN
  SELECT m.user_id, m.project_id INTO usr, project FROM public.memberships m LIMIT 1;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  PERFORM set_config('app.current_user_id', usr::text, true), set_config('app.current_project_id', project::text, true),
    set_config('app.current_key_id', '', true), set_config('app.current_key_hash', '', true);
  opens := app.current_project_role() IS NOT NULL;
  -- The session must not learn their names.
  PERFORM set_config('app.current_user_id', '', true), set_config('app.current_project_id', '', true);
  RETURN opens;
END
$$;

-- Administration ----------------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION app.user_named(p_name text) RETURNS uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found uuid := (SELECT u.id FROM public.users u WHERE u.name = p_name);
BEGIN
  IF found IS NULL THEN
    RAISE EXCEPTION '%', p_name USING ERRCODE = 'MB404', DETAIL = 'user';
  END IF;
  RETURN found;
END
$$;

CREATE OR REPLACE FUNCTION app.project_called(p_slug text) RETURNS uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found uuid := (SELECT p.id FROM public.projects p WHERE p.slug = p_slug);
BEGIN
  IF found IS NULL THEN
    RAISE EXCEPTION '%', p_slug USING ERRCODE = 'MB404', DETAIL = 'project';
  END IF;
  RETURN found;
END
$$;

-- Two at once that look for a name would both find no user. It is called before a project is locked.
CREATE OR REPLACE FUNCTION app.lock_names() RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT pg_advisory_xact_lock(hashtextextended('memory-bank-mcp bootstrap', 0)) $$;

-- A form that two names share if they differ in letter case, spaces or compatible characters only. Letter case follows a collation
-- that knows all letters, if there is one: that of the database may know those of ASCII only.
DO $$
BEGIN
  EXECUTE format($f$
    CREATE OR REPLACE FUNCTION app.name_form(p_name text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $body$
      SELECT lower(upper(regexp_replace(btrim(normalize(p_name, NFKC)), '\s+', ' ', 'g') %1$s) %1$s)
    $body$ $f$, (
      SELECT format('COLLATE pg_catalog.%I', c.collname) FROM pg_catalog.pg_collation c
      WHERE c.collname IN ('und-x-icu', 'pg_c_utf8') AND c.collnamespace = 'pg_catalog'::regnamespace
      ORDER BY c.collname DESC LIMIT 1));
END
$$;

-- Whether a reader may take a name for another one: it has control or invisible characters, or characters that change the
-- direction of text, or Latin letters beside Greek or Cyrillic ones.
CREATE OR REPLACE FUNCTION app.is_misleading(p_name text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT p_name ~ ('[\u0001-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f'
      '\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a'
      '\U000e0000-\U000e0fff]')
    OR (normalize(p_name, NFKC) ~ '[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff\u2c60-\u2c7f\ua720-\ua7ff]'
      AND normalize(p_name, NFKC) ~ '[\u0370-\u052f\u1c80-\u1c8f\u1f00-\u1fff\u2de0-\u2dff\ua640-\ua69f]')
$$;

CREATE OR REPLACE FUNCTION app.create_user(p_id uuid, p_name text, p_email text)
RETURNS TABLE (id uuid, name text, email text, created_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  broken text;
BEGIN
  PERFORM app.lock_names();
  IF app.is_misleading(p_name) THEN
    RAISE EXCEPTION 'a user''s name has no invisible characters, and does not mix Latin letters with Cyrillic or Greek ones'
      USING ERRCODE = 'MB400';
  ELSIF normalize(p_name, NFKC) ~ ' [(][^ ()]+[)]( [0-9a-f-]{36})?$' THEN
    RAISE EXCEPTION 'a user''s name does not end with a word in parentheses; names of users who sign in with a provider do'
      USING ERRCODE = 'MB400';
  ELSIF EXISTS (SELECT FROM public.users u WHERE u.name <> p_name AND app.name_form(u.name) = app.name_form(p_name)) THEN
    RAISE EXCEPTION 'a user has a name that differs from `%` in letter case, spaces or spelling only; give another one', p_name
      USING ERRCODE = 'MB400';
  END IF;
  RETURN QUERY
  INSERT INTO public.users AS u (id, name, email) VALUES (p_id, p_name, p_email)
  RETURNING u.id, u.name, u.email, u.created_at;
EXCEPTION
  WHEN unique_violation THEN
    GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
    IF broken = 'users_email_key' THEN
      RAISE EXCEPTION 'another user has the address `%`; give another one', p_email USING ERRCODE = 'MB400';
    END IF;
    RAISE EXCEPTION '%', p_name USING ERRCODE = 'MB409', DETAIL = 'user';
  WHEN check_violation THEN
    RAISE EXCEPTION 'a user''s name has 1 to 255 bytes, an address at most 320' USING ERRCODE = 'MB400';
END
$$;

CREATE OR REPLACE FUNCTION app.list_users()
RETURNS TABLE (id uuid, name text, email text, created_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT u.id, u.name, u.email, u.created_at FROM public.users u ORDER BY u.name $$;

CREATE OR REPLACE FUNCTION app.create_project(p_id uuid, p_slug text, p_name text, p_owner text)
RETURNS TABLE (id uuid, slug text, name text, created_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  owner constant uuid := app.user_named(p_owner);
BEGIN
  RETURN QUERY
  INSERT INTO public.projects AS p (id, owner_id, name, slug) VALUES (p_id, owner, p_name, p_slug)
  RETURNING p.id, p.slug, p.name, p.created_at;
  INSERT INTO public.memberships (user_id, project_id, role) VALUES (owner, p_id, 'owner');
EXCEPTION
  WHEN unique_violation THEN
    RAISE EXCEPTION '%', p_slug USING ERRCODE = 'MB409', DETAIL = 'project';
  WHEN check_violation THEN
    RAISE EXCEPTION '`%` is no slug: use up to 100 lower-case letters, digits, `.`, `_` and `-`, a letter or digit first and last',
      p_slug USING ERRCODE = 'MB400';
END
$$;

CREATE OR REPLACE FUNCTION app.list_projects()
RETURNS TABLE (id uuid, slug text, name text, created_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT p.id, p.slug, p.name, p.created_at FROM public.projects p ORDER BY p.slug $$;

-- Sets the quota of a project in bytes; NULL means the server's default.
CREATE OR REPLACE FUNCTION app.set_project_quota(p_slug text, p_bytes bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project constant uuid := app.project_called(p_slug);
BEGIN
  DELETE FROM app.stored_bytes s WHERE s.project_id = project AND s.kind = 'quota';
  INSERT INTO app.stored_bytes (project_id, slot, kind, bytes) SELECT project, -1, 'quota', p_bytes WHERE p_bytes IS NOT NULL
  ON CONFLICT (project_id, slot, kind) DO UPDATE SET bytes = excluded.bytes;
  PERFORM app.audit('project.quota_set', project, p_slug, jsonb_build_object('bytes', p_bytes));
END
$$;

-- The stored bytes of each project, and its own quota, if it has one.
CREATE OR REPLACE FUNCTION app.list_stored_bytes()
RETURNS TABLE (slug text, documents bigint, snapshots bigint, others bigint, quota bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT p.slug,
    coalesce(sum(s.bytes) FILTER (WHERE s.kind = 'documents'), 0)::bigint,
    coalesce(sum(s.bytes) FILTER (WHERE s.kind = 'snapshots'), 0)::bigint,
    coalesce(sum(s.bytes) FILTER (WHERE s.kind IN ('graph', 'files')), 0)::bigint,
    max(s.bytes) FILTER (WHERE s.kind = 'quota')
  FROM public.projects p LEFT JOIN app.stored_bytes s ON s.project_id = p.id GROUP BY p.id ORDER BY p.slug
$$;

-- Changes of the members of a project wait for each other. It is called before roles are read, since a role that was read
-- earlier may have changed when the lock is there. Rows that only refer to the project do not wait.
CREATE OR REPLACE FUNCTION app.lock_members(p_project uuid) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT FROM public.projects p WHERE p.id = p_project FOR NO KEY UPDATE $$;

-- A project always has an owner: the last one can be neither removed nor demoted. Owners by a mapping do not count, since a
-- mapping takes back what it gave. The caller has locked the members.
CREATE OR REPLACE FUNCTION app.keeps_an_owner(p_project uuid, p_leaving uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM public.memberships m WHERE m.project_id = p_project AND m.user_id <> p_leaving AND m.role = 'owner'
      AND NOT app.is_mapped(m.project_id, m.user_id)
  ) THEN
    RAISE EXCEPTION 'this is the project''s last owner; make another member owner first' USING ERRCODE = 'MB400';
  END IF;
END
$$;

CREATE OR REPLACE FUNCTION app.list_members(p_slug text)
RETURNS TABLE (id uuid, name text, email text, created_at timestamptz, role text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project constant uuid := app.project_called(p_slug);
BEGIN
  RETURN QUERY
  SELECT u.id, u.name, u.email, u.created_at, m.role::text
  FROM public.memberships m JOIN public.users u ON u.id = m.user_id
  WHERE m.project_id = project ORDER BY u.name;
END
$$;

CREATE OR REPLACE FUNCTION app.put_member(p_slug text, p_user text, p_role text)
RETURNS TABLE (id uuid, name text, email text, created_at timestamptz, role text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  project constant uuid := app.project_called(p_slug);
  usr constant uuid := app.user_named(p_user);
BEGIN
  PERFORM app.lock_members(project);
  IF p_role <> 'owner' AND EXISTS (
    SELECT FROM public.memberships m WHERE m.project_id = project AND m.user_id = usr AND m.role = 'owner'
  ) THEN
    PERFORM app.keeps_an_owner(project, usr);
  END IF;
  INSERT INTO public.memberships (user_id, project_id, role) VALUES (usr, project, p_role::public.project_role)
  ON CONFLICT (user_id, project_id) DO UPDATE SET role = excluded.role;
  RETURN QUERY SELECT u.id, u.name, u.email, u.created_at, p_role FROM public.users u WHERE u.id = usr;
END
$$;

-- Removes a member and revokes its keys in the project; returns those that were valid before.
CREATE OR REPLACE FUNCTION app.remove_member(p_slug text, p_user text) RETURNS SETOF public.api_keys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project constant uuid := app.project_called(p_slug);
  usr constant uuid := app.user_named(p_user);
  held public.project_role;
BEGIN
  PERFORM app.lock_members(project);
  SELECT m.role INTO held FROM public.memberships m WHERE m.project_id = project AND m.user_id = usr;
  IF held IS NULL THEN
    RAISE EXCEPTION '%', p_user USING ERRCODE = 'MB404', DETAIL = 'member';
  ELSIF held = 'owner' THEN
    PERFORM app.keeps_an_owner(project, usr);
  END IF;
  DELETE FROM public.memberships m WHERE m.project_id = project AND m.user_id = usr;
  RETURN QUERY
  UPDATE public.api_keys k SET revoked_at = now()
  WHERE k.project_id = project AND k.user_id = usr
    -- The trigger of the membership has just revoked the tokens; caches evict them like keys.
    AND (k.revoked_at IS NULL OR k.grant_id IS NOT NULL AND k.revoked_at = now())
  RETURNING k.*;
END
$$;

CREATE OR REPLACE FUNCTION app.create_key(
  p_slug text, p_user text, p_id uuid, p_key_hash bytea, p_key_prefix text, p_label text, p_scopes text[],
  p_rate_limit integer, p_expires_at timestamptz, p_created_at timestamptz
) RETURNS SETOF public.api_keys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project constant uuid := app.project_called(p_slug);
  usr constant uuid := app.user_named(p_user);
BEGIN
  IF NOT EXISTS (SELECT FROM public.memberships m WHERE m.user_id = usr AND m.project_id = project) THEN
    RAISE EXCEPTION '%', p_user USING ERRCODE = 'MB404', DETAIL = 'member';
  END IF;
  RETURN QUERY
  INSERT INTO public.api_keys (id, user_id, project_id, key_hash, key_prefix, label, scopes, rate_limit, expires_at, created_at)
  VALUES (p_id, usr, project, p_key_hash, p_key_prefix, p_label, p_scopes, p_rate_limit, p_expires_at, p_created_at)
  RETURNING *;
END
$$;

-- Creates the first user and project if they do not exist, and always a new key of the owner. All or nothing.
CREATE OR REPLACE FUNCTION app.bootstrap(
  p_user_id uuid, p_user text, p_email text, p_project_id uuid, p_slug text, p_name text,
  p_key_id uuid, p_key_hash bytea, p_key_prefix text, p_label text, p_scopes text[], p_rate_limit integer,
  p_expires_at timestamptz, p_created_at timestamptz
) RETURNS TABLE (
  user_id uuid, user_name text, user_email text, user_created_at timestamptz,
  project_id uuid, project_slug text, project_name text, project_created_at timestamptz
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM app.lock_names();
  IF NOT EXISTS (SELECT FROM public.users u WHERE u.name = p_user) THEN
    PERFORM app.create_user(p_user_id, p_user, p_email);
  END IF;
  IF NOT EXISTS (SELECT FROM public.projects p WHERE p.slug = p_slug) THEN
    PERFORM app.create_project(p_project_id, p_slug, p_name, p_user);
  END IF;
  PERFORM app.put_member(p_slug, p_user, 'owner');
  PERFORM app.create_key(
    p_slug, p_user, p_key_id, p_key_hash, p_key_prefix, p_label, p_scopes, p_rate_limit, p_expires_at, p_created_at);
  RETURN QUERY
  SELECT u.id, u.name, u.email, u.created_at, p.id, p.slug, p.name, p.created_at
  FROM public.users u, public.projects p WHERE u.name = p_user AND p.slug = p_slug;
END
$$;

-- A key by its id.
CREATE OR REPLACE FUNCTION app.find_key(p_id uuid) RETURNS SETOF public.api_keys
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY SELECT k.* FROM public.api_keys k WHERE k.id = p_id AND k.grant_id IS NULL;
  IF NOT FOUND THEN
    RAISE EXCEPTION '%', p_id USING ERRCODE = 'MB404', DETAIL = 'key';
  END IF;
END
$$;

-- A function that an earlier script of this version made returns one column less.
DO $$
BEGIN
  IF pg_get_function_result(to_regprocedure('app.list_keys(text,boolean,timestamptz)')) NOT LIKE '%grant_id%' THEN
    DROP FUNCTION app.list_keys(text, boolean, timestamptz);
  END IF;
END
$$;
CREATE OR REPLACE FUNCTION app.list_keys(p_slug text, p_all boolean, p_now timestamptz)
RETURNS TABLE (
  user_name text, id uuid, key_hash bytea, key_prefix text, label text, scopes text[], rate_limit integer,
  last_used_at timestamptz, expires_at timestamptz, created_at timestamptz, revoked_at timestamptz, grant_id uuid
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  project constant uuid := app.project_called(p_slug);
BEGIN
  RETURN QUERY
  SELECT u.name, k.id, k.key_hash, k.key_prefix::text, k.label, k.scopes, k.rate_limit, k.last_used_at, k.expires_at,
    k.created_at, k.revoked_at, k.grant_id
  FROM public.api_keys k JOIN public.users u ON u.id = k.user_id
  WHERE k.project_id = project AND (p_all OR (k.revoked_at IS NULL AND (k.expires_at > p_now) IS NOT FALSE))
  ORDER BY k.created_at DESC, k.id;
END
$$;

CREATE OR REPLACE FUNCTION app.revoke_key(p_id uuid, p_now timestamptz) RETURNS SETOF public.api_keys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN QUERY
  UPDATE public.api_keys k SET revoked_at = p_now WHERE k.id = p_id AND k.grant_id IS NULL AND k.revoked_at IS NULL
  RETURNING k.*;
  IF NOT FOUND THEN
    RAISE EXCEPTION '%', p_id USING ERRCODE = 'MB404', DETAIL = 'key';
  END IF;
END
$$;

-- Revokes a key and creates an equal one. The first row is the new key, the second the old one.
CREATE OR REPLACE FUNCTION app.rotate_key(
  p_id uuid, p_new_id uuid, p_key_hash bytea, p_key_prefix text, p_expires_at timestamptz, p_now timestamptz
) RETURNS SETOF public.api_keys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  old public.api_keys;
BEGIN
  IF (SELECT count(*) FROM public.api_keys k WHERE k.id = p_id AND k.revoked_at IS NULL) > 1 THEN
    RAISE EXCEPTION 'keys of several projects have the id `%`; revoke it, and create another key in its project', p_id
      USING ERRCODE = 'MB400';
  END IF;
  SELECT * INTO old FROM app.revoke_key(p_id, p_now);
  RETURN QUERY
  INSERT INTO public.api_keys (id, user_id, project_id, key_hash, key_prefix, label, scopes, rate_limit, expires_at, created_at)
  VALUES (p_new_id, old.user_id, old.project_id, p_key_hash, p_key_prefix, old.label, old.scopes, old.rate_limit,
    p_expires_at, p_now)
  RETURNING *;
  RETURN NEXT old;
END
$$;

-- Changes a key that is not revoked; what is NULL stays, and so does the label unless p_labels is true. An expiry can only move
-- earlier.
CREATE OR REPLACE FUNCTION app.update_key(
  p_id uuid, p_labels boolean, p_label text, p_scopes text[], p_rate_limit integer, p_expires_at timestamptz
) RETURNS SETOF public.api_keys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  ends timestamptz;
BEGIN
  IF (SELECT count(*) FROM public.api_keys k WHERE k.id = p_id AND k.revoked_at IS NULL) > 1 THEN
    RAISE EXCEPTION 'keys of several projects have the id `%`; revoke it, and create another key in its project', p_id
      USING ERRCODE = 'MB400';
  END IF;
  SELECT k.expires_at INTO ends FROM public.api_keys k WHERE k.id = p_id AND k.revoked_at IS NULL FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION '%', p_id USING ERRCODE = 'MB404', DETAIL = 'key';
  ELSIF p_expires_at > ends THEN
    RAISE EXCEPTION 'the key expires at %, and an expiry can only move earlier; rotate the key for a later one',
      to_char(ends AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') USING ERRCODE = 'MB400';
  END IF;
  RETURN QUERY
  UPDATE public.api_keys k SET
    label = CASE WHEN p_labels THEN p_label ELSE k.label END,
    scopes = coalesce(p_scopes, k.scopes),
    rate_limit = coalesce(p_rate_limit, k.rate_limit),
    expires_at = coalesce(p_expires_at, k.expires_at)
  WHERE k.id = p_id AND k.revoked_at IS NULL RETURNING k.*;
EXCEPTION WHEN check_violation THEN
  RAISE EXCEPTION 'a label has at most 1024 bytes' USING ERRCODE = 'MB400';
END
$$;

-- Makes a user, if there is none of the name, a member of a project, with a new key: all or nothing. A member with another role
-- is refused, so that no invitation changes a role. Gives whether the user is new.
CREATE OR REPLACE FUNCTION app.invite_member(
  p_user_id uuid, p_user text, p_email text, p_slug text, p_role text,
  p_key_id uuid, p_key_hash bytea, p_key_prefix text, p_label text, p_scopes text[], p_rate_limit integer,
  p_expires_at timestamptz, p_created_at timestamptz
) RETURNS TABLE (id uuid, name text, email text, created_at timestamptz, role text, is_new boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  project constant uuid := app.project_called(p_slug);
  held public.project_role;
  made boolean := false;
BEGIN
  PERFORM app.lock_names();
  IF NOT EXISTS (SELECT FROM public.users u WHERE u.name = p_user) THEN
    PERFORM app.create_user(p_user_id, p_user, p_email);
    made := true;
  END IF;
  SELECT m.role INTO held FROM public.memberships m JOIN public.users u ON u.id = m.user_id
  WHERE m.project_id = project AND u.name = p_user;
  IF held::text <> p_role THEN
    RAISE EXCEPTION '`%` is a member already, as %; `members add` changes the role, `keys create` makes another key', p_user, held
      USING ERRCODE = 'MB400';
  END IF;
  PERFORM app.put_member(p_slug, p_user, p_role);
  PERFORM app.create_key(
    p_slug, p_user, p_key_id, p_key_hash, p_key_prefix, p_label, p_scopes, p_rate_limit, p_expires_at, p_created_at);
  RETURN QUERY
  SELECT u.id, u.name, u.email, u.created_at, p_role, made FROM public.users u WHERE u.name = p_user;
END
$$;

-- Removes sessions with their events; events have no foreign key.
CREATE OR REPLACE FUNCTION app.end_sessions(p_user uuid, p_project uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  DELETE FROM public.mcp_events e USING public.sessions s
  WHERE e.session_id = s.id AND e.project_id = s.project_id AND (p_user IS NOT NULL OR p_project IS NOT NULL)
    AND (p_user IS NULL OR s.user_id = p_user) AND (p_project IS NULL OR s.project_id = p_project);
  DELETE FROM public.sessions s
  WHERE (p_user IS NOT NULL OR p_project IS NOT NULL)
    AND (p_user IS NULL OR s.user_id = p_user) AND (p_project IS NULL OR s.project_id = p_project);
END
$$;

-- Removes a user with memberships, keys, sessions and the state of its sessions; documents, graph and backups belong to projects
-- and stay. A project whose last owner it is stops that. Gives the keys that were not void before.
CREATE OR REPLACE FUNCTION app.remove_user(p_user text) RETURNS SETOF public.api_keys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  usr constant uuid := app.user_named(p_user);
  alone text;
BEGIN
  -- A change of an owner of these projects waits; rows are locked in one order, so that two removals do not wait for each other.
  PERFORM FROM public.projects p
  WHERE p.owner_id = usr OR p.id IN (SELECT m.project_id FROM public.memberships m WHERE m.user_id = usr)
  ORDER BY p.id FOR NO KEY UPDATE;
  SELECT string_agg('`' || p.slug || '`', ', ' ORDER BY p.slug) INTO alone FROM public.projects p
  WHERE (p.owner_id = usr OR EXISTS (
      SELECT FROM public.memberships m WHERE m.project_id = p.id AND m.user_id = usr AND m.role = 'owner'))
    AND NOT EXISTS (
      SELECT FROM public.memberships m WHERE m.project_id = p.id AND m.user_id <> usr AND m.role = 'owner'
        AND NOT app.is_mapped(m.project_id, m.user_id));
  IF alone IS NOT NULL THEN
    RAISE EXCEPTION '`%` is the last owner of %; make another member owner first, or remove the project', p_user, alone
      USING ERRCODE = 'MB400';
  END IF;
  UPDATE public.projects p SET owner_id = (
    SELECT m.user_id FROM public.memberships m
    WHERE m.project_id = p.id AND m.user_id <> usr AND m.role = 'owner' AND NOT app.is_mapped(m.project_id, m.user_id) ORDER BY m.created_at, m.user_id LIMIT 1)
  WHERE p.owner_id = usr;
  RETURN QUERY
  UPDATE public.api_keys k SET revoked_at = now() WHERE k.user_id = usr AND k.revoked_at IS NULL RETURNING k.*;
  PERFORM app.end_sessions(usr, NULL);
  DELETE FROM public.users u WHERE u.id = usr;
END
$$;

-- Gives a project another slug; a display name that is the slug follows. Gives the project, as it is now.
CREATE OR REPLACE FUNCTION app.rename_project(p_slug text, p_new text)
RETURNS TABLE (id uuid, slug text, name text, created_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project constant uuid := app.project_called(p_slug);
BEGIN
  RETURN QUERY
  UPDATE public.projects AS p SET slug = p_new, name = CASE WHEN p.name = p.slug THEN p_new ELSE p.name END
  WHERE p.id = project RETURNING p.id, p.slug, p.name, p.created_at;
EXCEPTION
  WHEN unique_violation THEN
    RAISE EXCEPTION '%', p_new USING ERRCODE = 'MB409', DETAIL = 'project';
  WHEN check_violation THEN
    RAISE EXCEPTION '`%` is no slug: use up to 100 lower-case letters, digits, `.`, `_` and `-`, a letter or digit first and last',
      p_new USING ERRCODE = 'MB400';
END
$$;

-- Removes a project with all that it holds; the audit log stays. Gives the keys that were not void before.
CREATE OR REPLACE FUNCTION app.remove_project(p_slug text) RETURNS SETOF public.api_keys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project constant uuid := app.project_called(p_slug);
BEGIN
  PERFORM FROM public.projects p WHERE p.id = project FOR UPDATE;
  RETURN QUERY
  UPDATE public.api_keys k SET revoked_at = now() WHERE k.project_id = project AND k.revoked_at IS NULL RETURNING k.*;
  PERFORM app.end_sessions(NULL, project);
  DELETE FROM public.projects p WHERE p.id = project;
END
$$;

-- Keys of the caller: called as app_user, in its context -------------------------------------------------------------------

-- Whether the caller is an application with a token. A session of the web console is a grant, too, and its user's own; no
-- token of an outside issuer is one.
CREATE OR REPLACE FUNCTION app.is_of_application() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT EXISTS (SELECT FROM app.oauth_grants g WHERE g.project_id = app.current_project_id() AND g.id = app.current_key_id()
    AND (g.client_id <> 'memory-bank-console' OR g.issuer IS NOT NULL))
$$;

-- The hash under which caches store a key of the caller, for administrators.
CREATE OR REPLACE FUNCTION app.own_key_hash(p_id uuid) RETURNS bytea
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF (app.current_access()).administers IS NOT TRUE THEN
    RETURN NULL;
  END IF;
  RETURN (
    SELECT k.key_hash FROM public.api_keys k
    WHERE k.id = p_id AND k.project_id = app.current_project_id() AND k.user_id = app.current_user_id() AND k.grant_id IS NULL
  );
END
$$;

-- When a key ends that the caller makes: no later than the caller's key, or the key that opened its session; 90 days after now
-- in a session that an identity of an outside issuer opened, since an issuer does not report users who have left. A key that is
-- replaced, p_replaced, does not limit the one that replaces it, nor do void keys; NULL is no limit.
CREATE OR REPLACE FUNCTION app.key_bound(p_replaced uuid) RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE WHEN k.grant_id IS NULL THEN k.expires_at
    ELSE least(o.expires_at, CASE WHEN g.by_identity IS NOT NULL THEN now() + interval '90 days' END) END
  FROM public.api_keys k
  LEFT JOIN app.oauth_grants g ON g.project_id = k.project_id AND g.id = k.grant_id
  LEFT JOIN public.api_keys o ON o.project_id = g.project_id AND o.id = g.by_key AND o.revoked_at IS NULL AND o.id IS DISTINCT FROM p_replaced
  WHERE k.project_id = app.current_project_id() AND k.key_hash = app.current_key_hash() AND k.revoked_at IS NULL
    AND k.id IS DISTINCT FROM p_replaced
$$;

-- The same for whatever way a key is made; operators have no key.
CREATE OR REPLACE FUNCTION app.bound_key() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF app.current_key_hash() IS NOT NULL THEN
    NEW.expires_at := least(NEW.expires_at, app.key_bound(NULL));
  END IF;
  RETURN NEW;
END
$$;

-- Revokes a key of the caller and creates an equal one in one step: the replaced key may be the key of this call, and a void
-- key can do nothing more. False if no such valid key exists.
CREATE OR REPLACE FUNCTION app.replace_own_key(
  p_id uuid, p_new_id uuid, p_key_hash bytea, p_key_prefix text, p_expires_at timestamptz, p_now timestamptz
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  old public.api_keys;
BEGIN
  IF (app.current_access()).administers IS NOT TRUE THEN
    RAISE EXCEPTION 'the caller may not replace keys' USING ERRCODE = 'insufficient_privilege';
  END IF;
  SELECT * INTO old FROM public.api_keys k
  WHERE k.id = p_id AND k.project_id = app.current_project_id() AND k.user_id = app.current_user_id()
    AND k.revoked_at IS NULL AND k.grant_id IS NULL
  FOR UPDATE;
  IF NOT FOUND THEN
    RETURN false;
  ELSIF app.is_of_application() THEN
    -- A key would outlive the token, and what its user can take back.
    RAISE EXCEPTION 'a token cannot make keys' USING ERRCODE = 'insufficient_privilege';
  ELSIF NOT app.may_give(old.scopes) THEN
    RAISE EXCEPTION 'a key cannot give more scopes than it has itself' USING ERRCODE = 'insufficient_privilege';
  END IF;
  UPDATE public.api_keys k SET revoked_at = p_now WHERE k.id = p_id AND k.project_id = old.project_id;
  INSERT INTO public.api_keys (id, user_id, project_id, key_hash, key_prefix, label, scopes, rate_limit, expires_at, created_at)
  VALUES (p_new_id, old.user_id, old.project_id, p_key_hash, p_key_prefix, old.label, old.scopes, old.rate_limit,
    p_expires_at, p_now);
  RETURN true;
END
$$;

-- Owners ---------------------------------------------------------------------------------------------------------------
--
-- What an owner sees and changes of the project over HTTP. The functions take user, project, key and the key's hash, enter that
-- context and check it; then the functions of operators do the work, for this project alone. No application administers: what
-- it did would outlive its token.

-- Enters the context of an owner; gives the slug of the project.
CREATE OR REPLACE FUNCTION app.enter_as_owner(p_user text, p_project text, p_key text, p_key_hash text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM set_config('app.current_user_id', p_user, true), set_config('app.current_project_id', p_project, true),
    set_config('app.current_key_id', p_key, true), set_config('app.current_key_hash', p_key_hash, true),
    set_config('app.current_purpose', 'own', true);
  IF (app.current_access()).administers IS NOT TRUE OR app.is_of_application() THEN
    RAISE EXCEPTION 'the caller does not administer this project' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN (SELECT p.slug FROM public.projects p WHERE p.id = app.current_project_id());
END
$$;

-- The same to change members: the caller may have lost its role while it waited for another change.
CREATE OR REPLACE FUNCTION app.enter_to_change_members(p_user text, p_project text, p_key text, p_key_hash text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM app.enter_as_owner(p_user, p_project, p_key, p_key_hash);
  PERFORM app.lock_members(app.current_project_id());
  RETURN app.enter_as_owner(p_user, p_project, p_key, p_key_hash);
END
$$;

-- An earlier script of this version made it without the last column.
DO $$
BEGIN
  IF EXISTS (
    SELECT FROM pg_catalog.pg_proc p
    WHERE p.pronamespace = 'app'::regnamespace AND p.proname = 'owner_members' AND NOT 'is_own_open_invitation' = ANY (p.proargnames)
  ) THEN
    DROP FUNCTION app.owner_members(text, text, text, text, text, bigint);
  END IF;
END
$$;

-- The lists of owners have pages: the rows after a place in the order of the list, which stays when its row goes.
CREATE OR REPLACE FUNCTION app.owner_members(
  p_user text, p_project text, p_key text, p_key_hash text, p_after text, p_most bigint
) RETURNS TABLE (id uuid, name text, email text, created_at timestamptz, role text, is_own_open_invitation boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM app.enter_as_owner(p_user, p_project, p_key, p_key_hash);
  RETURN QUERY
  SELECT u.id, u.name, u.email, u.created_at, m.role::text, app.is_own_open_invitation(m.project_id, u.id)
  FROM public.memberships m JOIN public.users u ON u.id = m.user_id
  WHERE m.project_id = app.current_project_id() AND (p_after IS NULL OR u.name > p_after) ORDER BY u.name LIMIT p_most;
END
$$;

-- Refuses a role that gives rights which the key of the caller lacks, unless the member has them: p_held is its role.
CREATE OR REPLACE FUNCTION app.expect_may_give_role(p_role text, p_held text) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- The roles are in the order owner, editor, viewer.
  IF (p_role::public.project_role >= p_held::public.project_role) IS NOT TRUE AND (app.current_access()).scopes <> '{}'
    AND NOT (CASE p_role WHEN 'owner' THEN '{read,write,admin}'::text[] WHEN 'editor' THEN '{read,write}' ELSE '{read}' END)
      <@ (app.current_access()).scopes THEN
    RAISE EXCEPTION 'a role cannot give more rights than the key has itself; use a key with all rights of %', p_role
      USING ERRCODE = 'MB403';
  END IF;
END
$$;

-- Changes the role of a member. Gives the valid keys and tokens of the member, for caches.
CREATE OR REPLACE FUNCTION app.owner_change_member(
  p_user text, p_project text, p_key text, p_key_hash text, p_member text, p_role text
) RETURNS SETOF public.api_keys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  slug constant text := app.enter_to_change_members(p_user, p_project, p_key, p_key_hash);
  project constant uuid := app.current_project_id();
  usr uuid;
  held public.project_role;
BEGIN
  -- An owner changes members, and makes no member of a user who did not ask for it, or who was removed.
  SELECT m.user_id, m.role INTO usr, held FROM public.memberships m JOIN public.users u ON u.id = m.user_id
  WHERE m.project_id = project AND u.name = p_member;
  IF held = 'owner' AND p_role <> 'owner' THEN
    PERFORM app.keeps_an_owner(project, usr);
  ELSIF held IS NOT NULL THEN
    PERFORM app.expect_may_give_role(p_role, held::text);
  END IF;
  UPDATE public.memberships m SET role = p_role::public.project_role WHERE m.project_id = project AND m.user_id = usr;
  IF NOT FOUND THEN
    RAISE EXCEPTION '%', p_member USING ERRCODE = 'MB404', DETAIL = 'member';
  END IF;
  RETURN QUERY SELECT k.* FROM public.api_keys k
  WHERE k.project_id = project AND k.user_id = usr AND k.revoked_at IS NULL AND (k.expires_at > now()) IS NOT FALSE;
END
$$;

-- Makes a user and a member of it, with a key that gives no more than the key of the owner. A user who exists is not made a
-- member: the key would act in the name of somebody else.
CREATE OR REPLACE FUNCTION app.owner_invite(
  p_user text, p_project text, p_key text, p_key_hash text, p_most_members bigint, p_most_keys bigint,
  p_user_id uuid, p_name text, p_email text, p_role text, p_key_id uuid, p_new_hash bytea, p_key_prefix text, p_label text,
  p_scopes text[], p_rate_limit integer, p_expires_at timestamptz, p_created_at timestamptz
) RETURNS TABLE (id uuid, name text, email text, created_at timestamptz, key_expires_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  slug text;
  project uuid;
BEGIN
  PERFORM app.enter_as_owner(p_user, p_project, p_key, p_key_hash);
  -- The names of users are locked before a project, as operators do; the other way round the two would wait for each other.
  PERFORM app.lock_names();
  -- Invitations of a project wait for each other, so that they count each other.
  slug := app.enter_to_change_members(p_user, p_project, p_key, p_key_hash);
  project := app.current_project_id();
  PERFORM app.expect_may_give_role(p_role, NULL);
  IF NOT app.may_give(p_scopes) THEN
    RAISE EXCEPTION 'a key cannot give more scopes than it has itself' USING ERRCODE = 'insufficient_privilege';
  ELSIF EXISTS (SELECT FROM public.users u WHERE u.name = p_name) THEN
    RAISE EXCEPTION '%', p_name USING ERRCODE = 'MB409', DETAIL = 'user';
  ELSIF (SELECT count(*) FROM public.memberships m WHERE m.project_id = project) >= p_most_members OR (
    -- Users stay when their membership ends, so invitations count for a day.
    SELECT count(*) FROM app.audit_log l
    WHERE l.project_id = project AND l.action = 'member.added' AND l.at > now() - interval '1 day') >= p_most_members THEN
    RAISE EXCEPTION 'a project has at most % members, and as many invitations a day; an operator can add more', p_most_members
      USING ERRCODE = 'MB400';
  ELSIF (
    SELECT count(*) FROM public.api_keys k WHERE k.project_id = project AND k.grant_id IS NULL AND k.revoked_at IS NULL
      AND (k.expires_at > now()) IS NOT FALSE) >= p_most_keys THEN
    RAISE EXCEPTION 'a project may have % active keys; revoke one first', p_most_keys USING ERRCODE = 'MB400';
  END IF;
  RETURN QUERY SELECT i.id, i.name, i.email, i.created_at, least(p_expires_at, app.key_bound(NULL))
  FROM app.invite_member(p_user_id, p_name, p_email, slug, p_role, p_key_id, p_new_hash, p_key_prefix, p_label, p_scopes,
    p_rate_limit, p_expires_at, p_created_at) i;
END
$$;

-- Whether the caller invited this user of the project, who has come with nothing yet. The caller was shown all keys of such a user, so
-- a use which is not noted yet (servers note uses every ten seconds) lets a new key give the caller nothing new.
CREATE OR REPLACE FUNCTION app.is_own_open_invitation(p_project uuid, p_user uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT p_user <> app.current_user_id()
    AND NOT EXISTS (SELECT FROM public.api_keys k WHERE k.user_id = p_user AND (k.last_used_at IS NOT NULL OR k.grant_id IS NOT NULL))
    AND NOT EXISTS (SELECT FROM public.memberships m WHERE m.user_id = p_user AND m.project_id <> p_project)
    AND NOT EXISTS (SELECT FROM app.identities i WHERE i.user_id = p_user)
    AND NOT EXISTS (SELECT FROM app.oauth_grants g WHERE g.user_id = p_user)
    AND NOT EXISTS (SELECT FROM app.oauth_sign_ins s WHERE s.user_id = p_user)
    AND NOT EXISTS (SELECT FROM app.oauth_login_codes c WHERE c.user_id = p_user)
    -- The caller made the member, the last time, and all keys that are valid. An operator's rows name no user.
    AND app.current_user_id() IS NOT DISTINCT FROM (
      SELECT l.user_id FROM app.audit_log l
      WHERE l.project_id = p_project AND l.action = 'member.added' AND l.subject = p_user::text ORDER BY l.id DESC LIMIT 1)
    AND NOT EXISTS (
      SELECT FROM public.api_keys k WHERE k.user_id = p_user AND k.revoked_at IS NULL AND NOT EXISTS (
        SELECT FROM app.audit_log l
        WHERE l.project_id = k.project_id AND l.action IN ('key.created', 'key.rotated') AND l.subject = k.id::text
          AND l.user_id = app.current_user_id()))
$$;

-- Makes a key for a member whom the caller invited and who has come with nothing yet, since the key of the invitation was lost: the
-- keys that it replaces become void. Anybody else gets none: the key would act in the name of a user who has worked here, or works
-- elsewhere. Gives the new key, and the void ones for caches.
CREATE OR REPLACE FUNCTION app.owner_replace_invitation(
  p_user text, p_project text, p_key text, p_key_hash text, p_member text, p_key_id uuid, p_new_hash bytea, p_key_prefix text,
  p_label text, p_scopes text[], p_rate_limit integer, p_expires_at timestamptz, p_created_at timestamptz
) RETURNS SETOF public.api_keys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  slug constant text := app.enter_to_change_members(p_user, p_project, p_key, p_key_hash);
  project constant uuid := app.current_project_id();
  usr uuid;
BEGIN
  SELECT m.user_id INTO usr FROM public.memberships m JOIN public.users u ON u.id = m.user_id
  WHERE m.project_id = project AND u.name = p_member;
  IF usr IS NULL THEN
    RAISE EXCEPTION '%', p_member USING ERRCODE = 'MB404', DETAIL = 'member';
  ELSIF NOT app.may_give(p_scopes) THEN
    RAISE EXCEPTION 'a key cannot give more scopes than it has itself' USING ERRCODE = 'insufficient_privilege';
  ELSIF NOT app.is_own_open_invitation(project, usr) THEN
    RAISE EXCEPTION 'a new key is only for a member whom you invited and who has used nothing yet; an operator makes one with `memory-bank-mcp keys create`'
      USING ERRCODE = 'MB400';
  END IF;
  RETURN QUERY
  UPDATE public.api_keys k SET revoked_at = p_created_at WHERE k.user_id = usr AND k.project_id = project AND k.revoked_at IS NULL
  RETURNING k.*;
  RETURN QUERY SELECT * FROM app.create_key(slug, p_member, p_key_id, p_new_hash, p_key_prefix, p_label, p_scopes, p_rate_limit,
    p_expires_at, p_created_at);
END
$$;

CREATE OR REPLACE FUNCTION app.owner_remove_member(p_user text, p_project text, p_key text, p_key_hash text, p_member text)
RETURNS SETOF public.api_keys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  slug constant text := app.enter_to_change_members(p_user, p_project, p_key, p_key_hash);
BEGIN
  IF NOT EXISTS (
    SELECT FROM public.memberships m JOIN public.users u ON u.id = m.user_id
    WHERE m.project_id = app.current_project_id() AND u.name = p_member
  ) THEN
    -- The same whether there is such a user elsewhere or not.
    RAISE EXCEPTION '%', p_member USING ERRCODE = 'MB404', DETAIL = 'member';
  END IF;
  RETURN QUERY SELECT * FROM app.remove_member(slug, p_member);
END
$$;

-- The keys of all members, without their hashes.
CREATE OR REPLACE FUNCTION app.owner_keys(
  p_user text, p_project text, p_key text, p_key_hash text, p_all boolean, p_before_at timestamptz, p_before_id uuid, p_most bigint
) RETURNS TABLE (
  user_name text, id uuid, key_prefix text, label text, scopes text[], rate_limit integer, last_used_at timestamptz,
  expires_at timestamptz, created_at timestamptz, revoked_at timestamptz
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM app.enter_as_owner(p_user, p_project, p_key, p_key_hash);
  RETURN QUERY
  SELECT u.name, k.id, k.key_prefix::text, k.label, k.scopes, k.rate_limit, k.last_used_at, k.expires_at, k.created_at, k.revoked_at
  FROM public.api_keys k JOIN public.users u ON u.id = k.user_id
  WHERE k.project_id = app.current_project_id() AND k.grant_id IS NULL
    AND (p_all OR (k.revoked_at IS NULL AND (k.expires_at > now()) IS NOT FALSE))
    AND (p_before_at IS NULL OR (k.created_at, k.id) < (p_before_at, p_before_id))
  ORDER BY k.created_at DESC, k.id DESC LIMIT p_most;
END
$$;

-- Revokes a key of any member.
CREATE OR REPLACE FUNCTION app.owner_revoke_key(p_user text, p_project text, p_key text, p_key_hash text, p_id uuid, p_now timestamptz)
RETURNS SETOF public.api_keys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM app.enter_as_owner(p_user, p_project, p_key, p_key_hash);
  -- Ids of keys are unique in a project only.
  RETURN QUERY
  UPDATE public.api_keys k SET revoked_at = p_now
  WHERE k.project_id = app.current_project_id() AND k.id = p_id AND k.grant_id IS NULL AND k.revoked_at IS NULL RETURNING k.*;
  IF NOT FOUND THEN
    RAISE EXCEPTION '%', p_id USING ERRCODE = 'MB404', DETAIL = 'key';
  END IF;
END
$$;

-- What the members have allowed in the project and has not ended.
CREATE OR REPLACE FUNCTION app.owner_grants(
  p_user text, p_project text, p_key text, p_key_hash text, p_before_at timestamptz, p_before_id uuid, p_most bigint
) RETURNS TABLE (
  id uuid, user_name text, project_slug text, client_id text, client_name text, client_host text, scopes text[],
  created_at timestamptz, last_used_at timestamptz, expires_at timestamptz, revoked_at timestamptz, revoked_for text
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  slug constant text := app.enter_as_owner(p_user, p_project, p_key, p_key_hash);
BEGIN
  RETURN QUERY SELECT * FROM app.list_grants(slug, NULL, false, p_before_at, p_before_id, p_most);
END
$$;

-- Ends a grant of any member, as an operator does: what an outside issuer's client had is not given again by itself.
CREATE OR REPLACE FUNCTION app.owner_revoke_grant(p_user text, p_project text, p_key text, p_key_hash text, p_id uuid)
RETURNS bytea[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM app.enter_as_owner(p_user, p_project, p_key, p_key_hash);
  IF NOT EXISTS (
    SELECT FROM app.oauth_grants g WHERE g.project_id = app.current_project_id() AND g.id = p_id AND g.revoked_at IS NULL
  ) THEN
    RAISE EXCEPTION '%', p_id USING ERRCODE = 'MB404', DETAIL = 'grant';
  END IF;
  RETURN app.end_grant(app.current_project_id(), p_id, 'operator');
END
$$;

-- The calls of the project since a time, in steps of an hour or a day.
CREATE OR REPLACE FUNCTION app.owner_calls(
  p_user text, p_project text, p_key text, p_key_hash text, p_step text, p_since timestamptz
) RETURNS TABLE (
  at timestamptz, calls bigint, failures bigint, tokens bigint, up_to_10 bigint, up_to_30 bigint, up_to_100 bigint,
  up_to_300 bigint, up_to_1000 bigint, up_to_3000 bigint
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  most constant bigint := 9223372036854775807;
BEGIN
  PERFORM app.enter_as_owner(p_user, p_project, p_key, p_key_hash);
  RETURN QUERY
  SELECT date_trunc(p_step, h.hour, 'UTC'),
    least(sum(h.calls), most)::bigint, least(sum(h.failures), most)::bigint, least(sum(h.tokens), most)::bigint,
    least(sum(h.up_to_10), most)::bigint, least(sum(h.up_to_30), most)::bigint, least(sum(h.up_to_100), most)::bigint,
    least(sum(h.up_to_300), most)::bigint, least(sum(h.up_to_1000), most)::bigint, least(sum(h.up_to_3000), most)::bigint
  FROM app.call_hours h
  WHERE h.project_id = app.current_project_id() AND h.hour >= date_trunc(p_step, p_since, 'UTC')
  GROUP BY 1 ORDER BY 1;
END
$$;

-- The log of the project before a row, newest first.
CREATE OR REPLACE FUNCTION app.owner_audit(
  p_user text, p_project text, p_key text, p_key_hash text, p_before_at timestamptz, p_before_id bigint, p_most bigint
) RETURNS TABLE (
  id bigint, at timestamptz, action text, project text, user_name text, user_id uuid, key_id uuid, login text,
  subject text, address text, detail jsonb
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  slug constant text := app.enter_as_owner(p_user, p_project, p_key, p_key_hash);
BEGIN
  RETURN QUERY
  SELECT l.id, l.at, l.action, slug, u.name, l.user_id, l.key_id, l.login, l.subject, host(l.address),
    l.detail || CASE WHEN s.name IS NULL THEN '{}'::jsonb ELSE jsonb_build_object('name', s.name) END
  FROM app.audit_log l LEFT JOIN public.users u ON u.id = l.user_id
  -- The subject of a membership is the id of its user; a row about a key or grant has the id of its user in its members.
  LEFT JOIN public.users s ON s.id::text = CASE WHEN l.action ~ '^member[.]' THEN l.subject ELSE l.detail ->> 'user' END
  WHERE l.project_id = app.current_project_id() AND (p_before_at IS NULL OR (l.at, l.id) < (p_before_at, p_before_id))
  ORDER BY l.at DESC, l.id DESC LIMIT p_most;
END
$$;

-- OAuth ----------------------------------------------------------------------------------------------------------------
--
-- The steps before there is a token. Each function takes the SHA-256 of a secret that the request presented (a key, a
-- login code, a sign-in's cookie, a code or a token), and gives a word for what came of it; none gives a secret. A grant's row
-- is locked before a code or a token of it is used, so that of two at once the second sees what the first did.

-- Signs a user in with a key of its own, which must not be a token; gives the user's name.
CREATE OR REPLACE FUNCTION app.oauth_sign_in_with_key(p_key_hash bytea, p_cookie_hash bytea, p_until timestamptz) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  signer record;
BEGIN
  SELECT k.id, k.user_id, k.project_id, u.name INTO signer
  FROM public.api_keys k JOIN public.users u ON u.id = k.user_id
  JOIN public.memberships m ON m.user_id = k.user_id AND m.project_id = k.project_id
  WHERE k.key_hash = p_key_hash AND k.grant_id IS NULL AND k.revoked_at IS NULL AND (k.expires_at > now()) IS NOT FALSE;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  INSERT INTO app.oauth_sign_ins (cookie_hash, user_id, by_key, key_project, expires_at)
  VALUES (p_cookie_hash, signer.user_id, signer.id, signer.project_id, least(p_until, now() + interval '1 hour'));
  PERFORM app.oauth_keep_newest(signer.user_id);
  PERFORM app.note_sign_in(signer.user_id);
  RETURN signer.name;
END
$$;

-- Notes at once that a user has come, at its keys that were not used yet: nobody replaces the key of an invitation then.
CREATE OR REPLACE FUNCTION app.note_sign_in(p_user uuid) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  UPDATE public.api_keys k SET last_used_at = now() WHERE k.user_id = p_user AND k.grant_id IS NULL AND k.last_used_at IS NULL
$$;

-- The same with a login code, which is used up by it.
CREATE OR REPLACE FUNCTION app.oauth_sign_in_with_code(p_code_hash bytea, p_cookie_hash bytea, p_until timestamptz) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  usr uuid;
BEGIN
  DELETE FROM app.oauth_login_codes c WHERE c.code_hash = p_code_hash AND c.expires_at > now() RETURNING c.user_id INTO usr;
  IF usr IS NULL THEN
    RETURN NULL;
  END IF;
  INSERT INTO app.oauth_sign_ins (cookie_hash, user_id, expires_at)
  VALUES (p_cookie_hash, usr, least(p_until, now() + interval '1 hour'));
  PERFORM app.oauth_keep_newest(usr);
  PERFORM app.note_sign_in(usr);
  RETURN (SELECT u.name FROM public.users u WHERE u.id = usr);
END
$$;

-- A user is signed in in at most twenty browsers.
CREATE OR REPLACE FUNCTION app.oauth_keep_newest(p_user uuid) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  DELETE FROM app.oauth_sign_ins s WHERE s.cookie_hash IN (
    SELECT o.cookie_hash FROM app.oauth_sign_ins o WHERE o.user_id = p_user ORDER BY o.created_at DESC, o.cookie_hash OFFSET 20)
$$;

CREATE OR REPLACE FUNCTION app.oauth_sign_out(p_cookie_hash bytea) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ DELETE FROM app.oauth_sign_ins s WHERE s.cookie_hash = p_cookie_hash $$;

-- The projects of the user who is signed in, with the rights that it can give there: those of its role, and, signed in with a
-- key, only in the project of that key, no more than the key has, and only while the key is valid. One row without a project for
-- a user who has none.
CREATE OR REPLACE FUNCTION app.oauth_signed_in(p_cookie_hash bytea)
RETURNS TABLE (user_id uuid, user_name text, project_id uuid, project_slug text, project_name text, role text, scopes text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT s.user_id, u.name, may.project_id, may.slug, may.name, may.role::text, may.scopes
  FROM app.oauth_sign_ins s JOIN public.users u ON u.id = s.user_id
  LEFT JOIN LATERAL (
    SELECT m.project_id, p.slug, p.name, m.role, ARRAY(
      SELECT r.scope FROM unnest(ARRAY['read', 'write', 'admin'], ARRAY[1, 2, 3]) AS r (scope, place)
      WHERE r.place <= CASE m.role WHEN 'owner' THEN 3 WHEN 'editor' THEN 2 ELSE 1 END
        AND (k.id IS NULL OR k.scopes = '{}' OR r.scope = ANY (k.scopes)) ORDER BY r.place) AS scopes
    FROM public.memberships m JOIN public.projects p ON p.id = m.project_id
    LEFT JOIN public.api_keys k ON k.id = s.by_key AND k.project_id = s.key_project AND k.user_id = s.user_id
      AND k.revoked_at IS NULL AND (k.expires_at > now()) IS NOT FALSE
    WHERE m.user_id = s.user_id AND (s.by_key IS NULL OR (k.id IS NOT NULL AND m.project_id = s.key_project))
    ORDER BY p.slug LIMIT 500
  ) AS may ON true
  WHERE s.cookie_hash = p_cookie_hash AND s.expires_at > now()
    AND (s.by_key IS NULL OR EXISTS (
      SELECT FROM public.api_keys k WHERE k.id = s.by_key AND k.project_id = s.key_project AND k.user_id = s.user_id
        AND k.revoked_at IS NULL AND (k.expires_at > now()) IS NOT FALSE))
  ORDER BY may.slug
$$;

-- The user who is signed in lets a client into a project: makes the grant and its code, and ends the sign-in, so that one sign-in
-- makes one grant, and its cookie is worth nothing where the browser goes next. `granted`, or why not: `signed_out`,
-- `not_a_member`, `too_much`. Past p_most grants of this user in this project the one that was used least lately ends.
-- p_needs_assertion: the client authenticates itself whenever it uses a code or a refresh token of this grant.
DROP FUNCTION IF EXISTS app.oauth_consent(bytea, uuid, uuid, text, text, text, text[], text, integer, timestamptz, bytea, text,
  bytea, timestamptz, bigint);
CREATE OR REPLACE FUNCTION app.oauth_consent(
  p_cookie_hash bytea, p_project uuid, p_grant uuid, p_client_id text, p_client_name text, p_client_host text, p_scopes text[],
  p_resource text, p_rate_limit integer, p_grant_until timestamptz, p_code_hash bytea, p_redirect_uri text, p_challenge bytea,
  p_code_until timestamptz, p_most bigint, p_needs_assertion boolean DEFAULT false
) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  signed app.oauth_sign_ins;
  offered text[];
  until timestamptz := p_grant_until;
  rate integer := p_rate_limit;
BEGIN
  SELECT * INTO signed FROM app.oauth_sign_ins s WHERE s.cookie_hash = p_cookie_hash AND s.expires_at > now();
  IF NOT FOUND THEN
    RETURN 'signed_out';
  END IF;
  -- Locked before they are read, so that a revocation at the same time either is seen here or ends this grant.
  PERFORM FROM public.memberships m WHERE m.project_id = p_project AND m.user_id = signed.user_id FOR SHARE;
  IF signed.by_identity IS NOT NULL THEN
    PERFORM FROM app.identities i WHERE i.id = signed.by_identity FOR SHARE;
    IF NOT FOUND THEN
      RETURN 'signed_out';
    END IF;
    -- An issuer says nothing about users who have left; they cannot sign in again.
    until := least(until, now() + interval '90 days');
  END IF;
  IF signed.by_key IS NOT NULL THEN
    -- Of two limits the lower one holds; 0 is none.
    SELECT least(until, k.expires_at), coalesce(least(nullif(rate, 0), nullif(k.rate_limit, 0)), 0) INTO until, rate
    FROM public.api_keys k
    WHERE k.id = signed.by_key AND k.project_id = signed.key_project FOR SHARE;
  END IF;
  SELECT o.scopes INTO offered FROM app.oauth_signed_in(p_cookie_hash) o WHERE o.project_id = p_project;
  IF NOT FOUND THEN
    -- Another consent with this cookie may have ended the sign-in since it was read.
    RETURN CASE WHEN EXISTS (SELECT FROM app.oauth_sign_ins s WHERE s.cookie_hash = p_cookie_hash) THEN 'not_a_member'
      ELSE 'signed_out' END;
  ELSIF p_scopes = '{}' OR NOT p_scopes <@ offered THEN
    RETURN 'too_much';
  END IF;
  -- Of two consents at once the second waits here, and finds no sign-in.
  DELETE FROM app.oauth_sign_ins s WHERE s.cookie_hash = p_cookie_hash;
  IF NOT FOUND THEN
    RETURN 'signed_out';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('memory-bank-mcp grants of ' || signed.user_id, 0));
  UPDATE app.oauth_grants g SET revoked_at = now(), revoked_for = 'many'
  WHERE (g.project_id, g.id) IN (
    SELECT o.project_id, o.id FROM app.oauth_grants o
    WHERE o.project_id = p_project AND o.user_id = signed.user_id AND o.revoked_at IS NULL
    ORDER BY o.refreshed_at DESC, o.id OFFSET greatest(p_most - 1, 0));
  INSERT INTO app.oauth_grants (project_id, id, user_id, client_id, client_name, client_host, scopes, resource, rate_limit, by_key,
    by_identity, expires_at, needs_assertion)
  VALUES (p_project, p_grant, signed.user_id, p_client_id, p_client_name, p_client_host, p_scopes, p_resource, rate,
    signed.by_key, signed.by_identity, until, p_needs_assertion);
  INSERT INTO app.oauth_codes (project_id, code_hash, grant_id, redirect_uri, challenge, expires_at)
  VALUES (p_project, p_code_hash, p_grant, p_redirect_uri, p_challenge, least(p_code_until, now() + interval '10 minutes'));
  UPDATE app.oauth_clients c SET used_at = now(), expires_at = CASE WHEN c.by_operator THEN NULL ELSE now() + interval '90 days' END
  WHERE c.id = p_client_id;
  RETURN 'granted';
END
$$;

-- Whether a grant can have tokens: it was not taken back, has not expired, and its user is a member still.
CREATE OR REPLACE FUNCTION app.oauth_is_live(p_grant app.oauth_grants) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT p_grant.revoked_at IS NULL AND (p_grant.expires_at > now()) IS NOT FALSE AND EXISTS (
    SELECT FROM public.memberships m WHERE m.user_id = p_grant.user_id AND m.project_id = p_grant.project_id)
$$;

-- The scopes that a token of a grant has now: those of its user's role.
CREATE OR REPLACE FUNCTION app.within_role(p_grant app.oauth_grants, p_scopes text[]) RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT ARRAY(
    SELECT r.scope FROM unnest(ARRAY['read', 'write', 'admin'], ARRAY[1, 2, 3]) AS r (scope, place)
    WHERE r.scope = ANY (p_scopes) AND r.place <= CASE m.role WHEN 'owner' THEN 3 WHEN 'editor' THEN 2 ELSE 1 END ORDER BY r.place)
  FROM public.memberships m WHERE m.user_id = p_grant.user_id AND m.project_id = p_grant.project_id
$$;

-- Stores an access token and a refresh token of a grant; gives the access token's expiry.
CREATE OR REPLACE FUNCTION app.oauth_issue(
  p_grant app.oauth_grants, p_scopes text[], p_access_id uuid, p_access_hash bytea, p_access_prefix text,
  p_access_until timestamptz, p_refresh_hash bytea, p_refresh_until timestamptz
) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  until constant timestamptz := least(p_access_until, now() + interval '1 day', p_grant.expires_at);
BEGIN
  INSERT INTO public.api_keys (id, user_id, project_id, key_hash, key_prefix, label, scopes, rate_limit, expires_at, grant_id)
  VALUES (p_access_id, p_grant.user_id, p_grant.project_id, p_access_hash, p_access_prefix, p_grant.client_name, p_scopes,
    p_grant.rate_limit, until, p_grant.id);
  INSERT INTO app.oauth_refresh_tokens (project_id, token_hash, grant_id, expires_at)
  VALUES (p_grant.project_id, p_refresh_hash, p_grant.id, least(p_refresh_until, now() + interval '90 days', p_grant.expires_at));
  RETURN until;
END
$$;

-- A code for tokens. `issued`, or why not: `unknown`, `mismatch` (another client, redirect URI, resource or verifier), `expired`,
-- `ended`, or `reused`, which ends the grant: `void` has the hashes of its tokens, for caches.
CREATE OR REPLACE FUNCTION app.oauth_redeem(
  p_code_hash bytea, p_client_id text, p_redirect_uri text, p_challenge bytea, p_resource text, p_access_id uuid,
  p_access_hash bytea, p_access_prefix text, p_access_until timestamptz, p_refresh_hash bytea, p_refresh_until timestamptz,
  OUT outcome text, OUT grant_id uuid, OUT scopes text[], OUT expires_at timestamptz, OUT void bytea[]
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  code app.oauth_codes;
  given app.oauth_grants;
BEGIN
  SELECT * INTO code FROM app.oauth_codes c WHERE c.code_hash = p_code_hash LIMIT 1;
  IF NOT FOUND THEN
    outcome := 'unknown';
    RETURN;
  END IF;
  SELECT * INTO given FROM app.oauth_grants g WHERE g.project_id = code.project_id AND g.id = code.grant_id FOR UPDATE;
  SELECT * INTO code FROM app.oauth_codes c WHERE c.project_id = code.project_id AND c.code_hash = p_code_hash;
  grant_id := given.id;
  IF given.client_id <> p_client_id OR code.redirect_uri <> coalesce(p_redirect_uri, code.redirect_uri)
    OR code.challenge <> p_challenge OR given.resource <> coalesce(p_resource, given.resource) THEN
    outcome := 'mismatch';
  ELSIF code.used_at IS NOT NULL THEN
    -- Somebody has it beside the client that used it: nobody keeps what it gave.
    void := app.end_grant(given.project_id, given.id, 'code_reuse');
    outcome := 'reused';
  ELSIF code.expires_at <= now() THEN
    outcome := 'expired';
  ELSIF NOT app.oauth_is_live(given) THEN
    outcome := 'ended';
  ELSE
    UPDATE app.oauth_codes c SET used_at = now() WHERE c.project_id = code.project_id AND c.code_hash = p_code_hash;
    expires_at := app.oauth_issue(given, given.scopes, p_access_id, p_access_hash, p_access_prefix, p_access_until,
      p_refresh_hash, p_refresh_until);
    scopes := app.within_role(given, given.scopes);
    outcome := 'issued';
  END IF;
END
$$;

-- A refresh token for its successors, which are made of p_salt. `issued`; `again` when it was used within p_grace, with the salt
-- of that use; or why not: `unknown`, `mismatch`, `too_much`, `expired`, `ended`, or `reused`, which ends the grant.
CREATE OR REPLACE FUNCTION app.oauth_refresh(
  p_token_hash bytea, p_client_id text, p_resource text, p_scopes text[], p_salt bytea, p_grace interval, p_access_id uuid,
  p_access_hash bytea, p_access_prefix text, p_access_until timestamptz, p_refresh_hash bytea, p_refresh_until timestamptz,
  OUT outcome text, OUT grant_id uuid, OUT salt bytea, OUT scopes text[], OUT expires_at timestamptz, OUT void bytea[]
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  token app.oauth_refresh_tokens;
  given app.oauth_grants;
BEGIN
  SELECT * INTO token FROM app.oauth_refresh_tokens t WHERE t.token_hash = p_token_hash LIMIT 1;
  IF NOT FOUND THEN
    outcome := 'unknown';
    RETURN;
  END IF;
  SELECT * INTO given FROM app.oauth_grants g WHERE g.project_id = token.project_id AND g.id = token.grant_id FOR UPDATE;
  SELECT * INTO token FROM app.oauth_refresh_tokens t WHERE t.project_id = token.project_id AND t.token_hash = p_token_hash;
  grant_id := given.id;
  IF given.client_id <> p_client_id OR given.resource <> coalesce(p_resource, given.resource) THEN
    outcome := 'mismatch';
  ELSIF NOT app.oauth_is_live(given) THEN
    outcome := 'ended';
  ELSIF token.used_at IS NOT NULL AND token.used_at <= now() - least(p_grace, interval '30 seconds') THEN
    -- It is in two hands, and nobody knows in whose: neither keeps anything.
    void := app.end_grant(given.project_id, given.id, 'token_reuse');
    outcome := 'reused';
  ELSIF token.expires_at <= now() THEN
    outcome := 'expired';
  ELSIF p_scopes IS NOT NULL AND (p_scopes = '{}' OR NOT p_scopes <@ given.scopes) THEN
    outcome := 'too_much';
  ELSIF token.used_at IS NOT NULL THEN
    SELECT k.scopes, k.expires_at INTO scopes, expires_at FROM public.api_keys k
    WHERE k.project_id = given.project_id AND k.grant_id = given.id AND k.created_at = token.used_at
    ORDER BY k.id LIMIT 1;
    scopes := app.within_role(given, scopes);
    salt := token.salt;
    outcome := CASE WHEN expires_at IS NULL THEN 'ended' ELSE 'again' END;
  ELSE
    UPDATE app.oauth_refresh_tokens t SET used_at = now(), salt = p_salt
    WHERE t.project_id = token.project_id AND t.token_hash = p_token_hash;
    UPDATE app.oauth_grants g SET refreshed_at = now() WHERE g.project_id = given.project_id AND g.id = given.id;
    -- A registration that is used lives on. At most one write in ten days.
    UPDATE app.oauth_clients c SET expires_at = now() + interval '90 days'
    WHERE c.id = given.client_id AND NOT c.by_operator AND c.expires_at < now() + interval '80 days';
    scopes := coalesce(p_scopes, given.scopes);
    expires_at := app.oauth_issue(given, scopes, p_access_id, p_access_hash, p_access_prefix, p_access_until, p_refresh_hash,
      p_refresh_until);
    scopes := app.within_role(given, scopes);
    salt := p_salt;
    outcome := 'issued';
  END IF;
END
$$;

-- A token of an outside issuer, which a server has verified: makes its row, or lets the row of a token that is known live on.
-- `admitted`, or why not: `unknown_user`, `untrusted`, `no_project`, `several_projects`, `not_a_member`, or `revoked`. What a user
-- or an operator took back stays so: the issuer would make the client another token. A token acts in one project for good: the
-- named one, or the only one of its user. Past p_most_tokens tokens of a grant the oldest gives way. The user is found, and its
-- memberships are mapped, as app.find_outside_user does it; void_ids and void_hashes are its.
CREATE OR REPLACE FUNCTION app.oauth_admit_outside(
  p_hash bytea, p_id uuid, p_prefix text, p_until timestamptz, p_issuer text, p_subject text, p_name text, p_email text,
  p_mapping text, p_slugs text[], p_roles text[], p_most_identities bigint, p_project text, p_grant uuid, p_client_id text,
  p_client_name text, p_client_host text, p_scopes text[], p_resource text, p_rate_limit integer, p_most bigint,
  p_most_tokens bigint,
  OUT outcome text, OUT void_ids uuid[], OUT void_hashes bytea[]
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  until constant timestamptz := least(p_until, now() + interval '2 hours');
  who record;
  known public.api_keys;
  given app.oauth_grants;
  projects uuid[];
BEGIN
  SELECT * INTO who
  FROM app.find_outside_user(p_issuer, p_subject, p_name, p_email, p_mapping, p_slugs, p_roles, p_most_identities);
  void_ids := who.void_ids;
  void_hashes := who.void_hashes;
  IF who.user_id IS NULL THEN
    outcome := CASE who.outcome WHEN 'untrusted' THEN 'untrusted' ELSE 'unknown_user' END;
    RETURN;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('memory-bank-mcp grants of ' || who.user_id, 0));
  SELECT * INTO known FROM public.api_keys k WHERE k.key_hash = p_hash;
  IF known.id IS NULL THEN
    projects := ARRAY(
      SELECT m.project_id FROM public.memberships m JOIN public.projects p ON p.id = m.project_id
      WHERE m.user_id = who.user_id AND p.slug = coalesce(p_project, p.slug) LIMIT 2);
  ELSIF known.user_id <> who.user_id OR known.revoked_at IS NOT NULL THEN
    outcome := 'revoked';
    RETURN;
  ELSE
    projects := ARRAY[known.project_id];
  END IF;
  -- Locked before the grant is made, so that a removal at the same time either is seen here or ends the grant.
  PERFORM FROM public.memberships m WHERE m.project_id = projects[1] AND m.user_id = who.user_id FOR SHARE;
  IF NOT FOUND THEN
    outcome := CASE WHEN p_project IS NULL AND known.id IS NULL THEN 'no_project' ELSE 'not_a_member' END;
    RETURN;
  ELSIF cardinality(projects) > 1 THEN
    outcome := 'several_projects';
    RETURN;
  ELSIF EXISTS (
    SELECT FROM app.oauth_grants g
    WHERE g.project_id = projects[1] AND g.user_id = who.user_id AND g.issuer = p_issuer AND g.client_id = p_client_id
      AND g.revoked_for IN ('user', 'operator')
  ) THEN
    outcome := 'revoked';
    RETURN;
  END IF;
  UPDATE app.oauth_grants g SET refreshed_at = now(), scopes = ARRAY(
      SELECT r.scope FROM unnest(ARRAY['read', 'write', 'admin']) WITH ORDINALITY AS r (scope, place)
      WHERE r.scope = ANY (g.scopes || p_scopes) ORDER BY r.place)
  WHERE g.project_id = projects[1] AND g.user_id = who.user_id AND g.issuer = p_issuer AND g.client_id = p_client_id
    AND g.revoked_at IS NULL
  RETURNING * INTO given;
  IF given.id IS NULL THEN
    UPDATE app.oauth_grants g SET revoked_at = now(), revoked_for = 'many'
    WHERE (g.project_id, g.id) IN (
      SELECT o.project_id, o.id FROM app.oauth_grants o
      WHERE o.project_id = projects[1] AND o.user_id = who.user_id AND o.revoked_at IS NULL
      ORDER BY o.refreshed_at DESC, o.id OFFSET greatest(p_most - 1, 0));
    INSERT INTO app.oauth_grants (project_id, id, user_id, client_id, client_name, client_host, scopes, resource, rate_limit,
      by_identity, issuer)
    VALUES (projects[1], p_grant, who.user_id, p_client_id, p_client_name, p_client_host, p_scopes, p_resource, p_rate_limit,
      who.identity_id, p_issuer)
    RETURNING * INTO given;
  END IF;
  -- An expiry never moves later, so the row is made anew.
  DELETE FROM public.api_keys k WHERE k.project_id = projects[1] AND (k.id = known.id OR k.id IN (
    SELECT o.id FROM public.api_keys o
    WHERE o.project_id = projects[1] AND o.grant_id = given.id AND o.revoked_at IS NULL
    ORDER BY o.expires_at DESC, o.id OFFSET greatest(p_most_tokens - 1, 0)));
  INSERT INTO public.api_keys (id, user_id, project_id, key_hash, key_prefix, label, scopes, rate_limit, last_used_at, expires_at,
    grant_id)
  VALUES (p_id, who.user_id, projects[1], p_hash, left(p_prefix, 16), p_client_name, p_scopes, given.rate_limit,
    known.last_used_at, until, given.id);
  outcome := 'admitted';
END
$$;

-- The grants of an issuer's tokens end when an operator no longer trusts it.
CREATE OR REPLACE FUNCTION app.end_grants_of_issuer() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE app.oauth_grants g SET revoked_at = now(), revoked_for = 'identity' WHERE g.issuer = OLD.issuer AND g.revoked_at IS NULL;
  RETURN NULL;
END
$$;

-- Removes the block of a client of an outside issuer, which a revocation by a user or an operator has set.
CREATE OR REPLACE FUNCTION app.allow_grant(p_id uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  given app.oauth_grants;
BEGIN
  DELETE FROM app.oauth_grants g WHERE g.id = p_id AND g.issuer IS NOT NULL AND g.revoked_for IN ('user', 'operator')
  RETURNING * INTO given;
  IF given.id IS NULL THEN
    RAISE EXCEPTION '%', p_id USING ERRCODE = 'MB404', DETAIL = 'grant';
  END IF;
  PERFORM app.audit('grant.created', given.project_id, p_id::text, jsonb_build_object('user', given.user_id, 'client',
    left(given.client_name, 255), 'host', given.client_host, 'reason', 'allowed'));
END
$$;

-- Ends a grant, unless it has ended; gives the hashes of its tokens.
CREATE OR REPLACE FUNCTION app.end_grant(p_project uuid, p_id uuid, p_why text) RETURNS bytea[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE app.oauth_grants g SET revoked_at = now(), revoked_for = p_why
  WHERE g.project_id = p_project AND g.id = p_id AND g.revoked_at IS NULL;
  RETURN ARRAY(SELECT k.key_hash FROM public.api_keys k
    WHERE k.project_id = p_project AND k.grant_id = p_id AND k.expires_at > now());
END
$$;

-- A client gives a token back (RFC 7009): a refresh token ends the grant, an access token itself. Of another client's token, as
-- of one that is no token, nothing is known.
CREATE OR REPLACE FUNCTION app.oauth_revoke(p_token_hash bytea, p_client_id text, OUT grant_id uuid, OUT void bytea[])
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  given app.oauth_grants;
BEGIN
  SELECT g.* INTO given FROM app.oauth_refresh_tokens t
  JOIN app.oauth_grants g ON g.project_id = t.project_id AND g.id = t.grant_id
  WHERE t.token_hash = p_token_hash AND g.client_id = p_client_id LIMIT 1;
  IF FOUND THEN
    grant_id := given.id;
    void := app.end_grant(given.project_id, given.id, 'client');
    RETURN;
  END IF;
  UPDATE public.api_keys k SET revoked_at = now() FROM app.oauth_grants g
  WHERE k.key_hash = p_token_hash AND k.revoked_at IS NULL AND g.project_id = k.project_id AND g.id = k.grant_id
    AND g.client_id = p_client_id
  RETURNING g.id, ARRAY[k.key_hash] INTO grant_id, void;
END
$$;

-- A sign-in that is valid now: signed in with a key, only as long as that key is. `all_grants`: with a key that may only read, a
-- user sees and ends what it gave with that key; with any other, what it gave in the project.
CREATE OR REPLACE FUNCTION app.oauth_sign_in_of(p_cookie_hash bytea)
RETURNS TABLE (user_id uuid, by_key uuid, key_project uuid, all_grants boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT s.user_id, s.by_key, s.key_project, k.id IS NULL OR k.scopes = '{}' OR k.scopes && ARRAY['write', 'admin']
  FROM app.oauth_sign_ins s
  LEFT JOIN public.api_keys k ON k.id = s.by_key AND k.project_id = s.key_project AND k.user_id = s.user_id
    AND k.revoked_at IS NULL AND (k.expires_at > now()) IS NOT FALSE
  WHERE s.cookie_hash = p_cookie_hash AND s.expires_at > now() AND (s.by_key IS NULL OR k.id IS NOT NULL)
$$;

-- Whether a grant came to nothing: its client has not used the code in time.
CREATE OR REPLACE FUNCTION app.is_unused_grant(p_grant app.oauth_grants) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT EXISTS (SELECT FROM app.oauth_codes c WHERE c.project_id = p_grant.project_id AND c.grant_id = p_grant.id
    AND c.used_at IS NULL AND c.expires_at <= now())
$$;

-- What the user who is signed in has given, newest first: what has not ended.
CREATE OR REPLACE FUNCTION app.oauth_list_grants(p_cookie_hash bytea)
RETURNS TABLE (
  id uuid, project_slug text, client_name text, client_host text, scopes text[], created_at timestamptz,
  last_used_at timestamptz, expires_at timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT g.id, p.slug, g.client_name, g.client_host, g.scopes, g.created_at, (
      SELECT max(k.last_used_at) FROM public.api_keys k WHERE k.project_id = g.project_id AND k.grant_id = g.id
    ), g.expires_at
  FROM app.oauth_sign_in_of(p_cookie_hash) s JOIN app.oauth_grants g ON g.user_id = s.user_id
    AND (s.by_key IS NULL OR g.project_id = s.key_project) AND (s.all_grants OR g.by_key = s.by_key)
  JOIN public.projects p ON p.id = g.project_id
  WHERE g.revoked_at IS NULL AND (g.expires_at > now()) IS NOT FALSE AND NOT app.is_unused_grant(g)
  ORDER BY g.created_at DESC, g.id LIMIT 500
$$;

-- The user who is signed in takes a grant back; gives the hashes of its tokens, or NULL when there is no such grant.
CREATE OR REPLACE FUNCTION app.oauth_take_back(p_cookie_hash bytea, p_grant uuid) RETURNS bytea[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project uuid;
BEGIN
  SELECT g.project_id INTO project FROM app.oauth_sign_in_of(p_cookie_hash) s JOIN app.oauth_grants g ON g.user_id = s.user_id
    AND (s.by_key IS NULL OR g.project_id = s.key_project) AND (s.all_grants OR g.by_key = s.by_key)
  WHERE g.id = p_grant AND g.revoked_at IS NULL;
  RETURN CASE WHEN project IS NOT NULL THEN app.end_grant(project, p_grant, 'user') END;
END
$$;

-- A client registers itself. False when p_most clients that nobody has let in yet are registered and none of them is older than
-- ten minutes; otherwise the oldest of them gives way.
DROP FUNCTION IF EXISTS app.oauth_register(text, text, text[], timestamptz, bigint);
CREATE OR REPLACE FUNCTION app.oauth_register(
  p_id text, p_name text, p_redirect_uris text[], p_until timestamptz, p_most bigint, p_jwks text DEFAULT NULL,
  p_jwks_uri text DEFAULT NULL
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('memory-bank-mcp clients', 0));
  DELETE FROM app.oauth_clients c WHERE c.expires_at <= now();
  IF (SELECT count(*) FROM app.oauth_clients c WHERE NOT c.by_operator AND c.used_at IS NULL) >= p_most THEN
    DELETE FROM app.oauth_clients c WHERE c.id = (
      SELECT o.id FROM app.oauth_clients o
      WHERE NOT o.by_operator AND o.used_at IS NULL AND o.created_at <= now() - interval '10 minutes'
      ORDER BY o.created_at LIMIT 1);
    IF NOT FOUND THEN
      RETURN false;
    END IF;
  END IF;
  INSERT INTO app.oauth_clients (id, name, redirect_uris, expires_at, jwks, jwks_uri)
  VALUES (p_id, p_name, p_redirect_uris, least(p_until, now() + interval '90 days'), p_jwks, p_jwks_uri);
  RETURN true;
END
$$;

-- A function that an earlier script of this version made returns two columns less.
DO $$
BEGIN
  IF pg_get_function_result(to_regprocedure('app.oauth_client(text)')) NOT LIKE '%jwks_uri%' THEN
    DROP FUNCTION app.oauth_client(text);
  END IF;
END
$$;
CREATE OR REPLACE FUNCTION app.oauth_client(p_id text)
RETURNS TABLE (name text, redirect_uris text[], by_operator boolean, jwks text, jwks_uri text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT c.name, c.redirect_uris, c.by_operator, c.jwks, c.jwks_uri FROM app.oauth_clients c
  WHERE c.id = p_id AND (c.expires_at > now()) IS NOT FALSE
$$;

-- Whether the client of this code or refresh token must authenticate itself.
CREATE OR REPLACE FUNCTION app.oauth_demands_assertion(p_hash bytea) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT EXISTS (
    SELECT FROM (
      SELECT c.project_id, c.grant_id FROM app.oauth_codes c WHERE c.code_hash = p_hash
      UNION ALL SELECT t.project_id, t.grant_id FROM app.oauth_refresh_tokens t WHERE t.token_hash = p_hash
    ) AS o JOIN app.oauth_grants g ON g.project_id = o.project_id AND g.id = o.grant_id
    WHERE g.needs_assertion)
$$;

-- A client uses an assertion. False when it was used before, or when p_most assertions of the client have not expired.
CREATE OR REPLACE FUNCTION app.oauth_use_assertion(p_client_id text, p_hash bytea, p_until timestamptz, p_most bigint)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('memory-bank-mcp assertions of ' || p_client_id, 0));
  DELETE FROM app.oauth_assertions a WHERE a.client_id = p_client_id AND a.expires_at <= now();
  IF (SELECT count(*) FROM app.oauth_assertions a WHERE a.client_id = p_client_id) >= p_most THEN
    RETURN false;
  END IF;
  INSERT INTO app.oauth_assertions (assertion_hash, client_id, expires_at)
  VALUES (p_hash, p_client_id, least(p_until, now() + interval '10 minutes'))
  ON CONFLICT DO NOTHING;
  RETURN FOUND;
END
$$;

-- Removes what OAuth left behind, at most p_most rows of each kind, one replica at a time: access tokens a day after their
-- expiry, codes and refresh tokens after theirs, grants a month after their end, sign-ins, login codes and clients.
CREATE OR REPLACE FUNCTION app.purge_oauth(p_most bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  removed bigint := 0;
  more bigint;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('memory-bank-mcp oauth', 0)) THEN
    RETURN 0;
  END IF;
  DELETE FROM public.api_keys k WHERE (k.project_id, k.id) IN (
    SELECT o.project_id, o.id FROM public.api_keys o
    WHERE o.grant_id IS NOT NULL AND o.expires_at < now() - interval '1 day' ORDER BY o.expires_at LIMIT p_most);
  GET DIAGNOSTICS more = ROW_COUNT;
  removed := removed + more;
  DELETE FROM app.oauth_codes c WHERE (c.project_id, c.code_hash) IN (
    SELECT o.project_id, o.code_hash FROM app.oauth_codes o
    WHERE o.expires_at < now() - interval '1 day' ORDER BY o.expires_at LIMIT p_most);
  GET DIAGNOSTICS more = ROW_COUNT;
  removed := removed + more;
  DELETE FROM app.oauth_refresh_tokens t WHERE (t.project_id, t.token_hash) IN (
    SELECT o.project_id, o.token_hash FROM app.oauth_refresh_tokens o
    WHERE o.expires_at < now() ORDER BY o.expires_at LIMIT p_most);
  GET DIAGNOSTICS more = ROW_COUNT;
  removed := removed + more;
  -- A grant without a code or a refresh token can never have a token again.
  DELETE FROM app.oauth_grants g WHERE (g.project_id, g.id) IN (
    SELECT o.project_id, o.id FROM app.oauth_grants o
    WHERE o.refreshed_at < now() - interval '1 day'
      -- What was taken back of an outside issuer's client keeps its next token out.
      AND (o.issuer IS NOT NULL AND o.revoked_for IN ('user', 'operator')) IS NOT TRUE
      AND (o.revoked_at < now() - interval '30 days' OR (
      NOT EXISTS (SELECT FROM app.oauth_codes c WHERE c.project_id = o.project_id AND c.grant_id = o.id)
      AND NOT EXISTS (SELECT FROM app.oauth_refresh_tokens t WHERE t.project_id = o.project_id AND t.grant_id = o.id)
      AND NOT EXISTS (SELECT FROM public.api_keys k WHERE k.project_id = o.project_id AND k.grant_id = o.id)))
    LIMIT p_most);
  GET DIAGNOSTICS more = ROW_COUNT;
  removed := removed + more;
  DELETE FROM app.oauth_sign_ins s WHERE s.cookie_hash IN (
    SELECT o.cookie_hash FROM app.oauth_sign_ins o WHERE o.expires_at < now() ORDER BY o.expires_at LIMIT p_most);
  GET DIAGNOSTICS more = ROW_COUNT;
  removed := removed + more;
  DELETE FROM app.oauth_assertions a WHERE a.assertion_hash IN (
    SELECT o.assertion_hash FROM app.oauth_assertions o WHERE o.expires_at < now() ORDER BY o.expires_at LIMIT p_most);
  GET DIAGNOSTICS more = ROW_COUNT;
  removed := removed + more;
  DELETE FROM app.oauth_login_codes c WHERE c.code_hash IN (
    SELECT o.code_hash FROM app.oauth_login_codes o WHERE o.expires_at < now() ORDER BY o.expires_at LIMIT p_most);
  GET DIAGNOSTICS more = ROW_COUNT;
  removed := removed + more;
  DELETE FROM app.oauth_clients c WHERE c.id IN (
    SELECT o.id FROM app.oauth_clients o WHERE o.expires_at < now() ORDER BY o.expires_at LIMIT p_most);
  GET DIAGNOSTICS more = ROW_COUNT;
  RETURN removed + more;
END
$$;

-- The operator's commands.
CREATE OR REPLACE FUNCTION app.create_login_code(p_user text, p_code_hash bytea, p_until timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  usr constant uuid := app.user_named(p_user);
BEGIN
  -- A new code takes the place of older ones.
  DELETE FROM app.oauth_login_codes c WHERE c.user_id = usr;
  INSERT INTO app.oauth_login_codes (code_hash, user_id, expires_at)
  VALUES (p_code_hash, usr, least(p_until, now() + interval '1 hour'));
END
$$;

DROP FUNCTION IF EXISTS app.list_grants(text, text, boolean);
CREATE OR REPLACE FUNCTION app.list_grants(
  p_slug text, p_user text, p_all boolean, p_before_at timestamptz DEFAULT NULL, p_before_id uuid DEFAULT NULL,
  p_most bigint DEFAULT 2000
) RETURNS TABLE (
  id uuid, user_name text, project_slug text, client_id text, client_name text, client_host text, scopes text[],
  created_at timestamptz, last_used_at timestamptz, expires_at timestamptz, revoked_at timestamptz, revoked_for text
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  project constant uuid := CASE WHEN p_slug IS NOT NULL THEN app.project_called(p_slug) END;
  usr constant uuid := CASE WHEN p_user IS NOT NULL THEN app.user_named(p_user) END;
BEGIN
  RETURN QUERY
  SELECT g.id, u.name, p.slug, g.client_id, g.client_name, g.client_host, g.scopes, g.created_at, (
      SELECT max(k.last_used_at) FROM public.api_keys k WHERE k.project_id = g.project_id AND k.grant_id = g.id
    ), g.expires_at, g.revoked_at, g.revoked_for
  FROM app.oauth_grants g JOIN public.users u ON u.id = g.user_id JOIN public.projects p ON p.id = g.project_id
  WHERE (project IS NULL OR g.project_id = project) AND (usr IS NULL OR g.user_id = usr)
    AND (p_all OR (g.revoked_at IS NULL AND (g.expires_at > now()) IS NOT FALSE AND NOT app.is_unused_grant(g)))
    AND (p_before_at IS NULL OR (g.created_at, g.id) < (p_before_at, p_before_id))
  ORDER BY g.created_at DESC, g.id DESC LIMIT p_most;
END
$$;

CREATE OR REPLACE FUNCTION app.revoke_grant(p_id uuid) RETURNS bytea[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project uuid;
BEGIN
  SELECT g.project_id INTO project FROM app.oauth_grants g WHERE g.id = p_id AND g.revoked_at IS NULL LIMIT 1;
  IF project IS NULL THEN
    RAISE EXCEPTION '%', p_id USING ERRCODE = 'MB404', DETAIL = 'grant';
  END IF;
  RETURN app.end_grant(project, p_id, 'operator');
END
$$;

CREATE OR REPLACE FUNCTION app.create_client(p_id text, p_name text, p_redirect_uris text[]) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ INSERT INTO app.oauth_clients (id, name, redirect_uris, by_operator) VALUES (p_id, p_name, p_redirect_uris, true) $$;

CREATE OR REPLACE FUNCTION app.list_clients()
RETURNS TABLE (
  id text, name text, redirect_uris text[], by_operator boolean, grants bigint, created_at timestamptz, used_at timestamptz,
  expires_at timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT c.id, c.name, c.redirect_uris, c.by_operator, (
      SELECT count(*) FROM app.oauth_grants g
      WHERE g.client_id = c.id AND g.revoked_at IS NULL AND (g.expires_at > now()) IS NOT FALSE
    ), c.created_at, c.used_at, c.expires_at
  FROM app.oauth_clients c WHERE (c.expires_at > now()) IS NOT FALSE
  ORDER BY c.by_operator DESC, c.used_at DESC NULLS LAST, c.created_at DESC, c.id LIMIT 5000
$$;

-- Removes a client and ends what users gave to it; gives the hashes of its tokens. A client that is known by the address of a
-- document has no row, but grants.
CREATE OR REPLACE FUNCTION app.delete_client(p_id text) RETURNS TABLE (grant_id uuid, key_hash bytea)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  there boolean;
  given app.oauth_grants;
BEGIN
  DELETE FROM app.oauth_clients c WHERE c.id = p_id;
  there := FOUND;
  FOR given IN SELECT * FROM app.oauth_grants g WHERE g.client_id = p_id AND g.revoked_at IS NULL ORDER BY g.id LOOP
    there := true;
    RETURN QUERY SELECT given.id, void.hash FROM unnest(app.end_grant(given.project_id, given.id, 'operator')) AS void (hash);
  END LOOP;
  IF NOT there THEN
    RAISE EXCEPTION '%', p_id USING ERRCODE = 'MB404', DETAIL = 'client';
  END IF;
END
$$;

-- Notes the beginning of a grant in its user's name. The end of one, for any cause, removes its tokens in the same transaction.
CREATE OR REPLACE FUNCTION app.note_grant() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  -- An owner, whom app.enter_as_owner has checked, in the place of an operator.
  by_owner constant boolean := NEW.revoked_for IS NOT DISTINCT FROM 'operator' AND app.current_key_hash() IS NOT NULL;
BEGIN
  INSERT INTO app.audit_log (project_id, action, user_id, key_id, login, subject, detail)
  VALUES (
    NEW.project_id, CASE WHEN TG_OP = 'INSERT' THEN 'grant.created' ELSE 'grant.revoked' END,
    CASE WHEN by_owner THEN app.current_user_id() WHEN NEW.revoked_for IS NULL OR NEW.revoked_for = 'user' THEN NEW.user_id END,
    CASE WHEN by_owner THEN app.current_key_id() WHEN NEW.revoked_for IS DISTINCT FROM 'operator' THEN NEW.id END,
    CASE WHEN NEW.revoked_for IS NOT NULL AND NEW.revoked_for <> 'user' AND NOT by_owner THEN session_user::text END, NEW.id::text,
    jsonb_strip_nulls(jsonb_build_object('user', NEW.user_id, 'client', left(NEW.client_name, 255), 'host', NEW.client_host,
      'scopes', to_jsonb(NEW.scopes), 'expiresAt', NEW.expires_at, 'reason', NEW.revoked_for)));
  IF TG_OP = 'UPDATE' THEN
    UPDATE public.api_keys k SET revoked_at = now()
    WHERE k.project_id = NEW.project_id AND k.grant_id = NEW.id AND k.revoked_at IS NULL;
  END IF;
  RETURN NULL;
END
$$;

-- The grants of a user who signed in with a key end with that key, and when it loses one of their scopes; they expire no later
-- than the key.
CREATE OR REPLACE FUNCTION app.end_grants_of_key() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE app.oauth_grants g SET revoked_at = now(), revoked_for = 'key'
  WHERE g.project_id = NEW.project_id AND g.by_key = NEW.id AND g.revoked_at IS NULL
    AND (NEW.revoked_at IS NOT NULL OR (NEW.scopes <> '{}' AND NOT g.scopes <@ NEW.scopes));
  IF NEW.expires_at IS NOT NULL THEN
    UPDATE public.api_keys k SET expires_at = NEW.expires_at FROM app.oauth_grants g
    WHERE g.project_id = NEW.project_id AND g.by_key = NEW.id AND g.revoked_at IS NULL
      AND k.project_id = g.project_id AND k.grant_id = g.id AND k.expires_at > NEW.expires_at;
    UPDATE app.oauth_grants g SET expires_at = NEW.expires_at
    WHERE g.project_id = NEW.project_id AND g.by_key = NEW.id AND g.revoked_at IS NULL
      AND (g.expires_at <= NEW.expires_at) IS NOT TRUE;
  END IF;
  RETURN NULL;
END
$$;

-- The tokens of the grants that a user gave with a key, for caches, which must forget them when the key has changed.
CREATE OR REPLACE FUNCTION app.tokens_of_key(p_key_hash bytea) RETURNS TABLE (grant_id uuid, key_hash bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT t.grant_id, t.key_hash
  FROM public.api_keys k JOIN app.oauth_grants g ON g.project_id = k.project_id AND g.by_key = k.id
  JOIN public.api_keys t ON t.project_id = g.project_id AND t.grant_id = g.id
  WHERE k.key_hash = p_key_hash AND k.grant_id IS NULL AND t.created_at > now() - interval '1 day'
  ORDER BY t.grant_id, t.created_at
$$;

-- So do those of a member who leaves.
CREATE OR REPLACE FUNCTION app.end_grants_of_member() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE app.oauth_grants g SET revoked_at = now(), revoked_for = 'member'
  WHERE g.project_id = OLD.project_id AND g.user_id = OLD.user_id AND g.revoked_at IS NULL;
  RETURN NULL;
END
$$;

-- Outside identities ---------------------------------------------------------------------------------------------------
--
-- A server that has verified what an issuer says of a user names issuer and subject; these functions find or make the user, and
-- apply the projects and roles that the server's mapping of the claims gives. No user is found by an address. The server's
-- word counts for an issuer that an operator trusts (app.issuers).

-- The user whose memberships this transaction maps, as shown by an audit row that it added.
CREATE OR REPLACE FUNCTION app.mapped_user() RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT l.user_id FROM app.audit_log l
  WHERE l.project_id = '00000000-0000-0000-0000-000000000000' AND l.at = now() AND l.xact = pg_current_xact_id_if_assigned()
    AND l.action = 'identity.mapped' LIMIT 1
$$;

-- Whether a mapping gave this membership.
CREATE OR REPLACE FUNCTION app.is_mapped(p_project uuid, p_user uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT EXISTS (
    SELECT FROM app.mapped_members h WHERE h.project_id = p_project AND h.user_id = p_user AND h.role IS NOT NULL)
$$;

CREATE OR REPLACE FUNCTION app.identity_hash(p_issuer text, p_subject text) RETURNS bytea
LANGUAGE sql IMMUTABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT sha256(convert_to(length(p_issuer) || ':' || p_issuer || p_subject, 'UTF8')) $$;

-- Finds the user of an identity, or makes both, and applies a mapping: p_slugs and p_roles are the projects that the claims of
-- the user give, projects that do not exist are passed over. Without p_mapping the memberships stay.
--
-- outcome: `known`, `created`, or without a user: `unknown` (the mapping gives nothing, so nobody is made), `barred` (an operator
-- removed it), `full` (p_most identities), `untrusted` (an operator has not named the issuer). void_ids and void_hashes are the
-- keys and tokens whose role has changed, for caches.
--
-- The mapping gives and takes back only what it gave itself: what an operator did to a membership stays as it is, also that it
-- was removed.
CREATE OR REPLACE FUNCTION app.find_outside_user(
  p_issuer text, p_subject text, p_name text, p_email text, p_mapping text, p_slugs text[], p_roles text[], p_most bigint,
  OUT outcome text, OUT identity_id uuid, OUT user_id uuid, OUT user_name text, OUT void_ids uuid[], OUT void_hashes bytea[]
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  usr uuid;
  own uuid;
  one record;
  noted boolean := false;
  changed uuid[] := '{}';
BEGIN
  IF NOT app.is_operator() AND NOT EXISTS (SELECT FROM app.issuers t WHERE t.issuer = p_issuer) THEN
    outcome := 'untrusted';
    RETURN;
  END IF;
  -- Two sign-ins of one identity at once would both make a user, and undo each other's mapping.
  PERFORM pg_advisory_xact_lock(hashtextextended('memory-bank-mcp identity ' || p_issuer || ' ' || p_subject, 0));
  SELECT i.id, i.user_id, u.name INTO own, usr, user_name
  FROM app.identities i JOIN public.users u ON u.id = i.user_id
  WHERE i.issuer = p_issuer AND i.subject = p_subject FOR SHARE OF u;
  IF own IS NOT NULL THEN
    outcome := 'known';
    UPDATE app.identities i SET seen_at = now(), email = coalesce(p_email, i.email) WHERE i.id = own;
  ELSIF EXISTS (SELECT FROM app.barred_identities b WHERE b.identity_hash = app.identity_hash(p_issuer, p_subject)) THEN
    outcome := 'barred';
    RETURN;
  ELSIF p_mapping IS NULL OR NOT EXISTS (SELECT FROM public.projects p WHERE p.slug = ANY (p_slugs)) THEN
    outcome := 'unknown';
    RETURN;
  ELSE
    -- Names of users are unique, and so is the number of identities.
    PERFORM app.lock_names();
    IF (SELECT count(*) FROM app.identities) >= p_most THEN
      outcome := 'full';
      RETURN;
    END IF;
    outcome := 'created';
    usr := gen_random_uuid();
    own := gen_random_uuid();
    user_name := p_name;
    IF app.is_misleading(p_name)
      OR EXISTS (SELECT FROM public.users u WHERE u.name = p_name OR app.name_form(u.name) = app.name_form(p_name)) THEN
      -- Never the other user, nor one who looks like it.
      user_name := p_name || ' ' || usr;
    END IF;
    PERFORM app.note_mapping(usr, p_issuer, p_mapping);
    noted := true;
    INSERT INTO public.users (id, name) VALUES (usr, user_name);
    INSERT INTO app.identities (issuer, subject, id, user_id, email, seen_at)
    VALUES (p_issuer, p_subject, own, usr, p_email, now());
  END IF;
  IF p_mapping IS NOT NULL THEN
    -- An operator who changes a membership at this moment is waited for, or waits.
    PERFORM FROM public.memberships m WHERE m.user_id = usr ORDER BY m.project_id FOR UPDATE;
    FOR one IN
      SELECT coalesce(w.project_id, h.project_id) AS project_id, w.role AS wanted, h.role AS given, h.mapping,
        h.project_id IS NOT NULL AS is_noted, m.role AS held
      FROM (
        -- The roles are in the order owner, editor, viewer.
        SELECT p.id AS project_id, min(g.role::public.project_role) AS role
        FROM unnest(p_slugs, p_roles) AS g (slug, role) JOIN public.projects p ON p.slug = g.slug GROUP BY p.id
      ) AS w
      FULL JOIN (SELECT * FROM app.mapped_members o WHERE o.user_id = usr) AS h ON h.project_id = w.project_id
      LEFT JOIN public.memberships m ON m.user_id = usr AND m.project_id = coalesce(w.project_id, h.project_id)
      ORDER BY 1
    LOOP
      -- Given by an operator, removed by one, given by the other mapping, or as it should be.
      CONTINUE WHEN CASE WHEN one.is_noted
        THEN one.mapping IS DISTINCT FROM p_mapping OR one.held IS NULL OR one.wanted IS NOT DISTINCT FROM one.given
        ELSE one.held IS NOT NULL END;
      IF NOT noted THEN
        PERFORM app.note_mapping(usr, p_issuer, p_mapping);
        noted := true;
      END IF;
      changed := changed || one.project_id;
      IF one.wanted IS NULL THEN
        DELETE FROM public.memberships m WHERE m.project_id = one.project_id AND m.user_id = usr;
        DELETE FROM app.mapped_members h WHERE h.project_id = one.project_id AND h.user_id = usr;
        UPDATE public.api_keys k SET revoked_at = now()
        WHERE k.project_id = one.project_id AND k.user_id = usr AND k.revoked_at IS NULL;
      ELSIF one.is_noted THEN
        UPDATE public.memberships m SET role = one.wanted WHERE m.project_id = one.project_id AND m.user_id = usr;
        UPDATE app.mapped_members h SET role = one.wanted, mapped_at = now() WHERE h.project_id = one.project_id AND h.user_id = usr;
      ELSE
        INSERT INTO public.memberships (user_id, project_id, role) VALUES (usr, one.project_id, one.wanted) ON CONFLICT DO NOTHING;
        -- Else an operator has added the user a moment ago.
        IF FOUND THEN
          INSERT INTO app.mapped_members (project_id, user_id, role, mapping) VALUES (one.project_id, usr, one.wanted, p_mapping);
        END IF;
      END IF;
    END LOOP;
  END IF;
  SELECT array_agg(coalesce(k.grant_id, k.id)), array_agg(k.key_hash) INTO void_ids, void_hashes FROM public.api_keys k
  WHERE k.user_id = usr AND k.project_id = ANY (changed)
    AND (k.revoked_at IS NULL OR k.revoked_at = now()) AND (k.expires_at > now()) IS NOT FALSE;
  identity_id := own;
  user_id := usr;
END
$$;

-- Shows to the triggers of this transaction, and to readers of the log, that a mapping changes what belongs to a user.
CREATE OR REPLACE FUNCTION app.note_mapping(p_user uuid, p_issuer text, p_mapping text) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  INSERT INTO app.audit_log (action, user_id, login, subject, detail)
  VALUES ('identity.mapped', p_user, session_user::text, p_user::text, jsonb_build_object('issuer', p_issuer, 'by', p_mapping))
$$;

-- The same, and signs the user in: from then on the cookie stands for the user.
CREATE OR REPLACE FUNCTION app.oauth_sign_in_with_identity(
  p_issuer text, p_subject text, p_name text, p_email text, p_mapping text, p_slugs text[], p_roles text[], p_most bigint,
  p_cookie_hash bytea, p_until timestamptz,
  OUT outcome text, OUT user_name text, OUT void_ids uuid[], OUT void_hashes bytea[]
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  found record;
BEGIN
  SELECT * INTO found
  FROM app.find_outside_user(p_issuer, p_subject, p_name, p_email, p_mapping, p_slugs, p_roles, p_most);
  outcome := found.outcome;
  user_name := found.user_name;
  void_ids := found.void_ids;
  void_hashes := found.void_hashes;
  IF found.user_id IS NOT NULL THEN
    INSERT INTO app.oauth_sign_ins (cookie_hash, user_id, by_identity, expires_at)
    VALUES (p_cookie_hash, found.user_id, found.identity_id, least(p_until, now() + interval '1 hour'));
    PERFORM app.oauth_keep_newest(found.user_id);
  END IF;
END
$$;

-- The operator's commands. An identity that an operator links signs in as that user; one that is removed cannot sign in again
-- until an operator links it, or allows it to be mapped.
CREATE OR REPLACE FUNCTION app.trust_issuer(p_issuer text, p_trusted boolean) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF p_trusted THEN
    INSERT INTO app.issuers (issuer) VALUES (p_issuer) ON CONFLICT DO NOTHING;
  ELSE
    DELETE FROM app.issuers t WHERE t.issuer = p_issuer;
  END IF;
  IF FOUND THEN
    PERFORM app.audit(CASE WHEN p_trusted THEN 'issuer.trusted' ELSE 'issuer.distrusted' END, NULL, p_issuer, '{}');
  ELSIF NOT p_trusted THEN
    RAISE EXCEPTION '%', p_issuer USING ERRCODE = 'MB404', DETAIL = 'issuer';
  END IF;
EXCEPTION WHEN check_violation THEN
  RAISE EXCEPTION 'an issuer has 1 to 512 bytes' USING ERRCODE = 'MB400';
END
$$;

CREATE OR REPLACE FUNCTION app.list_issuers() RETURNS TABLE (issuer text, trusted_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT t.issuer, t.trusted_at FROM app.issuers t ORDER BY t.issuer LIMIT 1000 $$;

CREATE OR REPLACE FUNCTION app.list_identities(p_user text)
RETURNS TABLE (
  id uuid, user_name text, issuer text, subject text, email text, linked_at timestamptz, seen_at timestamptz
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  usr constant uuid := CASE WHEN p_user IS NOT NULL THEN app.user_named(p_user) END;
BEGIN
  RETURN QUERY
  SELECT i.id, u.name, i.issuer, i.subject, i.email, i.linked_at, i.seen_at
  FROM app.identities i JOIN public.users u ON u.id = i.user_id
  WHERE usr IS NULL OR i.user_id = usr ORDER BY u.name, i.linked_at, i.id LIMIT 5000;
END
$$;

CREATE OR REPLACE FUNCTION app.link_identity(p_user text, p_issuer text, p_subject text) RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  usr constant uuid := app.user_named(p_user);
  made uuid;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('memory-bank-mcp identity ' || p_issuer || ' ' || p_subject, 0));
  DELETE FROM app.barred_identities b WHERE b.identity_hash = app.identity_hash(p_issuer, p_subject);
  INSERT INTO app.identities (issuer, subject, user_id) VALUES (p_issuer, p_subject, usr) RETURNING id INTO made;
  RETURN made;
EXCEPTION
  WHEN unique_violation THEN
    RAISE EXCEPTION '%', p_subject USING ERRCODE = 'MB409', DETAIL = 'identity';
  WHEN check_violation THEN
    RAISE EXCEPTION 'an issuer has 1 to 512 bytes, a subject 1 to 255' USING ERRCODE = 'MB400';
END
$$;

-- Gives the grants that end with it, with the hashes of their tokens, for caches.
CREATE OR REPLACE FUNCTION app.unlink_identity(p_id uuid) RETURNS TABLE (grant_id uuid, key_hash bytea)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  given app.oauth_grants;
BEGIN
  PERFORM FROM app.identities i WHERE i.id = p_id FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION '%', p_id USING ERRCODE = 'MB404', DETAIL = 'identity';
  END IF;
  FOR given IN SELECT * FROM app.oauth_grants g WHERE g.by_identity = p_id AND g.revoked_at IS NULL ORDER BY g.id LOOP
    RETURN QUERY SELECT given.id, void.hash FROM unnest(app.end_grant(given.project_id, given.id, 'identity')) AS void (hash);
  END LOOP;
  DELETE FROM app.identities i WHERE i.id = p_id;
END
$$;

CREATE OR REPLACE FUNCTION app.allow_identity(p_issuer text, p_subject text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  DELETE FROM app.barred_identities b WHERE b.identity_hash = app.identity_hash(p_issuer, p_subject);
  IF NOT FOUND THEN
    RAISE EXCEPTION '%', p_subject USING ERRCODE = 'MB404', DETAIL = 'barred identity';
  END IF;
END
$$;

-- A mapping never changes a membership that an operator has changed: a membership that was added or changed is no longer mapped, and one
-- that was removed is not given again.
CREATE OR REPLACE FUNCTION app.note_member_by_hand() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF app.mapped_user() IS NOT NULL THEN
    RETURN NULL;
  ELSIF TG_OP <> 'DELETE' THEN
    DELETE FROM app.mapped_members h WHERE h.project_id = NEW.project_id AND h.user_id = NEW.user_id;
    RETURN NULL;
  END IF;
  -- Nothing is noted of a user or a project that is removed.
  INSERT INTO app.mapped_members (project_id, user_id)
  SELECT p.id, u.id FROM public.projects p, public.users u WHERE p.id = OLD.project_id AND u.id = OLD.user_id
  ON CONFLICT (project_id, user_id) DO UPDATE SET role = NULL, mapping = NULL, mapped_at = now();
  RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION app.audit_identity() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM app.audit('identity.linked', NULL, NEW.id::text,
      jsonb_build_object('user', NEW.user_id, 'issuer', NEW.issuer, 'subject', NEW.subject));
    RETURN NULL;
  END IF;
  PERFORM app.audit('identity.unlinked', NULL, OLD.id::text,
    jsonb_build_object('user', OLD.user_id, 'issuer', OLD.issuer, 'subject', OLD.subject));
  INSERT INTO app.barred_identities (identity_hash) VALUES (app.identity_hash(OLD.issuer, OLD.subject)) ON CONFLICT DO NOTHING;
  UPDATE app.oauth_grants g SET revoked_at = now(), revoked_for = 'identity'
  WHERE g.by_identity = OLD.id AND g.revoked_at IS NULL;
  RETURN NULL;
END
$$;

-- Backups and the graph ----------------------------------------------------------------------------------------------

-- Keeps the newest p_most backups of the current project. So an editor may make room, but not delete a chosen backup.
CREATE OR REPLACE FUNCTION app.prune_backups(p_most integer) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project constant uuid := app.writable_project();
BEGIN
  DELETE FROM app.backups b WHERE b.project_id = project AND b.id IN (
    SELECT o.id FROM app.backups o WHERE o.project_id = project ORDER BY o.created_at DESC, o.id DESC
    OFFSET greatest(p_most, 10)
  );
END
$$;
-- All rows of one statement get the same version. Each is a change of the history with its own number, in storage order; user
-- and key are those of the context, tool and session those of app.current_change (see the history of documents).
CREATE OR REPLACE FUNCTION app.note_graph_change() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  change constant text := current_setting('app.current_change', true);
  usr constant uuid := nullif(current_setting('app.current_user_id', true), '')::uuid;
  key constant uuid := nullif(current_setting('app.current_key_id', true), '')::uuid;
  session constant uuid := nullif(split_part(change, '|', 3), '')::uuid;
  tool constant text := nullif(split_part(change, '|', 2), '');
  one record;
  now_at bigint;
  last bigint;
BEGIN
  FOR one IN SELECT c.project_id, array_agg(c.id) AS ids, count(*) AS n FROM changed c GROUP BY c.project_id LOOP
    INSERT INTO app.graph_versions AS v (project_id, version, changes)
    SELECT one.project_id, 1, one.n WHERE EXISTS (SELECT FROM public.projects p WHERE p.id = one.project_id)
    ON CONFLICT (project_id) DO UPDATE SET version = v.version + 1, changes = v.changes + one.n
    RETURNING v.version, v.changes INTO now_at, last;
    -- The project itself is being deleted.
    CONTINUE WHEN now_at IS NULL;
    INSERT INTO app.graph_changes (project_id, version, kind, id)
    SELECT one.project_id, now_at, TG_ARGV[0], i.id FROM unnest(one.ids) AS i (id) ON CONFLICT DO NOTHING;
    IF now_at % 500 = 0 THEN
      DELETE FROM app.graph_changes c WHERE c.project_id = one.project_id AND c.version <= now_at - 2000;
    END IF;
    CONTINUE WHEN change = '-';
    -- Only the branch of the event is planned: an inserted row has no table of former ones. name_key is that of the former row, as in
    -- app.import_graph_changes.
    IF TG_OP = 'INSERT' THEN
      INSERT INTO app.graph_history (project_id, number, at, kind, change, id, entity_id, other_id, name_key, user_id, key_id,
        session_id, tool, former)
      SELECT one.project_id, last - one.n + row_number() OVER (ORDER BY r.seq), clock_timestamp(), TG_ARGV[0], 'created', r.id,
        coalesce(r.facts ->> 'entity_id', r.facts ->> 'from_entity_id', r.id), r.facts ->> 'to_entity_id', NULL,
        usr, key, session, tool, r.former
      FROM (SELECT c.id, c.seq, to_jsonb(c) AS facts, NULL::json AS former FROM changed c
        WHERE c.project_id = one.project_id OFFSET 0) AS r;
    ELSIF TG_OP = 'UPDATE' THEN
      INSERT INTO app.graph_history (project_id, number, at, kind, change, id, entity_id, other_id, name_key, user_id, key_id,
        session_id, tool, former)
      SELECT one.project_id, last - one.n + row_number() OVER (ORDER BY r.seq), clock_timestamp(), TG_ARGV[0], 'changed', r.id,
        coalesce(r.facts ->> 'entity_id', r.facts ->> 'from_entity_id', r.id), r.facts ->> 'to_entity_id', r.facts ->> 'name_key',
        usr, key, session, tool, r.former
      FROM (SELECT c.id, c.seq, to_jsonb(c) AS facts, row_to_json(c) AS former FROM former c
        WHERE c.project_id = one.project_id OFFSET 0) AS r;
    ELSE
      INSERT INTO app.graph_history (project_id, number, at, kind, change, id, entity_id, other_id, name_key, user_id, key_id,
        session_id, tool, former)
      SELECT one.project_id, last - one.n + row_number() OVER (ORDER BY r.seq), clock_timestamp(), TG_ARGV[0], 'deleted', r.id,
        coalesce(r.facts ->> 'entity_id', r.facts ->> 'from_entity_id', r.id), r.facts ->> 'to_entity_id', r.facts ->> 'name_key',
        usr, key, session, tool, r.former
      FROM (SELECT c.id, c.seq, to_jsonb(c) AS facts, row_to_json(c) AS former FROM changed c
        WHERE c.project_id = one.project_id OFFSET 0) AS r;
    END IF;
  END LOOP;
  RETURN NULL;
END
$$;

-- The change of a project's bytes by inserted and deleted rows, one function per table; of documents also that of their number.
DO $$
DECLARE
  one record;
BEGIN
  FOR one IN
    SELECT 'count_' || t.tab || '_' || op.name AS name, replace(op.source, '@', t.counts) AS rows FROM (VALUES
      ('documents', $counts$('documents', octet_length(r.content)), ('document_count', 1)$counts$),
      ('backup_items', $counts$('snapshots', octet_length(r.item::text))$counts$),
      ('graph_entities', $counts$('graph', 200 + 2 * octet_length(r.name) + coalesce(octet_length(r.attrs::text), 0))$counts$),
      ('graph_observations', $counts$('graph', 200 + octet_length(r.content) + coalesce(octet_length(r.source::text), 0)
        + coalesce(octet_length(r.bounds::text), 0))$counts$),
      ('graph_relations', $counts$('graph', 200 + octet_length(r.relation_type))$counts$),
      ('files', $counts$('files', octet_length(r.content))$counts$)
    ) AS t (tab, counts), (VALUES
      ('insert', 'SELECT r.project_id, w.kind, w.n FROM added r CROSS JOIN LATERAL (VALUES @) AS w (kind, n)'),
      ('delete', 'SELECT r.project_id, w.kind, -w.n FROM gone r CROSS JOIN LATERAL (VALUES @) AS w (kind, n)'),
      ('update', 'SELECT r.project_id, w.kind, w.n FROM added r CROSS JOIN LATERAL (VALUES @) AS w (kind, n)
        UNION ALL SELECT r.project_id, w.kind, -w.n FROM gone r CROSS JOIN LATERAL (VALUES @) AS w (kind, n)')
    ) AS op (name, source)
    WHERE (t.tab, op.name) <> ('documents', 'update')
  LOOP
    EXECUTE format($body$
      CREATE OR REPLACE FUNCTION app.%I() RETURNS trigger
      LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
      AS $count$
      BEGIN
        INSERT INTO app.stored_bytes AS s (project_id, slot, kind, bytes)
        SELECT c.project_id, pg_backend_pid() %% 16, c.kind, sum(c.n) FROM (
          %s
        ) AS c (project_id, kind, n) GROUP BY c.project_id, c.kind
        -- The bytes before the number, in which order a changed document locks them, too; so also where they stay the same.
        HAVING (sum(c.n) <> 0 OR c.kind = 'documents') AND EXISTS (SELECT FROM public.projects p WHERE p.id = c.project_id)
        ORDER BY c.project_id, c.kind DESC
        ON CONFLICT (project_id, slot, kind) DO UPDATE SET bytes = s.bytes + excluded.bytes;
        RETURN NULL;
      END
      $count$
    $body$, one.name, one.rows);
  END LOOP;
END
$$;

-- The same for a changed document, row by row: an edit changes one or two, and transition tables would contain their old and
-- new texts. The row of this connection exists after its first edit. It also adds the version of the change, see below.
CREATE OR REPLACE FUNCTION app.count_documents_update() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  added constant bigint := octet_length(NEW.content);
  gone constant bigint := octet_length(OLD.content);
  change constant text := current_setting('app.current_change', true);
  kept_end constant integer := nullif(split_part(change, '|', 5), '');
  kept_start integer;
BEGIN
  IF kept_end IS NULL OR NEW.version % 256 = 0 THEN
    PERFORM app.add_version(NEW, OLD.content, OLD.etag, 'changed');
  ELSE
    kept_start := split_part(change, '|', 4);
    IF kept_start < 0 OR kept_end < 0 OR kept_start + kept_end > least(added, gone)
      OR gone - kept_start - kept_end > greatest(1024, gone / 8)
      -- Most changes of long texts are appends: this compares without copies, and counts no characters as starts_with does.
      OR NOT (CASE WHEN kept_start = gone THEN strpos(NEW.content, OLD.content) = 1
        ELSE app.keeps_ends(OLD.content, NEW.content, kept_start, kept_end) END) THEN
      PERFORM app.add_version(NEW, OLD.content, OLD.etag, 'changed');
    ELSE
      INSERT INTO app.document_versions (project_id, document_id, version, at, user_id, key_id, session_id, bytes,
        kept_start, kept_end, kind, tool, path, etag, former_etag, former)
      VALUES (NEW.project_id, NEW.id, NEW.version, NEW.updated_at,
        nullif(current_setting('app.current_user_id', true), '')::uuid,
        nullif(current_setting('app.current_key_id', true), '')::uuid,
        nullif(split_part(change, '|', 3), '')::uuid, added, kept_start, kept_end,
        coalesce(nullif(nullif(split_part(change, '|', 1), ''), 'deleted'), 'changed'), nullif(split_part(change, '|', 2), ''), NEW.path, NEW.etag,
        OLD.etag, CASE WHEN kept_start + kept_end = gone THEN '\x'::bytea
          ELSE substr(convert_to(OLD.content, 'UTF8'), kept_start + 1, (gone - kept_start - kept_end)::integer) END);
    END IF;
  END IF;
  IF NEW.project_id = OLD.project_id THEN
    IF added = gone THEN
      RETURN NULL;
    END IF;
    UPDATE app.stored_bytes s SET bytes = s.bytes + added - gone
    WHERE s.project_id = NEW.project_id AND s.slot = pg_backend_pid() % 16 AND s.kind = 'documents';
    IF FOUND THEN
      RETURN NULL;
    END IF;
  END IF;
  INSERT INTO app.stored_bytes AS s (project_id, slot, kind, bytes)
  SELECT c.project_id, pg_backend_pid() % 16, c.kind, sum(c.n)
  FROM (VALUES (NEW.project_id, 'documents', added), (NEW.project_id, 'document_count', 1),
    (OLD.project_id, 'documents', -gone), (OLD.project_id, 'document_count', -1)) AS c (project_id, kind, n)
  WHERE EXISTS (SELECT FROM public.projects p WHERE p.id = c.project_id)
  GROUP BY c.project_id, c.kind HAVING c.kind = 'documents' OR sum(c.n) <> 0 ORDER BY c.project_id, c.kind DESC
  ON CONFLICT (project_id, slot, kind) DO UPDATE SET bytes = s.bytes + excluded.bytes;
  RETURN NULL;
END
$$;

-- The history of documents ---------------------------------------------------------------------------------------------
--
-- Triggers add the versions, so that every change has one, whatever makes it. User and key are those of the context. For what
-- only the server knows, it sets app.current_change in the transaction of a change:
--
--   kind|tool|session|kept_start|kept_end   the numbers, as in app.document_versions, if one document is changed. `kind` replaces
--                                           the kind that the trigger would note. Each part may be empty
--   *|tool|session||                        app.current_versions has the versions of changed documents, by their names, as JSON
--   -                                       no history is kept. A document that has versions gets one more all the same, with the
--                                           tool -, so that those before it can be read
--
-- The tool of an undo has what it took back after its name, as the server reads it back: history-…, and with -none at its
-- end if no tool made it.
--
-- Without the setting (an operator's statement, a server of an earlier version) the whole former text is stored.

-- Whether a text has so many bytes at its beginning and at its end from the former one, and no character is cut. What a server claims
-- of a change is checked so, since the versions before it are read back through it.
CREATE OR REPLACE FUNCTION app.keeps_ends(p_former text, p_new text, p_start integer, p_end integer) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  former constant bytea := convert_to(p_former, 'UTF8');
  new constant bytea := convert_to(p_new, 'UTF8');
  former_end constant integer := octet_length(former) - p_end;
  new_end constant integer := octet_length(new) - p_end;
BEGIN
  RETURN p_start BETWEEN 0 AND least(former_end, new_end) AND p_end >= 0
    AND app.begins_character(former, p_start) AND app.begins_character(new, p_start)
    AND app.begins_character(former, former_end) AND app.begins_character(new, new_end)
    AND substr(former, 1, p_start) = substr(new, 1, p_start) AND substr(former, former_end + 1) = substr(new, new_end + 1);
END
$$;

-- Whether the steps back of versions as app.current_versions has them make the former text of the new one.
CREATE OR REPLACE FUNCTION app.leads_to(p_former text, p_new text, p_versions jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  text bytea := convert_to(p_new, 'UTF8');
  rest integer;
  one record;
BEGIN
  FOR one IN
    SELECT v.start, v."end", v.former, v."formerEtag" IS NULL AS is_creation
    FROM jsonb_array_elements(p_versions) WITH ORDINALITY AS w (version, place), LATERAL jsonb_to_record(w.version) AS v (
      "formerEtag" text, start integer, "end" integer, former text)
    ORDER BY w.place DESC
  LOOP
    IF one.is_creation THEN
      RETURN p_former IS NULL;
    ELSIF one.start = 0 AND one."end" = 0 THEN
      text := convert_to(one.former, 'UTF8');
    ELSE
      rest := octet_length(text) - one."end";
      IF one.start < 0 OR rest < one.start OR NOT (app.begins_character(text, one.start) AND app.begins_character(text, rest)) THEN
        RETURN false;
      END IF;
      text := substr(text, 1, one.start) || convert_to(one.former, 'UTF8') || substr(text, rest + 1);
    END IF;
  END LOOP;
  RETURN coalesce(text = convert_to(p_former, 'UTF8'), false);
END
$$;

-- Whether versions of a document would be lost with its present text: it has some, and the newest is no deletion and was not made to
-- keep them.
CREATE OR REPLACE FUNCTION app.is_followed(p_project uuid, p_document uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce((
    SELECT NOT (v.kind = 'deleted' OR v.tool IS NOT DISTINCT FROM '-' AND v.kept_start = 0 AND v.kept_end = 0 AND v.former IS NOT NULL)
    FROM app.document_versions v WHERE v.project_id = p_project AND v.document_id = p_document ORDER BY v.version DESC LIMIT 1), false)
$$;

-- Whether versions as app.current_versions has them lead from the new text of a document back to the former one: by etags and
-- lengths first. So no text that somebody made up is ever shown as one of another user: what is read back must have the etag of the
-- former row.
CREATE OR REPLACE FUNCTION app.leads_back(p_new public.documents, p_former_bytes integer, p_former_etag text, p_versions jsonb)
RETURNS boolean
LANGUAGE sql IMMUTABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce(bool_and(coalesce(
      s.kind IN ('created', 'changed', 'restored') AND (s.tool ~ '^[A-Za-z0-9_-]{1,64}$') IS NOT FALSE
      AND s.etag = s.needed_etag AND s.bytes = s.needed_bytes
      AND (s.is_first OR s.former_etag IS NOT NULL)
      AND (s.former_etag IS NULL OR s.start >= 0 AND s."end" >= 0 AND s.former IS NOT NULL AND s.start + s."end" <= s.bytes)
      AND (NOT s.is_first OR s.former_etag IS NOT DISTINCT FROM p_former_etag AND s.former_bytes IS NOT DISTINCT FROM p_former_bytes), false)
    ), false)
  FROM (
    SELECT v.*, w.place = 1 AS is_first,
      coalesce(lead(v."formerEtag") OVER steps, p_new.etag) AS needed_etag, v."formerEtag" AS former_etag,
      coalesce(lead(v.start + octet_length(v.former) + v."end") OVER steps, octet_length(p_new.content)) AS needed_bytes,
      CASE WHEN v."formerEtag" IS NOT NULL THEN v.start + octet_length(v.former) + v."end" END AS former_bytes
    FROM jsonb_array_elements(p_versions) WITH ORDINALITY AS w (version, place), LATERAL jsonb_to_record(w.version) AS v (
      kind text, tool text, etag text, bytes integer, "formerEtag" text, start integer, "end" integer, former text)
    WINDOW steps AS (ORDER BY w.place)
  ) AS s
$$;

-- Adds the versions of a document that was created, or changed by several edits at once. p_kind: for a document of which
-- app.current_versions has no versions that lead back.
CREATE OR REPLACE FUNCTION app.add_version(p_new public.documents, p_former text, p_former_etag text, p_kind text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  change constant text := current_setting('app.current_change', true);
  usr constant uuid := nullif(current_setting('app.current_user_id', true), '')::uuid;
  key constant uuid := nullif(current_setting('app.current_key_id', true), '')::uuid;
  listed jsonb;
BEGIN
  IF starts_with(change, '*') THEN
    listed := nullif(current_setting('app.current_versions', true), '')::jsonb -> p_new.path;
    IF NOT (app.leads_back(p_new, octet_length(p_former), p_former_etag, listed) AND app.leads_to(p_former, p_new.content, listed)) THEN
      listed := NULL;
    END IF;
  END IF;
  IF listed IS NOT NULL THEN
    INSERT INTO app.document_versions (project_id, document_id, version, at, user_id, key_id, session_id, bytes, kept_start,
      kept_end, kind, tool, path, etag, former_etag, former)
    SELECT p_new.project_id, p_new.id, p_new.version - jsonb_array_length(listed) + one.place, p_new.updated_at, usr, key,
      (v ->> 'session')::uuid, (v ->> 'bytes')::integer, (v ->> 'start')::integer, (v ->> 'end')::integer, coalesce(nullif(v ->> 'kind', 'deleted'), 'changed'),
      v ->> 'tool', p_new.path, v ->> 'etag', v ->> 'formerEtag', CASE
        -- The whole former text is that of the row.
        WHEN place = 1 AND (v ->> 'start')::integer = 0 AND (v ->> 'end')::integer = 0 THEN convert_to(p_former, 'UTF8')
        ELSE convert_to(v ->> 'former', 'UTF8') END
    FROM jsonb_array_elements(listed) WITH ORDINALITY AS one (v, place);
  ELSIF p_new.content IS DISTINCT FROM p_former
    AND (change IS DISTINCT FROM '-' OR p_former IS NOT NULL AND app.is_followed(p_new.project_id, p_new.id)) THEN
    INSERT INTO app.document_versions (project_id, document_id, version, at, user_id, key_id, session_id, bytes, kind, tool, path,
      etag, former_etag, former)
    VALUES (p_new.project_id, p_new.id, p_new.version, greatest(now(), p_new.updated_at), usr, key,
      nullif(split_part(change, '|', 3), '')::uuid,
      octet_length(p_new.content), coalesce(nullif(nullif(split_part(translate(change, '*-', ''), '|', 1), ''), 'deleted'), p_kind),
      CASE WHEN change = '-' THEN '-' ELSE nullif(split_part(change, '|', 2), '') END, p_new.path, p_new.etag, p_former_etag, convert_to(p_former, 'UTF8'));
  END IF;
END
$$;

-- A new document continues the history of a deleted one of its name, unless its id continues one already: so an undo brings a
-- document back. One that came back under another name keeps its history, and the name begins a new one.
CREATE OR REPLACE FUNCTION app.continue_history() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  last record;
BEGIN
  -- A number near the end of its type would leave no room for later versions.
  NEW.version := least(NEW.version, 1000000000000);
  SELECT v.document_id, v.version, v.kind INTO last FROM app.document_versions v
  WHERE v.project_id = NEW.project_id AND v.path = NEW.path AND v.kind <> 'changed' ORDER BY v.at DESC, v.version DESC LIMIT 1;
  IF last.kind = 'deleted' AND NOT EXISTS (
    SELECT FROM app.document_versions v WHERE v.project_id = NEW.project_id AND v.document_id = NEW.id
  ) AND NOT EXISTS (
    SELECT FROM app.document_versions v
    WHERE v.project_id = NEW.project_id AND v.document_id = last.document_id AND v.version > last.version
  ) THEN
    NEW.id := last.document_id;
    NEW.version := last.version + NEW.version;
  END IF;
  RETURN NEW;
END
$$;

-- A statement by hand need not count the version of a document that it changes.
CREATE OR REPLACE FUNCTION app.count_version() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF (NEW.content, NEW.path) IS DISTINCT FROM (OLD.content, OLD.path) THEN
    NEW.version := OLD.version + 1;
  ELSE
    -- A number near the end of its type would leave no room for later versions.
    NEW.version := OLD.version;
  END IF;
  RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION app.note_created() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  last record;
BEGIN
  -- The deletion of a document of this name was not committed when app.continue_history looked for it.
  SELECT v.document_id, v.version, v.kind INTO last FROM app.document_versions v
  WHERE v.project_id = NEW.project_id AND v.path = NEW.path AND v.kind <> 'changed' ORDER BY v.at DESC, v.version DESC LIMIT 1;
  IF last.kind = 'deleted' AND last.document_id <> NEW.id AND NOT EXISTS (
    SELECT FROM app.document_versions v WHERE v.project_id = NEW.project_id AND v.document_id = NEW.id
  ) AND NOT EXISTS (
    SELECT FROM app.document_versions v
    WHERE v.project_id = NEW.project_id AND v.document_id = last.document_id AND v.version > last.version
  ) THEN
    RAISE EXCEPTION 'the document of this name was deleted meanwhile' USING ERRCODE = 'serialization_failure';
  END IF;
  PERFORM app.add_version(NEW, NULL, NULL, 'created');
  RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION app.note_renamed() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  change constant text := current_setting('app.current_change', true);
BEGIN
  IF change <> '-' OR change IS NULL THEN
    INSERT INTO app.document_versions (project_id, document_id, version, at, user_id, key_id, session_id, bytes, kept_start, kind,
      tool, path, former_path, etag, former_etag, former)
    VALUES (NEW.project_id, NEW.id, NEW.version, NEW.updated_at,
      nullif(current_setting('app.current_user_id', true), '')::uuid,
      nullif(current_setting('app.current_key_id', true), '')::uuid,
      nullif(split_part(change, '|', 3), '')::uuid, octet_length(NEW.content), octet_length(NEW.content), 'renamed',
      nullif(split_part(change, '|', 2), ''), NEW.path, OLD.path, NEW.etag, OLD.etag, '');
  END IF;
  RETURN NULL;
END
$$;

-- The documents of a removed project leave no versions.
CREATE OR REPLACE FUNCTION app.note_deleted() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  change constant text := current_setting('app.current_change', true);
BEGIN
  IF EXISTS (SELECT FROM gone) THEN
    INSERT INTO app.document_versions (project_id, document_id, version, at, user_id, key_id, session_id, bytes, kind, tool, path,
      former_etag, former)
    SELECT g.project_id, g.id, g.version + 1, greatest(now(), g.updated_at),
      nullif(current_setting('app.current_user_id', true), '')::uuid,
      nullif(current_setting('app.current_key_id', true), '')::uuid,
      nullif(split_part(change, '|', 3), '')::uuid, 0, 'deleted', nullif(split_part(change, '|', 2), ''), g.path, g.etag,
      convert_to(g.content, 'UTF8')
    FROM gone g WHERE EXISTS (SELECT FROM public.projects p WHERE p.id = g.project_id)
      AND (change IS DISTINCT FROM '-' OR app.is_followed(g.project_id, g.id));
  END IF;
  RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION app.forget_history() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  DELETE FROM app.document_versions v WHERE v.project_id = OLD.id;
  DELETE FROM app.graph_history h WHERE h.project_id = OLD.id;
  RETURN NULL;
END
$$;

-- The document that has one of these names, or that had it last.
CREATE OR REPLACE FUNCTION app.document_named(p_project uuid, p_paths text[]) RETURNS uuid
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce(
    (SELECT d.id FROM public.documents d WHERE d.project_id = p_project AND d.path = ANY (p_paths) ORDER BY d.path LIMIT 1),
    (SELECT v.document_id FROM app.document_versions v
      WHERE v.project_id = p_project AND v.path = ANY (p_paths) AND v.kind <> 'changed' ORDER BY v.at DESC, v.version DESC LIMIT 1))
$$;

-- The same, and after it the deleted documents that had one of these names before, the last one first: at most p_most of all. For an
-- erasure p_most is NULL: all of them, by any version, and none that has another name now, which is erased by that name.
CREATE OR REPLACE FUNCTION app.documents_named(p_project uuid, p_paths text[], p_most integer) RETURNS uuid[]
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT array_agg(f.document_id ORDER BY f.place) FROM (
    SELECT n.document_id, row_number() OVER (ORDER BY bool_or(n.is_first) DESC, max(n.at) DESC, n.document_id) AS place
    FROM (
      SELECT app.document_named(p_project, p_paths) AS document_id, true AS is_first, NULL::timestamptz AS at
      UNION ALL
      SELECT v.document_id, false, max(v.at) FROM app.document_versions v
      WHERE v.project_id = p_project AND v.path = ANY (p_paths) AND v.kind <> 'changed'
        AND v.document_id IS DISTINCT FROM app.document_named(p_project, p_paths)
        AND NOT EXISTS (SELECT FROM public.documents d WHERE d.project_id = p_project AND d.id = v.document_id)
      GROUP BY v.document_id
      UNION ALL
      SELECT v.document_id, false, max(v.at) FROM app.document_versions v
      WHERE p_most IS NULL AND v.project_id = p_project AND (v.path = ANY (p_paths) OR v.former_path = ANY (p_paths))
      GROUP BY v.document_id
    ) AS n WHERE n.document_id IS NOT NULL AND NOT (p_most IS NULL AND EXISTS (
      SELECT FROM public.documents d WHERE d.project_id = p_project AND d.id = n.document_id AND d.path <> ALL (p_paths)))
    GROUP BY n.document_id
  ) AS f WHERE p_most IS NULL OR f.place <= p_most
$$;

-- A page of versions, newest first, with the names of their users and the prefixes of their keys, which members may not read
-- otherwise. Needs the right to read. p_documents: of these documents only; p_after…: after this place of the list. Of an imported
-- version the author is as the source named it, and no key of the project is its key.
--
-- Functions that an earlier script of this version made have other columns or arguments.
DROP FUNCTION IF EXISTS app.document_chain(uuid, bigint, integer, bigint);
DROP FUNCTION IF EXISTS app.list_versions(uuid, bigint, uuid, timestamptz, timestamptz, text, timestamptz, bigint, uuid, integer);
CREATE OR REPLACE FUNCTION app.list_versions(
  p_documents uuid[], p_version bigint, p_session uuid, p_since timestamptz, p_until timestamptz, p_by text, p_after timestamptz,
  p_after_version bigint, p_after_document uuid, p_most integer
) RETURNS TABLE (
  document_id uuid, version bigint, at timestamptz, author text, key_id uuid, key_prefix text, session_id uuid, bytes integer,
  kind text, tool text, path text, former_path text, etag text, former_etag text, replaced integer, former_bytes integer,
  imported boolean
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  project constant uuid := app.readable_project();
BEGIN
  RETURN QUERY
  SELECT p.document_id, p.version, p.at, p.author, p.key_id,
    (SELECT k.key_prefix::text FROM public.api_keys k
      WHERE k.project_id = project AND k.id = p.key_id AND k.grant_id IS NULL AND p.imported_by IS NULL),
    p.session_id, p.bytes, p.kind, p.tool, p.path, p.former_path, p.etag, p.former_etag, octet_length(p.former),
    p.kept_start + octet_length(p.former) + p.kept_end, p.imported_by IS NOT NULL
  FROM (
    SELECT v.*, coalesce(u.name, v.claimed_author) AS author
    FROM app.document_versions v LEFT JOIN public.users u ON u.id = v.user_id
    WHERE v.project_id = project AND (p_documents IS NULL OR v.document_id = ANY (p_documents))
      AND (p_version IS NULL OR v.version = p_version)
      AND (p_session IS NULL OR v.session_id = p_session)
      AND (p_since IS NULL OR v.at >= p_since) AND (p_until IS NULL OR v.at < p_until)
      AND (p_by IS NULL OR coalesce(u.name, v.claimed_author) = p_by)
      AND (p_after IS NULL OR (v.at, v.version, v.document_id) < (p_after, p_after_version, p_after_document))
    ORDER BY v.at DESC, v.version DESC, v.document_id DESC LIMIT least(greatest(p_most, 1), 201)
  ) AS p ORDER BY p.at DESC, p.version DESC, p.document_id DESC;
END
$$;

-- The latest versions of a document, newest first, down to p_from: at most p_most, and at most p_bytes of replaced text beside the
-- first. With what each replaced, and the names as in app.list_versions. p_before: only versions before this one, for an export,
-- which reads pages. Needs the right to read.
CREATE OR REPLACE FUNCTION app.document_chain(
  p_document uuid, p_from bigint, p_most integer, p_bytes bigint, p_before bigint DEFAULT NULL
) RETURNS TABLE (
  document_id uuid, version bigint, at timestamptz, author text, key_id uuid, key_prefix text, session_id uuid, bytes integer,
  kind text, tool text, path text, former_path text, etag text, former_etag text, replaced integer, former_bytes integer,
  imported boolean, kept_start integer, kept_end integer, former bytea
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  project constant uuid := app.readable_project();
BEGIN
  RETURN QUERY
  SELECT p.document_id, p.version, p.at, coalesce(u.name::text, p.claimed_author), p.key_id,
    (SELECT k.key_prefix::text FROM public.api_keys k
      WHERE k.project_id = project AND k.id = p.key_id AND k.grant_id IS NULL AND p.imported_by IS NULL),
    p.session_id, p.bytes, p.kind, p.tool, p.path, p.former_path, p.etag, p.former_etag, octet_length(p.former),
    p.kept_start + octet_length(p.former) + p.kept_end, p.imported_by IS NOT NULL, p.kept_start, p.kept_end, p.former
  FROM (
    SELECT c.*, row_number() OVER newest AS place, sum(coalesce(octet_length(c.former), 0)) OVER newest AS so_far
    FROM (
      SELECT v.* FROM app.document_versions v
      WHERE v.project_id = project AND v.document_id = p_document AND v.version >= p_from
        AND (p_before IS NULL OR v.version < p_before)
      ORDER BY v.version DESC LIMIT greatest(p_most, 1)
    ) AS c
    WINDOW newest AS (ORDER BY c.version DESC ROWS UNBOUNDED PRECEDING)
  ) AS p LEFT JOIN public.users u ON u.id = p.user_id
  WHERE p.place = 1 OR p.so_far <= p_bytes
  ORDER BY p.version DESC;
END
$$;

-- Adds the versions of documents that an import brings, as JSON objects in a list, and returns their number. Only in a
-- transaction that the audit log shows as an import or a restore, and only of documents that the project does not have and whose
-- history it does not have. Whatever the source claims, a version is marked with its importer and is of no user of the database.
-- A time in the future would outlast the retention, so it becomes the present. Needs the right to write.
CREATE OR REPLACE FUNCTION app.import_versions(p_versions json) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project constant uuid := app.writable_project();
  usr constant uuid := app.current_user_id();
  documents uuid[];
  valid boolean;
  added bigint;
BEGIN
  IF project IS NULL OR usr IS NULL OR NOT app.restores(project) THEN
    RAISE EXCEPTION 'only an import may add versions' USING ERRCODE = 'insufficient_privilege';
  END IF;
  SELECT array_agg(DISTINCT r.document), bool_and(coalesce(
    r.document IS NOT NULL AND r.number BETWEEN 1 AND 1099511627776 AND r.at IS NOT NULL AND r.bytes BETWEEN 0 AND 16777216
    AND r.kind IN ('created', 'changed', 'renamed', 'deleted', 'restored', 'outside', 'foreign')
    AND octet_length(r.path) <= 255 AND r.path !~ E'(^|/)[.]{0,2}(/|$)|\\\\'
    AND (r."formerPath" IS NULL OR octet_length(r."formerPath") <= 255 AND r."formerPath" !~ E'(^|/)[.]{0,2}(/|$)|\\\\')
    AND (r.author IS NULL OR octet_length(r.author) <= 255) AND (r.tool IS NULL OR r.tool ~ '^[A-Za-z0-9_-]{1,64}$')
    AND (r.etag IS NULL OR r.etag ~ '^[0-9a-f]{16}$') AND (r."formerEtag" IS NULL OR r."formerEtag" ~ '^[0-9a-f]{16}$')
    AND (r."formerEtag" IS NULL) = (r.former IS NULL) AND coalesce(octet_length(r.former), 0) <= 16777216
    AND r.start BETWEEN 0 AND 16777216 AND r."end" BETWEEN 0 AND 16777216,
    false))
  INTO documents, valid
  FROM json_to_recordset(p_versions) AS r (document uuid, number bigint, kind text, path text, "formerPath" text, at timestamptz,
    author text, tool text, etag text, bytes bigint, "formerEtag" text, start bigint, "end" bigint, former text);
  IF NOT valid THEN
    RAISE EXCEPTION 'a version is malformed' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  -- Earlier pages of the same import have added rows of the same documents.
  IF EXISTS (
    SELECT FROM app.document_versions v
    WHERE v.project_id = project AND v.document_id = ANY (documents) AND v.xmin <> pg_current_xact_id()::xid
  ) OR EXISTS (SELECT FROM public.documents d WHERE d.project_id = project AND d.id = ANY (documents)) THEN
    RAISE EXCEPTION 'the history of a document of the project is not changed' USING ERRCODE = 'insufficient_privilege';
  END IF;
  INSERT INTO app.document_versions (project_id, document_id, version, at, key_id, session_id, bytes, kept_start, kept_end, kind,
    tool, path, former_path, etag, former_etag, former, imported_by, claimed_author)
  SELECT project, r.document, r.number, least(r.at, now()), r.key,
    CASE WHEN r.session ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN r.session::uuid END,
    r.bytes, r.start, r."end", r.kind, r.tool, r.path, r."formerPath", r.etag, r."formerEtag", convert_to(r.former, 'UTF8'), usr,
    CASE WHEN r.kind <> 'foreign' THEN r.author END
  FROM json_to_recordset(p_versions) AS r (document uuid, number bigint, kind text, path text, "formerPath" text, at timestamptz,
    author text, key uuid, session text, tool text, etag text, bytes integer, "formerEtag" text, start integer, "end" integer,
    former text);
  GET DIAGNOSTICS added = ROW_COUNT;
  RETURN added;
END
$$;

-- Who made these versions of documents, as far as users of this name exist. Needs the right to read.
CREATE OR REPLACE FUNCTION app.authors_of(p_documents uuid[], p_versions bigint[]) RETURNS TABLE (document_id uuid, author text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  project constant uuid := app.readable_project();
BEGIN
  RETURN QUERY
  SELECT v.document_id, u.name::text FROM unnest(p_documents, p_versions) AS w (document, number)
  JOIN app.document_versions v ON v.project_id = project AND v.document_id = w.document AND v.version = w.number
  JOIN public.users u ON u.id = v.user_id;
END
$$;

-- Forgets the replies that are stored for clients that reconnect: they may show what an owner erases.
CREATE OR REPLACE FUNCTION app.forget_replies(p_project uuid) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  DELETE FROM public.mcp_events e WHERE e.project_id = p_project
$$;

-- Erases the versions of a document, for an owner, and the stored replies of the project; notes it in the audit log. The current text stays. Of a deleted document the
-- deletion stays, without its text: a new document of the name continues its numbers, so none of them ever means another text.
CREATE OR REPLACE FUNCTION app.erase_history(p_document uuid) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project constant uuid := app.owned_project();
  last app.document_versions;
  removed bigint;
BEGIN
  IF project IS NULL THEN
    RAISE EXCEPTION 'only an owner may erase history' USING ERRCODE = 'insufficient_privilege';
  END IF;
  -- Waits for changes that bring something of the history back, and keeps others out: they check under the same lock, shared, that what
  -- they are made of is still there.
  PERFORM pg_advisory_xact_lock(hashtextextended('memory-bank-mcp erasure ' || project::text, 0));
  SELECT v.* INTO last FROM app.document_versions v WHERE v.project_id = project AND v.document_id = p_document
  ORDER BY v.version DESC LIMIT 1;
  DELETE FROM app.document_versions v WHERE v.project_id = project AND v.document_id = p_document;
  GET DIAGNOSTICS removed = ROW_COUNT;
  IF last.kind = 'deleted' THEN
    removed := removed - CASE WHEN last.former_etag IS NULL THEN 1 ELSE 0 END;
    last.former := NULL;
    last.former_etag := NULL;
    last.kept_start := 0;
    last.kept_end := 0;
    INSERT INTO app.document_versions SELECT last.*;
  END IF;
  PERFORM app.forget_replies(project);
  IF removed > 0 THEN
    PERFORM app.audit('history.erased', project, last.path, jsonb_build_object('versions', removed));
  END IF;
  RETURN removed;
END
$$;

-- The history of the graph ----------------------------------------------------------------------------------------------
--
-- app.note_graph_change adds the changes.

-- The name of an entity, also of a deleted one.
CREATE OR REPLACE FUNCTION app.graph_name(p_project uuid, p_entity text) RETURNS text
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce(
    (SELECT e.name FROM public.graph_entities e WHERE e.project_id = p_project AND e.id = p_entity),
    (SELECT h.former ->> 'name' FROM app.graph_history h
      WHERE h.project_id = p_project AND h.entity_id = p_entity AND h.id = p_entity AND h.former IS NOT NULL
      ORDER BY h.number DESC LIMIT 1))
$$;

-- The present row of an entity, observation or relation.
CREATE OR REPLACE FUNCTION app.graph_row(p_project uuid, p_kind text, p_id text) RETURNS json
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE p_kind
    WHEN 'entity' THEN (SELECT row_to_json(e) FROM public.graph_entities e WHERE e.project_id = p_project AND e.id = p_id)
    WHEN 'observation' THEN (SELECT row_to_json(o) FROM public.graph_observations o WHERE o.project_id = p_project AND o.id = p_id)
    ELSE (SELECT row_to_json(r) FROM public.graph_relations r WHERE r.project_id = p_project AND r.id = p_id) END
$$;

-- Functions that an earlier script of this version made return one column less.
DO $$
BEGIN
  IF pg_get_function_result(to_regprocedure(
    'app.list_graph_changes(text,bigint,uuid,timestamptz,timestamptz,text,bigint,integer,bigint)')) NOT LIKE '%imported%' THEN
    DROP FUNCTION app.list_graph_changes(text, bigint, uuid, timestamptz, timestamptz, text, bigint, integer, bigint);
  END IF;
  IF pg_get_function_result(to_regprocedure('app.graph_item_changes(text[],text[],bigint,integer,bigint)')) NOT LIKE '%imported%' THEN
    DROP FUNCTION app.graph_item_changes(text[], text[], bigint, integer, bigint);
  END IF;
END
$$;

-- A page of changes of the graph, newest first, with the row before each, the row after it if it changed again, and the names of
-- users and keys, which members may not read otherwise. Of an imported change the author is as the source named it, and no key of
-- the project is its key.
-- p_entity: of this entity, its observations and its relations only; p_number: only later ones; p_after: only older ones than
-- this number. p_most changes, and at most p_bytes of former rows beside the first. Needs the right to read.
CREATE OR REPLACE FUNCTION app.list_graph_changes(
  p_entity text, p_number bigint, p_session uuid, p_since timestamptz, p_until timestamptz, p_by text, p_after bigint,
  p_most integer, p_bytes bigint
) RETURNS TABLE (
  number bigint, at timestamptz, kind text, change text, id text, entity_id text, other_id text, author text, key_id uuid, key_prefix text, session_id uuid, tool text, former text, later text, imported boolean
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  project constant uuid := app.readable_project();
BEGIN
  RETURN QUERY
  SELECT p.number, p.at, p.kind, p.change, p.id, p.entity_id, p.other_id,
    p.author, p.key_id,
    (SELECT k.key_prefix::text FROM public.api_keys k
      WHERE k.project_id = project AND k.id = p.key_id AND k.grant_id IS NULL AND p.imported_by IS NULL),
    p.session_id, p.tool, p.former::text,
    (SELECT n.former FROM app.graph_history n
      WHERE n.project_id = project AND n.entity_id = p.entity_id AND n.id = p.id AND n.number > p.number
      ORDER BY n.number LIMIT 1)::text, p.imported_by IS NOT NULL
  FROM (
    SELECT f.*, row_number() OVER newest AS place, sum(coalesce(octet_length(f.former::text), 0)) OVER newest AS so_far
    FROM (
      SELECT h.*, coalesce(u.name::text, h.claimed_author) AS author
      FROM app.graph_history h LEFT JOIN public.users u ON u.id = h.user_id
      WHERE h.project_id = project AND (p_entity IS NULL OR h.entity_id = p_entity OR h.other_id = p_entity)
        AND (p_number IS NULL OR h.number > p_number)
        AND (p_session IS NULL OR h.session_id = p_session)
        AND (p_since IS NULL OR h.at >= p_since) AND (p_until IS NULL OR h.at < p_until)
        AND (p_by IS NULL OR coalesce(u.name::text, h.claimed_author) = p_by)
        AND (p_after IS NULL OR h.number < p_after)
      ORDER BY h.number DESC LIMIT least(greatest(p_most, 1), 5001)
    ) AS f
    WINDOW newest AS (ORDER BY f.number DESC ROWS UNBOUNDED PRECEDING)
  ) AS p WHERE p.place = 1 OR p.so_far <= p_bytes ORDER BY p.number DESC;
END
$$;

-- The changes of single entities, observations and relations from the number p_from on, newest first, as app.list_graph_changes has
-- them; p_entities has the entity of each of p_ids. p_most changes, and of former rows p_bytes and the one that exceeds them. Needs
-- the right to read.
CREATE OR REPLACE FUNCTION app.graph_item_changes(p_entities text[], p_ids text[], p_from bigint, p_most integer, p_bytes bigint)
RETURNS TABLE (
  number bigint, at timestamptz, kind text, change text, id text, entity_id text, other_id text, author text, key_id uuid, key_prefix text, session_id uuid, tool text, former text, later text, imported boolean
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  project constant uuid := app.readable_project();
BEGIN
  RETURN QUERY
  SELECT p.number, p.at, p.kind, p.change, p.id, p.entity_id, p.other_id,
    p.author, p.key_id,
    (SELECT k.key_prefix::text FROM public.api_keys k
      WHERE k.project_id = project AND k.id = p.key_id AND k.grant_id IS NULL AND p.imported_by IS NULL),
    p.session_id, p.tool, p.former::text,
    (SELECT n.former FROM app.graph_history n
      WHERE n.project_id = project AND n.entity_id = p.entity_id AND n.id = p.id AND n.number > p.number
      ORDER BY n.number LIMIT 1)::text, p.imported_by IS NOT NULL
  FROM (
    SELECT f.*, sum(f.bytes) OVER (ORDER BY f.number DESC ROWS UNBOUNDED PRECEDING) - f.bytes AS so_far
    FROM (
      SELECT h.*, coalesce(u.name::text, h.claimed_author) AS author, coalesce(octet_length(h.former::text), 0) AS bytes
      FROM unnest(p_entities, p_ids) AS w (entity, item)
      JOIN app.graph_history h ON h.project_id = project AND h.entity_id = w.entity AND h.id = w.item AND h.number >= p_from
      LEFT JOIN public.users u ON u.id = h.user_id
      ORDER BY h.number DESC LIMIT least(greatest(p_most, 1), 5001)
    ) AS f
  ) AS p WHERE p.so_far <= p_bytes ORDER BY p.number DESC;
END
$$;

-- Adds the changes of the graph that an import brings, as JSON objects in a list, and returns their number. Only in a transaction that
-- the audit log shows as an import or a restore, and only into a graph that never changed: there is no other history that these would
-- mix with, and no number of it is used again. `former` has the columns of the row before the change. As in app.import_versions a
-- change is marked with its importer, is of no user of the database, and is not of the future. Needs the right to write.
CREATE OR REPLACE FUNCTION app.import_graph_changes(p_changes json) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project constant uuid := app.writable_project();
  usr constant uuid := app.current_user_id();
  newest bigint;
  valid boolean;
  added bigint;
BEGIN
  IF project IS NULL OR usr IS NULL OR NOT app.restores(project) THEN
    RAISE EXCEPTION 'only an import may add changes of the graph' USING ERRCODE = 'insufficient_privilege';
  END IF;
  SELECT max(r.number), bool_and(coalesce(
    r.number BETWEEN 1 AND 1099511627776 AND r.at IS NOT NULL AND r.change IN ('created', 'changed', 'deleted')
    AND (r.change = 'created') = (r.former IS NULL)
    AND r.id ~ CASE r.kind WHEN 'entity' THEN '^ent_' WHEN 'observation' THEN '^obs_' WHEN 'relation' THEN '^rel_' END
    AND r.entity ~ '^ent_' AND (r.kind <> 'entity' OR r.entity = r.id)
    AND (r.kind = 'relation') = (r.other IS NOT NULL) AND (r.other IS NULL OR r.other ~ '^ent_')
    AND octet_length(r.id) <= 1024 AND octet_length(r.entity) <= 1024
    AND (r.other IS NULL OR octet_length(r.other) <= 1024)
    AND (r.author IS NULL OR octet_length(r.author) <= 255) AND (r.tool IS NULL OR r.tool ~ '^[A-Za-z0-9_-]{1,64}$')
    AND coalesce(octet_length(r.former::text), 0) <= 67108864
    AND (r.former IS NULL OR r.former ->> 'id' = r.id AND CASE r.kind
      WHEN 'entity' THEN r.former ->> 'name' <> '' AND octet_length(r.former ->> 'name_key') <= 1024
        AND r.former ->> 'entity_type' <> ''
        AND r.former ->> 'created_at' IS NOT NULL AND r.former ->> 'updated_at' IS NOT NULL
        AND coalesce(json_typeof(r.former -> 'attrs'), 'null') IN ('object', 'null')
      WHEN 'observation' THEN r.former ->> 'entity_id' = r.entity AND r.former ->> 'content' IS NOT NULL
        AND r.former ->> 'timestamp' IS NOT NULL AND coalesce(json_typeof(r.former -> 'source'), 'null') IN ('object', 'null')
        AND coalesce(r.former -> 'source' ->> 'kind', 'manual') IN ('manual', 'tool', 'import', 'agent')
        AND coalesce(json_typeof(r.former -> 'bounds'), 'null') IN ('object', 'null')
      ELSE r.former ->> 'from_entity_id' = r.entity AND r.former ->> 'to_entity_id' = r.other
        AND r.former ->> 'relation_type' <> '' AND r.former ->> 'created_at' IS NOT NULL END),
    false))
  INTO newest, valid
  FROM json_to_recordset(p_changes) AS r (number bigint, at timestamptz, kind text, change text, id text, entity text, other text,
    author text, tool text, former json);
  IF newest IS NULL OR NOT valid THEN
    RAISE EXCEPTION 'a change of the graph is malformed' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  -- The row of another transaction shows that the graph had a change; one of this transaction is of an earlier page.
  INSERT INTO app.graph_versions AS v (project_id, version, changes) VALUES (project, 0, newest)
  ON CONFLICT (project_id) DO UPDATE SET changes = greatest(v.changes, excluded.changes)
  WHERE v.xmin = pg_current_xact_id()::xid;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the graph of the project has its own history' USING ERRCODE = 'insufficient_privilege';
  END IF;
  INSERT INTO app.graph_history (project_id, number, at, kind, change, id, entity_id, other_id, name_key, key_id, session_id, tool,
    former, imported_by, claimed_author)
  SELECT project, r.number, least(r.at, now()), r.kind, r.change, r.id, r.entity, r.other, CASE WHEN r.kind = 'entity' THEN r.former ->> 'name_key' END, r.key,
    CASE WHEN r.session ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN r.session::uuid END, r.tool,
    CASE WHEN r.former IS NOT NULL THEN CASE r.kind
      WHEN 'entity' THEN row_to_json(json_populate_record(NULL::public.graph_entities, r.former))
      WHEN 'observation' THEN row_to_json(json_populate_record(NULL::public.graph_observations, r.former))
      ELSE row_to_json(json_populate_record(NULL::public.graph_relations, r.former)) END END,
    usr, r.author
  FROM json_to_recordset(p_changes) AS r (number bigint, at timestamptz, kind text, change text, id text, entity text, other text,
    author text, key uuid, session text, tool text, former json);
  GET DIAGNOSTICS added = ROW_COUNT;
  RETURN added;
END
$$;

-- Erases the changes of an entity, its observations and its relations, for an owner; notes it in the audit log. What they are
-- now stays.
CREATE OR REPLACE FUNCTION app.erase_graph_history(p_entity text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project constant uuid := app.owned_project();
  name text;
  removed bigint;
BEGIN
  IF project IS NULL THEN
    RAISE EXCEPTION 'only an owner may erase history' USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('memory-bank-mcp erasure ' || project::text, 0));
  SELECT h.former ->> 'name' INTO name FROM app.graph_history h
  WHERE h.project_id = project AND h.entity_id = p_entity AND h.id = p_entity AND h.former IS NOT NULL
  ORDER BY h.number DESC LIMIT 1;
  DELETE FROM app.graph_history h WHERE h.project_id = project AND (h.entity_id = p_entity OR h.other_id = p_entity);
  GET DIAGNOSTICS removed = ROW_COUNT;
  PERFORM app.forget_replies(project);
  IF removed > 0 THEN
    PERFORM app.audit('history.erased', project, coalesce(name, p_entity), jsonb_build_object('changes', removed));
  END IF;
  RETURN removed;
END
$$;

-- The clean-up of both histories ----------------------------------------------------------------------------------------

-- Old versions are thinned to the last of each day. Which ones go is the server's rule; it sees ids, numbers and times of any project,
-- and no content. The functions check each by the same rule and by the bounds that are stored, whatever the caller states.

-- States for how many days all versions are kept, and the quota of projects without their own; 0 is unlimited. A higher bound has an
-- effect at once. A lower one has it after it was stated for a day, and no server stated a higher one meanwhile: each states its own
-- before every clean-up, so a statement by somebody else with the server's role is taken back before it has an effect.
CREATE OR REPLACE FUNCTION app.state_history_bounds(p_days integer, p_quota bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  held app.history_bounds;
  stated_days constant integer := least(greatest(p_days, 1), 100000);
  stated_quota constant bigint := CASE WHEN p_quota > 0 THEN p_quota ELSE 9223372036854775807 END;
BEGIN
  SELECT b.* INTO held FROM app.history_bounds b FOR UPDATE;
  IF stated_days >= held.days AND stated_quota >= held.quota THEN
    UPDATE app.history_bounds b SET days = stated_days, quota = stated_quota, lower_days = NULL, lower_quota = NULL, lower_since = NULL
    WHERE (b.days, b.quota) <> (stated_days, stated_quota) OR b.lower_since IS NOT NULL;
  ELSIF (held.lower_days, held.lower_quota) IS DISTINCT FROM (stated_days, stated_quota) THEN
    UPDATE app.history_bounds b SET days = greatest(b.days, stated_days), quota = greatest(b.quota, stated_quota),
      lower_days = stated_days, lower_quota = stated_quota, lower_since = now();
  ELSIF held.lower_since < now() - interval '1 day' THEN
    UPDATE app.history_bounds b SET days = stated_days, quota = stated_quota, lower_days = NULL, lower_quota = NULL, lower_since = NULL;
  END IF;
END
$$;

INSERT INTO app.history_bounds (days, quota) VALUES (365, 9223372036854775807) ON CONFLICT DO NOTHING;

-- Older versions are thinned.
CREATE OR REPLACE FUNCTION app.history_start() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$ SELECT now() - make_interval(days => b.days) FROM app.history_bounds b $$;

-- The versions of some documents that have several old ones of a day, by document and number. stays: what a former name is found
-- by, a creation, and the last one before a change by another user or session, so that an undo takes nobody else's part with its own. deletes: it deleted the document. p_after_*: only documents after this one, in the order of ids; at most p_most documents, and 2,000 versions of each.
CREATE OR REPLACE FUNCTION app.old_versions(p_before timestamptz, p_after_project uuid, p_after_document uuid, p_most integer)
RETURNS TABLE (project_id uuid, document_id uuid, version bigint, at timestamptz, stays boolean, deletes boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT d.project_id, d.document_id, v.version, v.at, v.stays, v.deletes
  FROM (
    SELECT DISTINCT o.project_id, o.document_id FROM app.document_versions o
    WHERE o.at < least(p_before, app.history_start())
      AND (p_after_project IS NULL OR (o.project_id, o.document_id) > (p_after_project, p_after_document))
    GROUP BY o.project_id, o.document_id, (o.at AT TIME ZONE 'UTC')::date
    HAVING count(*) > 1 AND bool_or(o.former_path IS NULL AND o.kind IN ('changed', 'restored', 'outside'))
    ORDER BY o.project_id, o.document_id LIMIT least(greatest(p_most, 1), 100)
  ) AS d CROSS JOIN LATERAL (
    SELECT w.version, w.at, w.kind = 'deleted' AS deletes,
      w.former_path IS NOT NULL OR w.kind NOT IN ('changed', 'restored', 'outside') OR w.at >= app.history_start()
        OR (lead(w.version) OVER later IS NOT NULL
          AND (w.user_id, w.session_id, w.imported_by, w.claimed_author) IS DISTINCT FROM
            (lead(w.user_id) OVER later, lead(w.session_id) OVER later, lead(w.imported_by) OVER later, lead(w.claimed_author) OVER later)) AS stays
    FROM app.document_versions w WHERE w.project_id = d.project_id AND w.document_id = d.document_id
      AND w.at < ((p_before AT TIME ZONE 'UTC')::date + 1)::timestamp AT TIME ZONE 'UTC'
    WINDOW later AS (ORDER BY w.version)
    ORDER BY w.version LIMIT 2000
  ) AS v ORDER BY d.project_id, d.document_id, v.version
$$;

-- The same of changes of the graph: of items with several old changes of a day, by item and number. Creations and deletions stay.
CREATE OR REPLACE FUNCTION app.old_graph_changes(p_before timestamptz, p_after_project uuid, p_after_entity text, p_after_id text, p_most integer)
RETURNS TABLE (project_id uuid, entity_id text, id text, number bigint, at timestamptz, stays boolean, deletes boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT d.project_id, d.entity_id, d.id, v.number, v.at, v.stays, v.deletes
  FROM (
    SELECT DISTINCT o.project_id, o.entity_id, o.id FROM app.graph_history o
    WHERE o.change = 'changed' AND o.at < least(p_before, app.history_start())
      AND (p_after_project IS NULL OR (o.project_id, o.entity_id, o.id) > (p_after_project, p_after_entity, p_after_id))
    GROUP BY o.project_id, o.entity_id, o.id, (o.at AT TIME ZONE 'UTC')::date HAVING count(*) > 1
    ORDER BY o.project_id, o.entity_id, o.id LIMIT least(greatest(p_most, 1), 100)
  ) AS d CROSS JOIN LATERAL (
    SELECT w.number, w.at, w.change = 'deleted' AS deletes,
      w.change <> 'changed' OR w.at >= app.history_start() OR (lead(w.number) OVER later IS NOT NULL
        AND (w.user_id, w.session_id, w.imported_by, w.claimed_author) IS DISTINCT FROM
          (lead(w.user_id) OVER later, lead(w.session_id) OVER later, lead(w.imported_by) OVER later, lead(w.claimed_author) OVER later)) AS stays
    FROM app.graph_history w WHERE w.project_id = d.project_id AND w.entity_id = d.entity_id AND w.id = d.id
      AND w.at < ((p_before AT TIME ZONE 'UTC')::date + 1)::timestamp AT TIME ZONE 'UTC'
    WINDOW later AS (ORDER BY w.number)
    ORDER BY w.number LIMIT 2000
  ) AS v ORDER BY d.project_id, d.entity_id, d.id, v.number
$$;

-- Whether a character of UTF-8 begins at this place of a text, counted from 0, or the text ends there.
CREATE OR REPLACE FUNCTION app.begins_character(p_text bytea, p_at integer) RETURNS boolean
LANGUAGE sql IMMUTABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE WHEN p_at < octet_length(p_text) THEN get_byte(p_text, p_at) & 192 <> 128 ELSE true END
$$;

-- How many bytes two texts share at their beginning, and beyond that at their end, cut between characters.
CREATE OR REPLACE FUNCTION app.shared_ends(p_one bytea, p_other bytea, OUT shared_start integer, OUT shared_end integer)
LANGUAGE plpgsql IMMUTABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  one constant integer := octet_length(p_one);
  other constant integer := octet_length(p_other);
  high integer := least(one, other);
  middle integer;
BEGIN
  shared_start := 0;
  WHILE shared_start < high LOOP
    middle := (shared_start + high + 1) / 2;
    IF substring(p_one FROM shared_start + 1 FOR middle - shared_start)
      = substring(p_other FROM shared_start + 1 FOR middle - shared_start) THEN
      shared_start := middle;
    ELSE
      high := middle - 1;
    END IF;
  END LOOP;
  WHILE shared_start > 0 AND NOT (app.begins_character(p_one, shared_start) AND app.begins_character(p_other, shared_start)) LOOP
    shared_start := shared_start - 1;
  END LOOP;
  shared_end := 0;
  high := least(one, other) - shared_start;
  WHILE shared_end < high LOOP
    middle := (shared_end + high + 1) / 2;
    IF substring(p_one FROM one - middle + 1 FOR middle - shared_end)
      = substring(p_other FROM other - middle + 1 FOR middle - shared_end) THEN
      shared_end := middle;
    ELSE
      high := middle - 1;
    END IF;
  END LOOP;
  WHILE shared_end > 0
    AND NOT (app.begins_character(p_one, one - shared_end) AND app.begins_character(p_other, other - shared_end)) LOOP
    shared_end := shared_end - 1;
  END LOOP;
END
$$;

-- The text before a version, made of the one after it; none if the version created the document. Raises an error if it does not
-- have its etag.
CREATE OR REPLACE FUNCTION app.text_before(p_version app.document_versions, p_after bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  before bytea;
BEGIN
  IF p_version.former_etag IS NULL THEN
    RETURN NULL;
  END IF;
  before := CASE WHEN p_version.kept_start = 0 AND p_version.kept_end = 0 THEN p_version.former
    ELSE substring(p_after FROM 1 FOR p_version.kept_start) || coalesce(p_version.former, '')
      || substring(p_after FROM octet_length(p_after) - p_version.kept_end + 1) END;
  IF before IS NULL OR left(encode(sha256(before), 'hex'), 16) <> p_version.former_etag THEN
    RAISE EXCEPTION 'the text before version % does not have its etag', p_version.version USING ERRCODE = 'data_corrupted';
  END IF;
  RETURN before;
END
$$;

-- A version as the one that follows this text.
CREATE OR REPLACE FUNCTION app.joined_version(p_version app.document_versions, p_text bytea, p_before bytea) RETURNS app.document_versions
LANGUAGE plpgsql IMMUTABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  joined app.document_versions := p_version;
BEGIN
  joined.kept_start := 0;
  joined.kept_end := 0;
  joined.former := p_before;
  joined.former_etag := left(encode(sha256(p_before), 'hex'), 16);
  IF p_before IS NOT NULL AND p_text IS NOT NULL AND p_version.version % 256 <> 0 THEN
    SELECT s.shared_start, s.shared_end INTO joined.kept_start, joined.kept_end FROM app.shared_ends(p_before, p_text) AS s;
    joined.former := substring(p_before FROM joined.kept_start + 1 FOR octet_length(p_before) - joined.kept_start - joined.kept_end);
    IF octet_length(joined.former) > greatest(octet_length(p_before) / 8, 1024) THEN
      joined.kept_start := 0;
      joined.kept_end := 0;
      joined.former := p_before;
    END IF;
  END IF;
  IF app.text_before(joined, p_text) IS DISTINCT FROM p_before THEN
    RAISE EXCEPTION 'version % cannot be joined', p_version.version USING ERRCODE = 'data_corrupted';
  END IF;
  -- A row of before the constraint document_versions_claims.
  joined.tool := substring(joined.tool FROM '^[A-Za-z0-9_-]{1,64}$');
  RETURN joined;
END
$$;

-- Removes versions of a document; the next one leads to the text before them. All texts on the way from a whole one are rebuilt and
-- checked. Returns how many went: none if one is among them that app.old_versions does not show as one that goes, or the last of a day,
-- -1 if the history is damaged.
-- Null while another server cleans up.
CREATE OR REPLACE FUNCTION app.thin_versions(p_project uuid, p_document uuid, p_numbers bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  one app.document_versions;
  above app.document_versions;
  above_text bytea;
  after bytea;
  present_etag text;
  -- The etag that the text after the next row has; the newest row of the loop is compared with the present text.
  link text;
  is_first boolean := true;
  is_gap boolean := false;
  removed bigint := 0;
  oldest constant bigint := (SELECT min(n) FROM unnest(p_numbers) AS n);
  following constant bigint := (SELECT min(v.version) FROM app.document_versions v WHERE v.project_id = p_project
    AND v.document_id = p_document AND v.version > (SELECT max(n) FROM unnest(p_numbers) AS n));
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('memory-bank-mcp history', 0)) THEN
    RETURN NULL;
  END IF;
  IF following IS NULL OR EXISTS (
    SELECT FROM (
      SELECT w.*, lead(w.kind) OVER later AS next_kind,
        (w.user_id, w.session_id, w.imported_by, w.claimed_author) IS DISTINCT FROM
          (lead(w.user_id) OVER later, lead(w.session_id) OVER later, lead(w.imported_by) OVER later,
            lead(w.claimed_author) OVER later) AS is_of_another
      FROM app.document_versions w
      WHERE w.project_id = p_project AND w.document_id = p_document AND w.version BETWEEN oldest AND following
      WINDOW later AS (ORDER BY w.version)
    ) AS v
    WHERE v.version = ANY (p_numbers)
      AND ((v.at < app.history_start()) IS NOT TRUE OR v.former_path IS NOT NULL OR v.kind NOT IN ('changed', 'restored', 'outside')
        OR v.next_kind = 'deleted' OR v.is_of_another OR NOT EXISTS (
          SELECT FROM app.document_versions k WHERE k.project_id = p_project AND k.document_id = p_document AND k.version > v.version
            AND k.version <> ALL (p_numbers) AND (k.at AT TIME ZONE 'UTC')::date = (v.at AT TIME ZONE 'UTC')::date))
  ) THEN
    RETURN 0;
  END IF;
  SELECT convert_to(d.content, 'UTF8'), d.etag INTO after, present_etag FROM public.documents d
  WHERE d.project_id = p_project AND d.id = p_document;
  -- From the first whole text above the version that follows them, or from the present one.
  FOR one IN
    SELECT v.* FROM app.document_versions v
    WHERE v.project_id = p_project AND v.document_id = p_document AND v.version >= oldest AND v.version <= coalesce((
      SELECT min(w.version) FROM app.document_versions w WHERE w.project_id = p_project AND w.document_id = p_document
        AND w.version > following AND w.kept_start = 0 AND w.kept_end = 0 AND w.former IS NOT NULL), 9223372036854775807)
    ORDER BY v.version DESC
  LOOP
    IF is_first THEN
      -- Below the newest version, a whole text needs none after it.
      after := CASE WHEN one.etag = present_etag THEN after END;
    ELSIF one.etag IS DISTINCT FROM link THEN
      RAISE EXCEPTION 'a change after version % is missing', one.version USING ERRCODE = 'data_corrupted';
    END IF;
    is_first := false;
    link := one.former_etag;
    IF one.version = ANY (p_numbers) THEN
      is_gap := true;
      DELETE FROM app.document_versions v WHERE v.project_id = p_project AND v.document_id = p_document AND v.version = one.version;
      removed := removed + 1;
    ELSE
      IF is_gap THEN
        PERFORM app.replace_version(above, above_text, after);
      END IF;
      is_gap := false;
      above := one;
      above_text := after;
    END IF;
    after := app.text_before(one, after);
  END LOOP;
  IF is_gap THEN
    PERFORM app.replace_version(above, above_text, after);
  END IF;
  RETURN removed;
EXCEPTION WHEN data_corrupted THEN
  RETURN -1;
END
$$;

-- Stores a version as the one that follows this text.
CREATE OR REPLACE FUNCTION app.replace_version(p_version app.document_versions, p_text bytea, p_before bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  joined constant app.document_versions := app.joined_version(p_version, p_text, p_before);
BEGIN
  DELETE FROM app.document_versions v
  WHERE v.project_id = p_version.project_id AND v.document_id = p_version.document_id AND v.version = p_version.version;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the history was erased meanwhile' USING ERRCODE = 'serialization_failure';
  END IF;
  INSERT INTO app.document_versions SELECT joined.*;
END
$$;

-- Removes changes of the graph, as app.thin_versions does with versions; those that stay by its rule are left. The next change of the
-- same item follows the row before them. Returns how many went.
-- Null while another server cleans up.
CREATE OR REPLACE FUNCTION app.thin_graph_changes(p_project uuid, p_entity text, p_id text, p_numbers bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  one record;
  kept app.graph_history;
  removed bigint;
  going bigint[];
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('memory-bank-mcp history', 0)) THEN
    RETURN NULL;
  END IF;
  SELECT array_agg(v.number) INTO going FROM (
    SELECT w.number, w.at, w.change, lead(w.change) OVER later AS next_change,
      (w.user_id, w.session_id) IS DISTINCT FROM (lead(w.user_id) OVER later, lead(w.session_id) OVER later) AS is_of_another
    FROM app.graph_history w WHERE w.project_id = p_project AND w.entity_id = p_entity AND w.id = p_id
      AND w.number >= (SELECT min(n) FROM unnest(p_numbers) AS n)
    WINDOW later AS (ORDER BY w.number)
  ) AS v
  WHERE v.number = ANY (p_numbers) AND v.change = 'changed' AND v.next_change = 'changed' AND NOT v.is_of_another
    AND v.at < app.history_start() AND EXISTS (
      SELECT FROM app.graph_history k WHERE k.project_id = p_project AND k.entity_id = p_entity AND k.id = p_id AND k.number > v.number
        AND k.number <> ALL (p_numbers) AND (k.at AT TIME ZONE 'UTC')::date = (v.at AT TIME ZONE 'UTC')::date);
  -- Each kept change that follows removed ones, with the row before the first removed one.
  FOR one IN
    SELECT g.kept, (array_agg(g.former ORDER BY g.number))[1] AS former, array_agg(g.number) AS numbers FROM (
      SELECT h.number, h.former, (
        SELECT min(n.number) FROM app.graph_history n WHERE n.project_id = p_project AND n.entity_id = p_entity AND n.id = p_id
          AND n.number > h.number AND n.number <> ALL (going)) AS kept
      FROM app.graph_history h WHERE h.project_id = p_project AND h.entity_id = p_entity AND h.id = p_id AND h.number = ANY (going)
    ) AS g WHERE g.kept IS NOT NULL GROUP BY g.kept
  LOOP
    SELECT h.* INTO kept FROM app.graph_history h WHERE h.project_id = p_project AND h.number = one.kept;
    CONTINUE WHEN kept.change <> 'changed' OR kept.former IS NULL;
    DELETE FROM app.graph_history h WHERE h.project_id = p_project AND h.number = ANY (one.numbers || one.kept);
    GET DIAGNOSTICS removed = ROW_COUNT;
    IF removed <> cardinality(one.numbers) + 1 THEN
      RAISE EXCEPTION 'the history was erased meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
    kept.former := one.former;
    kept.tool := substring(kept.tool FROM '^[A-Za-z0-9_-]{1,64}$');
    INSERT INTO app.graph_history SELECT kept.*;
  END LOOP;
  SELECT count(*) INTO removed FROM unnest(p_numbers) AS n (number)
  WHERE NOT EXISTS (SELECT FROM app.graph_history h WHERE h.project_id = p_project AND h.number = n.number);
  RETURN removed;
END
$$;

-- Servers of an earlier version call it to delete all old versions.
CREATE OR REPLACE FUNCTION app.purge_history(p_before timestamptz, p_most bigint) RETURNS bigint
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT 0::bigint
$$;

-- Deletes the oldest versions and changes of projects whose history has more bytes than the project's quota, at most p_most, and
-- returns their number. The quota is the project's own, or the stored one. Texts of documents are not read for it. What is
-- younger than a day stays, so that nobody loses a change that its owner had no time to see.
DROP FUNCTION IF EXISTS app.trim_history(bigint, bigint);
CREATE OR REPLACE FUNCTION app.trim_history(p_most bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  removed bigint;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('memory-bank-mcp history', 0)) THEN
    RETURN NULL;
  END IF;
  WITH sizes AS (
    SELECT b.project_id, sum(b.bytes) AS bytes FROM (
      SELECT o.project_id, sum(200 + coalesce(octet_length(o.former), 0)) AS bytes FROM app.document_versions o GROUP BY o.project_id
      UNION ALL
      SELECT o.project_id, sum(200 + coalesce(octet_length(o.former::text), 0)) FROM app.graph_history o GROUP BY o.project_id
    ) AS b GROUP BY b.project_id
  ), full_projects AS (
    SELECT s.project_id, s.bytes - coalesce(q.bytes, b.quota) AS excess
    FROM sizes s CROSS JOIN app.history_bounds b
    LEFT JOIN app.stored_bytes q ON q.project_id = s.project_id AND q.slot = -1 AND q.kind = 'quota'
    WHERE coalesce(q.bytes, b.quota) > 0 AND s.bytes > coalesce(q.bytes, b.quota)
  ), oldest AS (
    SELECT r.project_id, r.document_id, r.number FROM full_projects f CROSS JOIN LATERAL (
      SELECT a.*, sum(a.bytes) OVER (ORDER BY a.at, a.number, a.document_id ROWS UNBOUNDED PRECEDING) - a.bytes AS older FROM (
        SELECT o.project_id, o.document_id, o.version AS number, o.at, 200 + coalesce(octet_length(o.former), 0) AS bytes
        FROM app.document_versions o WHERE o.project_id = f.project_id
        UNION ALL
        SELECT o.project_id, NULL, o.number, o.at, 200 + coalesce(octet_length(o.former::text), 0)
        FROM app.graph_history o WHERE o.project_id = f.project_id
      ) AS a
    ) AS r WHERE r.older < f.excess AND r.at < now() - interval '1 day' ORDER BY r.older LIMIT p_most
  ), versions AS (
    DELETE FROM app.document_versions v USING oldest o
    WHERE v.project_id = o.project_id AND v.document_id = o.document_id AND v.version = o.number RETURNING 1
  ), changes AS (
    DELETE FROM app.graph_history h USING oldest o
    WHERE o.document_id IS NULL AND h.project_id = o.project_id AND h.number = o.number RETURNING 1
  )
  SELECT (SELECT count(*) FROM versions) + (SELECT count(*) FROM changes) INTO removed;
  RETURN removed;
END
$$;

-- The audit log --------------------------------------------------------------------------------------------------------

-- Adds a row. The presented key determines the actor; an operator acts as its login role, and may name a member. All others
-- act with a key of the project: a statement that changes its key setting while it runs has no effect.
CREATE OR REPLACE FUNCTION app.audit(p_action text, p_project uuid, p_subject text, p_detail jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  shown uuid;
  usr uuid;
BEGIN
  SELECT coalesce(k.grant_id, k.id), k.user_id INTO shown, usr FROM public.api_keys k
  WHERE coalesce(k.grant_id, k.id) = app.current_key_id() AND k.key_hash = app.current_key_hash()
    AND k.project_id = coalesce(p_project, app.current_project_id());
  IF shown IS NULL THEN
    usr := app.mapped_user();
    IF usr IS NULL AND NOT app.is_operator() THEN
      RAISE EXCEPTION 'no key of this project was presented' USING ERRCODE = 'MB401';
    END IF;
    usr := coalesce(usr, app.current_user_id());
  END IF;
  INSERT INTO app.audit_log (project_id, action, user_id, key_id, login, subject, detail)
  VALUES (
    coalesce(p_project, '00000000-0000-0000-0000-000000000000'), p_action, usr, shown, CASE WHEN shown IS NULL THEN session_user::text END,
    left(p_subject, 255), jsonb_strip_nulls(p_detail)
  );
END
$$;

CREATE OR REPLACE FUNCTION app.audit_user() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    PERFORM app.audit('user.removed', NULL, OLD.id::text, jsonb_build_object('name', OLD.name));
  ELSE
    PERFORM app.audit('user.created', NULL, NEW.id::text, jsonb_build_object('name', NEW.name));
  END IF;
  RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION app.audit_project() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    PERFORM app.audit('project.removed', OLD.id, OLD.id::text, jsonb_build_object('slug', OLD.slug));
  ELSIF TG_OP = 'UPDATE' THEN
    PERFORM app.audit('project.renamed', NEW.id, NEW.id::text, jsonb_build_object('slug', NEW.slug, 'before', OLD.slug));
  ELSE
    PERFORM app.audit('project.created', NEW.id, NEW.id::text, jsonb_build_object('slug', NEW.slug));
  END IF;
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

-- A key that is created in the transaction that revoked another key of the same user in the same project replaces it; the
-- rows that this transaction added to the log show it.
CREATE OR REPLACE FUNCTION app.audit_key() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  replaced text;
BEGIN
  IF TG_OP = 'INSERT' THEN
    SELECT l.subject INTO replaced FROM app.audit_log l
    WHERE l.project_id = NEW.project_id AND l.at = now() AND l.xact = pg_current_xact_id_if_assigned()
      AND l.action = 'key.revoked' AND l.detail ->> 'user' = NEW.user_id::text AND NOT EXISTS (
        SELECT FROM app.audit_log r
        WHERE r.project_id = NEW.project_id AND r.at = now() AND r.xact = l.xact AND r.action = 'key.rotated'
          AND r.detail ->> 'replaces' = l.subject
      )
    ORDER BY l.id DESC LIMIT 1;
    PERFORM app.audit(
      CASE WHEN replaced IS NOT NULL THEN 'key.rotated' ELSE 'key.created' END, NEW.project_id, NEW.id::text,
      jsonb_build_object('user', NEW.user_id, 'prefix', NEW.key_prefix, 'scopes', to_jsonb(NEW.scopes),
        'rateLimit', NEW.rate_limit, 'expiresAt', NEW.expires_at,
        'replaces', replaced));
  ELSIF OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL THEN
    PERFORM app.audit('key.revoked', NEW.project_id, NEW.id::text,
      jsonb_build_object('user', NEW.user_id, 'prefix', NEW.key_prefix));
  ELSE
    PERFORM app.audit('key.changed', NEW.project_id, NEW.id::text,
      jsonb_build_object('user', NEW.user_id, 'prefix', NEW.key_prefix, 'scopes', to_jsonb(NEW.scopes),
        'rateLimit', NEW.rate_limit, 'expiresAt', NEW.expires_at));
  END IF;
  RETURN NULL;
END
$$;

-- The rows of one statement are one row of the log, with the first of their names. A restore deletes the graph before it
-- writes it, and has its own row.
CREATE OR REPLACE FUNCTION app.audit_deletion() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  one record;
BEGIN
  IF TG_ARGV[0] = 'documents.deleted' THEN
    FOR one IN
      SELECT g.project_id, count(*) AS n, (array_agg(left(g.path, 255) ORDER BY g.path))[1:10] AS names
      FROM gone g GROUP BY g.project_id
    LOOP
      CONTINUE WHEN app.restores(one.project_id);
      PERFORM app.audit(TG_ARGV[0], one.project_id, one.names[1],
        jsonb_build_object('count', one.n, 'names', to_jsonb(one.names)));
    END LOOP;
  ELSE
    FOR one IN
      SELECT g.project_id, count(*) AS n, (array_agg(left(g.id, 64) ORDER BY g.id))[1:10] AS names
      FROM gone g GROUP BY g.project_id
    LOOP
      CONTINUE WHEN app.restores(one.project_id);
      PERFORM app.audit(TG_ARGV[0], one.project_id, one.names[1],
        jsonb_build_object('count', one.n, 'ids', to_jsonb(one.names)));
    END LOOP;
  END IF;
  RETURN NULL;
END
$$;

-- The caller records actions without a trigger, in the same transaction and as the tenant. Only actions that the role allows
-- can be recorded.
CREATE OR REPLACE FUNCTION app.note_audit(p_action text, p_subject text, p_detail jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  may constant app.access := app.current_access();
BEGIN
  IF NOT coalesce(CASE
      WHEN p_action = 'bank.exported' THEN may.reads
      WHEN p_action = 'bank.imported' THEN may.writes
      WHEN p_action IN ('backup.restored', 'project.restored') THEN may.administers
    END, false) THEN
    RAISE EXCEPTION 'the caller may not note `%`', p_action USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM app.audit(p_action, app.current_project_id(), p_subject, p_detail);
END
$$;

-- The same for the operator's commands.
CREATE OR REPLACE FUNCTION app.note_operator_audit(p_slug text, p_action text, p_subject text, p_detail jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF p_action NOT IN ('bank.imported', 'bank.exported', 'project.backed_up', 'project.restored') THEN
    RAISE EXCEPTION '`%` is recorded by the function that does it, and by no other', p_action USING ERRCODE = 'MB400';
  END IF;
  PERFORM app.audit(p_action, app.project_called(p_slug), p_subject, p_detail);
END
$$;

-- Records the addresses that keys were used from, many at once: each pair once, at most p_most addresses per key.
CREATE OR REPLACE FUNCTION app.note_key_addresses(
  p_key_hashes bytea[], p_addresses text[], p_at timestamptz[], p_most integer
) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  INSERT INTO app.audit_log (at, project_id, action, user_id, key_id, subject, address)
  SELECT used.at, used.project_id, 'key.used_from_new_address', used.user_id, used.key, used.key::text, used.address
  FROM (
    SELECT coalesce(k.grant_id, k.id) AS key, k.user_id, k.project_id, u.address::inet AS address, min(u.at) AS at,
      row_number() OVER (PARTITION BY k.project_id, coalesce(k.grant_id, k.id) ORDER BY min(u.at)) AS place
    FROM unnest(p_key_hashes, p_addresses, p_at) AS u (hash, address, at)
    JOIN public.api_keys k ON k.key_hash = u.hash
    WHERE NOT EXISTS (
      SELECT FROM app.audit_log l
      WHERE l.key_id = coalesce(k.grant_id, k.id) AND l.project_id = k.project_id AND l.address = u.address::inet
        AND l.action = 'key.used_from_new_address'
    )
    GROUP BY coalesce(k.grant_id, k.id), k.user_id, k.project_id, u.address::inet
  ) AS used
  WHERE used.place + (
    SELECT count(*) FROM app.audit_log l
    WHERE l.key_id = used.key AND l.project_id = used.project_id AND l.action = 'key.used_from_new_address'
  ) <= p_most
  ON CONFLICT DO NOTHING
$$;

-- Adds calls of tools, many at once, to the hours of the projects of their keys. Hours of these projects older than 400 days are deleted, in
-- small batches. p_counts has nine numbers for each row: the columns of app.call_hours after the hour.
CREATE OR REPLACE FUNCTION app.note_calls(p_key_hashes bytea[], p_hours timestamptz[], p_counts bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  -- A row that cannot grow must not stop the rows of other projects.
  most constant bigint := 9223372036854775807;
BEGIN
  -- Sorted, so that two servers wait for each other's rows in one order.
  INSERT INTO app.call_hours AS h (
    project_id, hour, calls, failures, tokens, up_to_10, up_to_30, up_to_100, up_to_300, up_to_1000, up_to_3000
  )
  SELECT k.project_id, date_trunc('hour', u.hour, 'UTC'), sum(app.call_count(p_counts, u.place, 1)), sum(app.call_count(p_counts, u.place, 2)),
    sum(app.call_count(p_counts, u.place, 3)), sum(app.call_count(p_counts, u.place, 4)), sum(app.call_count(p_counts, u.place, 5)),
    sum(app.call_count(p_counts, u.place, 6)), sum(app.call_count(p_counts, u.place, 7)), sum(app.call_count(p_counts, u.place, 8)),
    sum(app.call_count(p_counts, u.place, 9))
  FROM unnest(p_key_hashes, p_hours) WITH ORDINALITY AS u (hash, hour, place)
  JOIN public.api_keys k ON k.key_hash = u.hash
  WHERE u.hour BETWEEN now() - interval '1 day' AND now() + interval '1 hour'
  GROUP BY 1, 2 ORDER BY 1, 2
  ON CONFLICT (project_id, hour) DO UPDATE SET
    calls = h.calls + least(EXCLUDED.calls, most - h.calls),
    failures = h.failures + least(EXCLUDED.failures, most - h.failures),
    tokens = h.tokens + least(EXCLUDED.tokens, most - h.tokens),
    up_to_10 = h.up_to_10 + least(EXCLUDED.up_to_10, most - h.up_to_10),
    up_to_30 = h.up_to_30 + least(EXCLUDED.up_to_30, most - h.up_to_30),
    up_to_100 = h.up_to_100 + least(EXCLUDED.up_to_100, most - h.up_to_100),
    up_to_300 = h.up_to_300 + least(EXCLUDED.up_to_300, most - h.up_to_300),
    up_to_1000 = h.up_to_1000 + least(EXCLUDED.up_to_1000, most - h.up_to_1000),
    up_to_3000 = h.up_to_3000 + least(EXCLUDED.up_to_3000, most - h.up_to_3000);
  DELETE FROM app.call_hours h WHERE (h.project_id, h.hour) IN (
    SELECT o.project_id, o.hour FROM app.call_hours o
    WHERE o.project_id IN (SELECT k.project_id FROM public.api_keys k WHERE k.key_hash = ANY (p_key_hashes))
      AND o.hour < now() - interval '400 days'
    LIMIT 500
  );
END
$$;

-- A number of app.note_calls, from 0 to a thousand million.
CREATE OR REPLACE FUNCTION app.call_count(p_counts bigint[], p_row bigint, p_column integer) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT greatest(0, least(1000000000, coalesce(p_counts[((p_row - 1) * 9 + p_column)::integer], 0)))
$$;

-- The log of one project, or of all projects and rows without a project, newest first.
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

-- Deletes at most p_most rows from before p_before, and none that is too young for the policy. One replica at a time;
-- returns the number of rows.
CREATE OR REPLACE FUNCTION app.purge_audit(p_before timestamptz, p_most bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  removed bigint;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('memory-bank-mcp audit', 0)) THEN
    RETURN 0;
  END IF;
  DELETE FROM app.audit_log l WHERE (l.project_id, l.id) IN (
    SELECT o.project_id, o.id FROM app.audit_log o WHERE o.at < p_before AND o.at < now() - interval '30 days'
    ORDER BY o.at LIMIT p_most
  );
  GET DIAGNOSTICS removed = ROW_COUNT;
  RETURN removed;
END
$$;

-- Vectors ------------------------------------------------------------------------------------------------------------
--
-- A key that may read a text may store its vector, since a search requests vectors. A key without `read` is refused.

CREATE OR REPLACE FUNCTION app.expect_reader(p_key_hash bytea, p_user uuid, p_project uuid) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF NOT app.proven(p_key_hash, p_user, p_project) THEN
    RAISE EXCEPTION 'the key may not read' USING ERRCODE = 'insufficient_privilege';
  END IF;
END
$$;

-- Claims the vectors of a project and a model for at most two minutes, or extends the claim; p_seconds <= 0 releases it.
-- False if another replica has the claim, if the model is stored with another width, or if the project has vectors of four
-- other models, the oldest of which app.prune_vectors must delete first.
CREATE OR REPLACE FUNCTION app.claim_vectors(
  p_key_hash bytea, p_user uuid, p_project uuid, p_model bytea, p_name text, p_width integer, p_holder uuid, p_seconds integer
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM app.expect_reader(p_key_hash, p_user, p_project);
  PERFORM set_config('synchronous_commit', 'off', true);
  IF p_seconds <= 0 THEN
    UPDATE app.vector_sets s SET holder = NULL, held_until = NULL
    WHERE s.project_id = p_project AND s.model = p_model AND s.holder = p_holder;
    RETURN FOUND;
  END IF;
  IF NOT EXISTS (SELECT FROM app.vector_sets s WHERE s.project_id = p_project AND s.model = p_model) THEN
    IF (SELECT count(*) FROM app.vector_sets s WHERE s.project_id = p_project) >= 4 THEN
      RETURN false;
    END IF;
    INSERT INTO app.vector_sets (project_id, model, name, width) VALUES (p_project, p_model, p_name, p_width)
    ON CONFLICT DO NOTHING;
  END IF;
  UPDATE app.vector_sets s
  SET holder = p_holder, held_until = clock_timestamp() + make_interval(secs => least(p_seconds, 120)), used_at = now()
  WHERE s.project_id = p_project AND s.model = p_model AND s.width = p_width
    AND (s.holder IS NULL OR s.holder = p_holder OR s.held_until <= clock_timestamp());
  RETURN FOUND;
END
$$;

-- Stores vectors, at most a thousand at a time and 150,000 in a set, and extends the claim by two minutes. Returns the number
-- of added vectors, or NULL if another replica has the claim. They can be computed again, so the commit does not wait for
-- the disk.
CREATE OR REPLACE FUNCTION app.put_vectors(
  p_key_hash bytea, p_user uuid, p_project uuid, p_model bytea, p_holder uuid, p_units bytea[], p_vectors bytea[]
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  wide integer;
  room bigint;
  added bigint;
BEGIN
  PERFORM app.expect_reader(p_key_hash, p_user, p_project);
  IF cardinality(p_units) > 1000 OR cardinality(p_units) <> cardinality(p_vectors) THEN
    RAISE EXCEPTION 'at most a thousand vectors at a time, one for each unit' USING ERRCODE = 'MB400';
  END IF;
  PERFORM set_config('synchronous_commit', 'off', true);
  UPDATE app.vector_sets s SET held_until = clock_timestamp() + interval '2 minutes', used_at = now()
  WHERE s.project_id = p_project AND s.model = p_model AND s.holder = p_holder AND s.held_until > clock_timestamp()
  RETURNING s.width, greatest(150000 - s.vectors, 0) INTO wide, room;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  INSERT INTO app.vectors (project_id, model, unit, vector)
  SELECT p_project, p_model, u.unit, u.vector FROM unnest(p_units, p_vectors) AS u (unit, vector)
  WHERE octet_length(u.vector) = wide LIMIT room
  ON CONFLICT DO NOTHING;
  GET DIAGNOSTICS added = ROW_COUNT;
  UPDATE app.vector_sets s SET vectors = s.vectors + added WHERE s.project_id = p_project AND s.model = p_model;
  RETURN added;
END
$$;

-- Deletes vectors of these units, which no text has any more, and of models that were not used for an hour: at most a
-- thousand of each. Vectors of the last hour stay: another replica may have their text. Returns the number of deleted
-- vectors, or NULL if another replica has the claim.
CREATE OR REPLACE FUNCTION app.prune_vectors(
  p_key_hash bytea, p_user uuid, p_project uuid, p_model bytea, p_holder uuid, p_units bytea[]
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  old bytea;
  removed bigint;
  more bigint;
BEGIN
  PERFORM app.expect_reader(p_key_hash, p_user, p_project);
  PERFORM set_config('synchronous_commit', 'off', true);
  PERFORM FROM app.vector_sets s
  WHERE s.project_id = p_project AND s.model = p_model AND s.holder = p_holder AND s.held_until > clock_timestamp() FOR UPDATE;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  DELETE FROM app.vectors v
  WHERE v.project_id = p_project AND v.model = p_model AND v.unit = ANY (p_units[1:1000])
    AND v.made_at < now() - interval '1 hour';
  GET DIAGNOSTICS removed = ROW_COUNT;
  UPDATE app.vector_sets s SET vectors = greatest(s.vectors - removed, 0)
  WHERE s.project_id = p_project AND s.model = p_model;
  SELECT s.model INTO old FROM app.vector_sets s
  WHERE s.project_id = p_project AND s.model <> p_model AND s.used_at < now() - interval '1 hour'
  ORDER BY s.used_at LIMIT 1 FOR UPDATE SKIP LOCKED;
  IF FOUND THEN
    DELETE FROM app.vectors v WHERE v.project_id = p_project AND v.model = old AND v.unit IN (
      SELECT o.unit FROM app.vectors o WHERE o.project_id = p_project AND o.model = old LIMIT 1000
    );
    GET DIAGNOSTICS more = ROW_COUNT;
    removed := removed + more;
    DELETE FROM app.vector_sets s WHERE s.project_id = p_project AND s.model = old
      AND NOT EXISTS (SELECT FROM app.vectors v WHERE v.project_id = p_project AND v.model = old);
  END IF;
  RETURN removed;
END
$$;

-- For administrators: list stored vectors, and delete them some thousand at a time.
CREATE OR REPLACE FUNCTION app.list_vectors()
RETURNS TABLE (slug text, model bytea, name text, width integer, vectors bigint, is_held boolean, used_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT p.slug, s.model, s.name, s.width, s.vectors, coalesce(s.held_until > now(), false), s.used_at
  FROM app.vector_sets s JOIN public.projects p ON p.id = s.project_id ORDER BY p.slug, s.used_at DESC
$$;

CREATE OR REPLACE FUNCTION app.forget_vectors(p_project text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project constant uuid := app.project_called(p_project);
  removed bigint;
BEGIN
  DELETE FROM app.vectors v WHERE v.project_id = project AND (v.model, v.unit) IN (
    SELECT o.model, o.unit FROM app.vectors o WHERE o.project_id = project LIMIT 5000
  );
  GET DIAGNOSTICS removed = ROW_COUNT;
  -- A server that is computing vectors loses its claim, and starts again.
  IF removed = 0 THEN
    DELETE FROM app.vector_sets s WHERE s.project_id = project;
  END IF;
  RETURN removed;
END
$$;

-- Full-text search: the filler -----------------------------------------------------------------------------------------

-- Computes missing search vectors of any project: at most p_rows documents (100), p_bytes of text (16 MiB, or one document)
-- and p_time (2 s, or until the current document is done). Returns nothing, and sees only the id, content, etag and vector of
-- a document.
--
-- Vectors are computed before any row is locked, so that no edit waits for that. A document that is locked or was changed
-- meanwhile is left for a later call. A row is identified by its position, since ids are unique in a project only, and the
-- filler does not see the project of a document. It starts at a random position, so that no project is always last. The
-- vector can be computed again, so the commit does not wait for the disk.
CREATE OR REPLACE FUNCTION app.fill_fts(p_rows integer, p_bytes bigint, p_time interval) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  most constant integer := least(greatest(coalesce(p_rows, 1), 1), 100);
  room bigint := least(greatest(coalesce(p_bytes, 0), 0), 16777216);
  until constant timestamptz := clock_timestamp() + least(greatest(p_time, interval '0'), interval '2 seconds');
  start constant uuid := gen_random_uuid();
  one record;
  places tid[] := '{}';
  ids uuid[] := '{}';
  etags text[] := '{}';
  vectors tsvector[] := '{}';
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('memory-bank-mcp fts', 0)) THEN
    RETURN;
  END IF;
  PERFORM set_config('synchronous_commit', 'off', true);
  FOR one IN
    SELECT o.place, o.id, o.etag, o.bytes FROM (
      (SELECT d.ctid AS place, d.id, d.etag, octet_length(d.content) AS bytes FROM public.documents d
       WHERE d.fts IS NULL AND d.id >= start ORDER BY d.id LIMIT most)
      UNION ALL
      (SELECT d.ctid, d.id, d.etag, octet_length(d.content) FROM public.documents d
       WHERE d.fts IS NULL AND d.id < start ORDER BY d.id LIMIT most)
    ) AS o LIMIT most
  LOOP
    EXIT WHEN ids <> '{}' AND (one.bytes > room OR clock_timestamp() >= until);
    room := room - one.bytes;
    places := places || one.place;
    ids := ids || one.id;
    etags := etags || one.etag;
    vectors := array_append(vectors, (
      SELECT app.document_fts(d.content) FROM public.documents d
      WHERE d.ctid = one.place AND d.id = one.id AND d.etag = one.etag AND d.fts IS NULL));
  END LOOP;
  -- One by one, by position: whatever the planner estimates about stale rows, it reads no other row.
  FOR number IN 1 .. cardinality(places) LOOP
    PERFORM FROM public.documents d
    WHERE d.ctid = places[number] AND d.id = ids[number] AND d.etag = etags[number] AND d.fts IS NULL
    FOR UPDATE SKIP LOCKED;
    CONTINUE WHEN NOT FOUND;
    UPDATE public.documents d SET fts = vectors[number]
    WHERE d.ctid = places[number] AND d.id = ids[number] AND d.etag = etags[number] AND d.fts IS NULL;
  END LOOP;
END
$$;

-- The number of documents without a search vector in all projects; counts up to 10,000.
CREATE OR REPLACE FUNCTION app.count_stale_fts() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT count(*) FROM (SELECT d.id FROM public.documents d WHERE d.fts IS NULL LIMIT 10000) AS o $$;

-- The server plans its statements once for all values. The number of rows that the first two delete justifies a custom plan, and so do
-- the many filters of the others, most of which are absent.
ALTER FUNCTION app.purge(timestamptz, timestamptz, bigint) SET plan_cache_mode = force_custom_plan;
ALTER FUNCTION app.purge_audit(timestamptz, bigint) SET plan_cache_mode = force_custom_plan;
ALTER FUNCTION app.list_versions(uuid[], bigint, uuid, timestamptz, timestamptz, text, timestamptz, bigint, uuid, integer)
  SET plan_cache_mode = force_custom_plan;
ALTER FUNCTION app.list_graph_changes(text, bigint, uuid, timestamptz, timestamptz, text, bigint, integer, bigint)
  SET plan_cache_mode = force_custom_plan;

-- The grants. Trigger functions are for the owner of the triggers only: on its own table, another role could make them write
-- arbitrary rows. Functions without a grantee are called only by functions of app_definer.
DO $$
DECLARE
  owner constant text := (
    SELECT c.relowner::regrole::text FROM pg_catalog.pg_class c WHERE c.oid = 'public.projects'::regclass);
  one record;
BEGIN
  FOR one IN
    SELECT p.oid::regprocedure AS signature, w.grantee
    FROM (
      SELECT unnest(ARRAY[
        'authenticate', 'touch_keys', 'open_session', 'subscribe_session', 'touch_sessions', 'close_session',
        'append_events', 'trim_events', 'purge', 'kept_for_replay', 'note_key_addresses', 'note_calls', 'purge_audit', 'opens_without_key',
        'make_event_partition', 'drop_event_partition', 'fill_fts', 'count_stale_fts', 'purge_history', 'old_versions', 'old_graph_changes',
        'thin_versions', 'thin_graph_changes', 'trim_history', 'state_history_bounds', 'log_position']), 'app_server'
      UNION ALL SELECT unnest(ARRAY['claim_vectors', 'put_vectors', 'prune_vectors']), 'app_server'
      UNION ALL SELECT unnest(ARRAY['owner_members', 'owner_change_member', 'owner_invite', 'owner_replace_invitation', 'owner_remove_member', 'owner_keys',
        'owner_revoke_key', 'owner_grants', 'owner_revoke_grant', 'owner_audit', 'owner_calls']), 'app_server'
      UNION ALL SELECT 'oauth_admit_outside', 'app_server'
      UNION ALL SELECT unnest(ARRAY['allow_grant', 'end_grants_of_issuer']), owner
      UNION ALL SELECT unnest(ARRAY[
        'oauth_sign_in_with_key', 'oauth_sign_in_with_code', 'oauth_sign_out', 'oauth_signed_in', 'oauth_consent', 'oauth_redeem',
        'oauth_refresh', 'oauth_revoke', 'oauth_list_grants', 'oauth_take_back', 'oauth_register', 'oauth_client',
        'oauth_demands_assertion', 'oauth_use_assertion',
        'oauth_sign_in_with_identity', 'purge_oauth']), 'app_server'
      UNION ALL SELECT unnest(ARRAY[
        'create_login_code', 'list_grants', 'revoke_grant', 'create_client', 'list_clients', 'delete_client', 'note_grant', 'end_grants_of_key',
        'end_grants_of_member', 'trust_issuer', 'list_issuers', 'list_identities', 'link_identity', 'unlink_identity',
        'allow_identity', 'note_member_by_hand', 'audit_identity']), owner
      UNION ALL SELECT 'tokens_of_key', 'app_server, ' || owner
      UNION ALL SELECT unnest(ARRAY['oauth_keep_newest', 'note_sign_in', 'is_own_open_invitation', 'oauth_is_live', 'oauth_issue', 'oauth_sign_in_of', 'is_unused_grant', 'within_role', 'end_grant', 'find_outside_user',
        'add_version', 'keeps_ends', 'leads_to', 'is_followed', 'forget_replies', 'begins_character', 'shared_ends', 'text_before', 'joined_version', 'replace_version', 'leads_back', 'history_start', 'note_mapping', 'mapped_user', 'is_mapped', 'identity_hash']), NULL
      UNION ALL SELECT unnest(ARRAY['list_vectors', 'forget_vectors']), owner
      UNION ALL SELECT unnest(ARRAY['prune_backups', 'note_audit', 'own_key_hash', 'key_bound', 'replace_own_key', 'document_named', 'documents_named', 'list_versions',
        'document_chain', 'authors_of', 'import_versions', 'erase_history', 'list_graph_changes', 'graph_item_changes', 'import_graph_changes', 'erase_graph_history',
        'graph_name', 'graph_row']), 'app_user'
      UNION ALL SELECT unnest(ARRAY[
        'bootstrap', 'create_user', 'list_users', 'create_project', 'list_projects', 'put_member', 'remove_member',
        'list_members', 'create_key', 'find_key', 'list_keys', 'revoke_key', 'rotate_key', 'update_key', 'invite_member',
        'remove_user', 'rename_project', 'remove_project', 'note_operator_audit',
        'list_audit', 'set_project_quota', 'list_stored_bytes', 'note_graph_change', 'audit_user', 'audit_project', 'audit_membership', 'audit_key', 'bound_key',
        'audit_deletion', 'continue_history', 'count_version', 'note_created', 'note_renamed', 'note_deleted', 'forget_history']), owner
      UNION ALL SELECT c.proname, owner FROM pg_catalog.pg_proc c
      WHERE c.pronamespace = 'app'::regnamespace AND c.proname ~ '^count_.*_(insert|delete|update)$'
      UNION ALL SELECT unnest(ARRAY[
        'audit', 'proven', 'enter_as_owner', 'is_of_application', 'expect_reader', 'user_named', 'project_called', 'keeps_an_owner', 'lock_members', 'lock_names', 'name_form', 'expect_may_give_role',
        'is_misleading', 'call_count', 'enter_to_change_members', 'event_partitions', 'end_sessions']), NULL
    ) AS w (name, grantee)
    JOIN pg_catalog.pg_proc p ON p.proname = w.name AND p.pronamespace = 'app'::regnamespace
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, app_server, app_user', one.signature);
    IF one.grantee IS NOT NULL THEN
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', one.signature, one.grantee);
    END IF;
  END LOOP;
END
$$;

-- The first partitions; the server's clean-up creates the others. Without them events go into the default one.
DO $$
BEGIN
  FOR number IN 1..4 LOOP
    EXIT WHEN app.make_event_partition(1) IS NULL;
  END LOOP;
EXCEPTION WHEN lock_not_available THEN
  NULL; -- Servers are running: one of them will create the missing partitions.
END
$$;

RESET ROLE;

-- Owner, project and hash of a key never change. A revocation is final, and an expiry can only move earlier. A key can add
-- only its own scopes to another key. A superuser may correct rows by hand.
CREATE OR REPLACE FUNCTION app.guard_key() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF (SELECT r.rolsuper OR r.rolbypassrls FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) THEN
    RETURN NEW;
  END IF;
  IF (NEW.id, NEW.user_id, NEW.project_id, NEW.key_hash, NEW.key_prefix, NEW.created_at, NEW.grant_id)
      IS DISTINCT FROM (OLD.id, OLD.user_id, OLD.project_id, OLD.key_hash, OLD.key_prefix, OLD.created_at, OLD.grant_id)
    OR (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at)
    OR (NEW.revoked_at BETWEEN '2000-01-01' AND '9000-01-01') IS FALSE
    OR (OLD.expires_at IS NOT NULL AND (NEW.expires_at <= OLD.expires_at) IS NOT TRUE)
    OR (current_user = 'app_user' AND NEW.scopes IS DISTINCT FROM OLD.scopes AND app.may_give(NEW.scopes) IS NOT TRUE) THEN
    RAISE EXCEPTION 'a key keeps its owner, project, secret and revocation; it may only expire earlier, and gets only your own scopes' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION app.guard_key() FROM PUBLIC;
CREATE OR REPLACE TRIGGER guard BEFORE UPDATE ON public.api_keys FOR EACH ROW EXECUTE FUNCTION app.guard_key();

-- updated_at follows every change of an account or a project.
CREATE OR REPLACE FUNCTION app.note_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION app.note_update() FROM PUBLIC;
CREATE OR REPLACE TRIGGER note_update BEFORE UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION app.note_update();
CREATE OR REPLACE TRIGGER note_update BEFORE UPDATE ON public.projects FOR EACH ROW EXECUTE FUNCTION app.note_update();

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
      'CREATE OR REPLACE TRIGGER %I AFTER %s ON public.%I REFERENCING %s '
      'FOR EACH STATEMENT EXECUTE FUNCTION app.note_graph_change(%L)',
      'note_' || lower(one.event), one.event, one.tab, CASE one.event WHEN 'DELETE' THEN 'OLD TABLE AS changed'
        WHEN 'UPDATE' THEN 'NEW TABLE AS changed OLD TABLE AS former' ELSE 'NEW TABLE AS changed' END, one.kind);
  END LOOP;
END
$$;

DO $$
DECLARE
  one record;
BEGIN
  FOR one IN
    SELECT t.tab, op.name, op.tables FROM (VALUES
      ('public.documents'), ('app.backup_items'), ('public.graph_entities'), ('public.graph_observations'),
      ('public.graph_relations'), ('app.files')
    ) AS t (tab), (VALUES
      ('insert', 'NEW TABLE AS added'), ('delete', 'OLD TABLE AS gone'),
      ('update', 'NEW TABLE AS added OLD TABLE AS gone')
    ) AS op (name, tables)
    WHERE (t.tab, op.name) <> ('public.documents', 'update')
  LOOP
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER %s ON %s REFERENCING %s FOR EACH STATEMENT EXECUTE FUNCTION app.%I()',
      'count_' || one.name, one.name, one.tab, one.tables, 'count_' || split_part(one.tab, '.', 2) || '_' || one.name);
  END LOOP;
END
$$;
CREATE OR REPLACE TRIGGER count_update AFTER UPDATE OF content, project_id ON public.documents
  FOR EACH ROW EXECUTE FUNCTION app.count_documents_update();

-- Corrects the number of documents, which is missing in a database of an earlier script of this version, and wrong after TRUNCATE.
-- The triggers above hold the lock under which no other transaction changes documents. Only app_definer sees all rows.
SET LOCAL ROLE app_definer;
INSERT INTO app.stored_bytes AS s (project_id, slot, kind, bytes)
SELECT c.project_id, 0, 'document_count', sum(c.n) FROM (
  SELECT d.project_id, count(*) FROM public.documents d GROUP BY d.project_id
  UNION ALL
  SELECT b.project_id, -sum(b.bytes) FROM app.stored_bytes b WHERE b.kind = 'document_count' GROUP BY b.project_id
) AS c (project_id, n) GROUP BY c.project_id HAVING sum(c.n) <> 0
ON CONFLICT (project_id, slot, kind) DO UPDATE SET bytes = s.bytes + excluded.bytes;
RESET ROLE;

CREATE OR REPLACE TRIGGER continue_history BEFORE INSERT ON public.documents
  FOR EACH ROW EXECUTE FUNCTION app.continue_history();
CREATE OR REPLACE TRIGGER count_version BEFORE UPDATE OF content, path, version ON public.documents
  -- A group of edits counts one for each.
  FOR EACH ROW WHEN (NEW.version <= OLD.version OR NEW.version - OLD.version > 100000) EXECUTE FUNCTION app.count_version();
CREATE OR REPLACE TRIGGER note_created AFTER INSERT ON public.documents FOR EACH ROW EXECUTE FUNCTION app.note_created();
CREATE OR REPLACE TRIGGER note_renamed AFTER UPDATE OF path ON public.documents
  FOR EACH ROW WHEN (OLD.path <> NEW.path AND OLD.content = NEW.content) EXECUTE FUNCTION app.note_renamed();
CREATE OR REPLACE TRIGGER note_deleted AFTER DELETE ON public.documents REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION app.note_deleted();
CREATE OR REPLACE TRIGGER forget_history AFTER DELETE ON public.projects
  FOR EACH ROW EXECUTE FUNCTION app.forget_history();

CREATE OR REPLACE TRIGGER audit AFTER INSERT OR DELETE ON public.users FOR EACH ROW EXECUTE FUNCTION app.audit_user();
CREATE OR REPLACE TRIGGER audit AFTER INSERT OR DELETE ON public.projects
  FOR EACH ROW EXECUTE FUNCTION app.audit_project();
CREATE OR REPLACE TRIGGER audit_update AFTER UPDATE OF slug ON public.projects
  FOR EACH ROW WHEN (OLD.slug IS DISTINCT FROM NEW.slug) EXECUTE FUNCTION app.audit_project();
CREATE OR REPLACE TRIGGER audit_insert AFTER INSERT ON public.memberships
  FOR EACH ROW EXECUTE FUNCTION app.audit_membership();
CREATE OR REPLACE TRIGGER audit_update AFTER UPDATE ON public.memberships
  FOR EACH ROW WHEN (OLD.role IS DISTINCT FROM NEW.role) EXECUTE FUNCTION app.audit_membership();
CREATE OR REPLACE TRIGGER audit_delete AFTER DELETE ON public.memberships
  FOR EACH ROW EXECUTE FUNCTION app.audit_membership();
CREATE OR REPLACE TRIGGER bound_key BEFORE INSERT ON public.api_keys
  FOR EACH ROW WHEN (NEW.grant_id IS NULL) EXECUTE FUNCTION app.bound_key();
-- Of tokens their grants are noted, which change seldom.
CREATE OR REPLACE TRIGGER audit_insert AFTER INSERT ON public.api_keys
  FOR EACH ROW WHEN (NEW.grant_id IS NULL) EXECUTE FUNCTION app.audit_key();
-- Not for last_used_at, which is written often.
CREATE OR REPLACE TRIGGER audit_update AFTER UPDATE ON public.api_keys
  FOR EACH ROW WHEN (
    NEW.grant_id IS NULL AND (OLD.revoked_at, OLD.label, OLD.scopes, OLD.rate_limit, OLD.expires_at)
      IS DISTINCT FROM (NEW.revoked_at, NEW.label, NEW.scopes, NEW.rate_limit, NEW.expires_at)
  ) EXECUTE FUNCTION app.audit_key();
CREATE OR REPLACE TRIGGER end_grants AFTER UPDATE OF revoked_at, scopes, expires_at ON public.api_keys
  FOR EACH ROW WHEN (
    NEW.grant_id IS NULL AND (OLD.revoked_at, OLD.scopes, OLD.expires_at)
      IS DISTINCT FROM (NEW.revoked_at, NEW.scopes, NEW.expires_at))
  EXECUTE FUNCTION app.end_grants_of_key();
CREATE OR REPLACE TRIGGER end_grants AFTER DELETE ON public.memberships
  FOR EACH ROW EXECUTE FUNCTION app.end_grants_of_member();
CREATE OR REPLACE TRIGGER note_by_hand AFTER INSERT OR DELETE ON public.memberships
  FOR EACH ROW EXECUTE FUNCTION app.note_member_by_hand();
CREATE OR REPLACE TRIGGER note_change_by_hand AFTER UPDATE ON public.memberships
  FOR EACH ROW WHEN (OLD.role IS DISTINCT FROM NEW.role) EXECUTE FUNCTION app.note_member_by_hand();
CREATE OR REPLACE TRIGGER audit AFTER INSERT OR DELETE ON app.identities FOR EACH ROW EXECUTE FUNCTION app.audit_identity();
CREATE OR REPLACE TRIGGER end_grants AFTER DELETE ON app.issuers
  FOR EACH ROW EXECUTE FUNCTION app.end_grants_of_issuer();
CREATE OR REPLACE TRIGGER note_insert AFTER INSERT ON app.oauth_grants FOR EACH ROW EXECUTE FUNCTION app.note_grant();
CREATE OR REPLACE TRIGGER note_end AFTER UPDATE OF revoked_at ON app.oauth_grants
  FOR EACH ROW WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL) EXECUTE FUNCTION app.note_grant();
CREATE OR REPLACE TRIGGER audit_delete AFTER DELETE ON public.documents REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION app.audit_deletion('documents.deleted');
CREATE OR REPLACE TRIGGER audit_delete AFTER DELETE ON public.graph_entities REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION app.audit_deletion('entities.deleted');

-- The first statement of an edit: it enters the caller's context, then locks and reads the documents of the edit. The row
-- after them has no path, but the totals of the project: its bytes and the number of its documents (see app.stored_bytes), and,
-- unless all of p_paths exist, the names that some file systems cannot store beside the new ones. These names equal p_low
-- in lower case and are not in p_names, or are in folders that equal p_low_folders in lower case and are not spelled as in
-- p_folders. Only ASCII letters are compared in lower case: a new name has no other capitals.
--
-- An index serves each part of the search for such names: of names without capitals that of all names, as these are in lower
-- case already, and of the others documents_capitals_idx. All documents with capitals in the folder of a new document, or below
-- it, are compared.
--
-- The rules of app.read_documents apply. The policies check each statement in it.
CREATE OR REPLACE FUNCTION app.open_documents(
  p_user text, p_project text, p_key text, p_key_hash text,
  p_paths text[], p_low text[], p_names text[], p_low_folders text[], p_folders text[]
) RETURNS TABLE (
  path text, content text, version bigint, updated_at timestamptz, present bigint, similar_names text[],
  document_bytes bigint, snapshot_bytes bigint, other_bytes bigint, quota bigint
)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
DECLARE
  project constant pg_catalog.uuid := p_project;
  found_documents bigint;
BEGIN
  PERFORM pg_catalog.set_config('app.current_user_id', p_user, true),
    pg_catalog.set_config('app.current_project_id', p_project, true),
    pg_catalog.set_config('app.current_key_id', p_key, true),
    pg_catalog.set_config('app.current_key_hash', p_key_hash, true),
    pg_catalog.set_config('app.current_purpose', 'edit', true),
    pg_catalog.set_config('role', 'app_user', true);
  RETURN QUERY
    SELECT d.path, d.content, d.version, d.updated_at, NULL::pg_catalog.int8, NULL::pg_catalog.text[],
      NULL::pg_catalog.int8, NULL::pg_catalog.int8, NULL::pg_catalog.int8, NULL::pg_catalog.int8
    FROM public.documents d
    WHERE d.project_id OPERATOR(pg_catalog.=) project AND d.path OPERATOR(pg_catalog.=) ANY (p_paths)
    ORDER BY d.path FOR UPDATE;
  GET DIAGNOSTICS found_documents = ROW_COUNT;
  -- A context without access is refused, also if no row evaluated a policy. If a row was locked, the policies have verified
  -- the context. They also refuse a void key.
  IF found_documents OPERATOR(pg_catalog.=) 0 THEN
    PERFORM app.expect_access();
  END IF;
  IF found_documents OPERATOR(pg_catalog.<) pg_catalog.cardinality(p_paths) THEN
    similar_names := ARRAY(
      SELECT d.path FROM public.documents d
      WHERE d.project_id OPERATOR(pg_catalog.=) project AND d.path OPERATOR(pg_catalog.=) ANY (p_low)
        AND d.path OPERATOR(pg_catalog.<>) ALL (p_names)
      UNION ALL
      SELECT d.path FROM public.documents d
      WHERE d.project_id OPERATOR(pg_catalog.=) project AND d.path OPERATOR(pg_catalog.<>) d.path_low
        AND d.path_low OPERATOR(pg_catalog.=) ANY (p_low) AND d.path OPERATOR(pg_catalog.<>) ALL (p_names)
      LIMIT 100);
    -- Most names have no folder.
    IF pg_catalog.cardinality(p_low_folders) OPERATOR(pg_catalog.>) 0 THEN
      similar_names := similar_names OPERATOR(pg_catalog.||) ARRAY(
        SELECT c.path
        FROM ROWS FROM (pg_catalog.unnest(p_low_folders), pg_catalog.unnest(p_folders)) AS f (low, plain)
        -- The first text behind all names in the folder: `0` follows `/`.
        CROSS JOIN LATERAL (SELECT pg_catalog.left(f.low, -1) OPERATOR(pg_catalog.||) '0' AS behind) AS e
        CROSS JOIN LATERAL (
          (SELECT d.path FROM public.documents d
          WHERE f.plain OPERATOR(pg_catalog.<>) f.low AND d.project_id OPERATOR(pg_catalog.=) project
            AND d.path OPERATOR(pg_catalog.>=) f.low AND d.path OPERATOR(pg_catalog.<) e.behind LIMIT 100)
          UNION ALL
          (SELECT d.path FROM public.documents d
          WHERE d.project_id OPERATOR(pg_catalog.=) project AND d.path OPERATOR(pg_catalog.<>) d.path_low
            AND d.path_low OPERATOR(pg_catalog.>=) f.low AND d.path_low OPERATOR(pg_catalog.<) e.behind
            AND NOT pg_catalog.starts_with(d.path, f.plain) LIMIT 100)
        ) AS c (path)
        LIMIT 100);
    END IF;
  END IF;
  SELECT coalesce(pg_catalog.sum(s.bytes) FILTER (WHERE s.kind OPERATOR(pg_catalog.=) 'documents'), 0),
    coalesce(pg_catalog.sum(s.bytes) FILTER (WHERE s.kind OPERATOR(pg_catalog.=) 'snapshots'), 0),
    coalesce(pg_catalog.sum(s.bytes) FILTER (WHERE s.kind OPERATOR(pg_catalog.=) ANY ('{graph,files}')), 0),
    pg_catalog.max(s.bytes) FILTER (WHERE s.kind OPERATOR(pg_catalog.=) 'quota'),
    coalesce(pg_catalog.sum(s.bytes) FILTER (WHERE s.kind OPERATOR(pg_catalog.=) 'document_count'), 0)
  INTO document_bytes, snapshot_bytes, other_bytes, quota, present
  FROM app.stored_bytes s WHERE s.project_id OPERATOR(pg_catalog.=) project;
  RETURN NEXT;
END
$$;

REVOKE ALL ON FUNCTION app.open_documents(text, text, text, text, text[], text[], text[], text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.open_documents(text, text, text, text, text[], text[], text[], text[], text[]) TO app_server;

-- Reads documents, the most frequent call, as one statement and so one message of the protocol: it enters the caller's
-- context, as 002 describes it, and reads the documents that the policies show to the caller.
--
-- It runs with the rights of its caller (SECURITY INVOKER), and so may do no more than the statements that it
-- replaces. Context and role are local to the transaction, which is the statement itself. When the context is refused,
-- nothing is read. No name is resolved by the search_path of the session, operators included.
CREATE OR REPLACE FUNCTION app.read_documents(p_user text, p_project text, p_key text, p_key_hash text, p_paths text[])
RETURNS TABLE (path text, content text, etag text, version bigint, updated_at timestamptz, project_id uuid)
LANGUAGE plpgsql VOLATILE SECURITY INVOKER
AS $$
BEGIN
  -- Forbidden rows are refused, also if no row evaluates a policy.
  PERFORM pg_catalog.set_config('app.current_user_id', p_user, true),
    pg_catalog.set_config('app.current_project_id', p_project, true),
    pg_catalog.set_config('app.current_key_id', p_key, true),
    pg_catalog.set_config('app.current_key_hash', p_key_hash, true),
    pg_catalog.set_config('app.current_purpose', 'read', true),
    pg_catalog.set_config('role', 'app_user', true),
    app.expect_access();
  RETURN QUERY
    SELECT d.path, d.content, d.etag, d.version, d.updated_at, d.project_id FROM public.documents d
    WHERE d.project_id OPERATOR(pg_catalog.=) p_project::pg_catalog.uuid AND d.path OPERATOR(pg_catalog.=) ANY (p_paths);
END
$$;

REVOKE ALL ON FUNCTION app.read_documents(text, text, text, text, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.read_documents(text, text, text, text, text[]) TO app_server;

-- Full-text search: helpers ---------------------------------------------------------------------------------------------
--
-- The configuration is always `simple`, whatever default_text_search_config is: the texts of a project are in many languages,
-- with names and code between them, and `simple` has no stop words, so that no word of a query is omitted. Extensions such as
-- unaccent are not available everywhere, and need a superuser.

-- The text for the parser of PostgreSQL. The parser takes quadratic time where it searches for addresses, paths and tags
-- (60 kB of `a_` take 16 s), and would find `progress.md` under that name only. So the characters of these are replaced by
-- blanks, and words remain. In scripts without blanks each character becomes a word. Searches need not find data in
-- base64 or hexadecimal.
CREATE OR REPLACE FUNCTION app.fts_words(p_text text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  words text := translate(p_text, '_-./:@<>&+~%=#?!|\*,;$^`(){}[]', repeat(' ', 30));
BEGIN
  IF octet_length(words) <> length(words) THEN
    words := regexp_replace(words, '([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])', ' \1 ', 'g');
  END IF;
  RETURN words;
END
$$;

-- The search vector of a document: as many words of its first 4 Mi characters as fit into a tsvector (1 MiB). Words of more
-- than 2 kB are omitted; past 16,383 words a tsvector has no positions. Never fails.
CREATE OR REPLACE FUNCTION app.document_fts(p_content text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
DECLARE
  rest text := left(p_content, 4194304);
  size integer := 131072;
  piece text;
  vector tsvector := '';
BEGIN
  IF octet_length(rest) > 4096 THEN
    rest := regexp_replace(rest, '[A-Za-z0-9+/=_-]{255}[A-Za-z0-9+/=_-]*', ' ', 'g');
  END IF;
  WHILE rest <> '' AND size >= 1024 LOOP
    piece := left(rest, size);
    -- Not in the middle of a word, if the text contains an end of a word.
    IF length(rest) > size THEN
      piece := coalesce(substring(piece FROM '^.*\s'), piece);
    END IF;
    BEGIN
      vector := vector || to_tsvector('pg_catalog.simple', app.fts_words(piece));
      rest := substr(rest, length(piece) + 1);
    EXCEPTION WHEN program_limit_exceeded THEN
      size := size / 2;
    END;
  END LOOP;
  RETURN vector;
END
$$;

-- The query for websearch_to_tsquery: like fts_words, except for its syntax, quotes and a minus before a word.
CREATE OR REPLACE FUNCTION app.fts_query(p_query text) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
AS $$
DECLARE
  minus constant text := chr(1);
  query text := replace(p_query, minus, ' ');
BEGIN
  -- A term that is split into several words is omitted completely.
  query := regexp_replace(query, '(^|\s)-([^\s"-][^\s"]*)', '\1-"\2"', 'g');
  query := app.fts_words(regexp_replace(query, '(^|\s)-', '\1' || minus, 'g'));
  query := replace(regexp_replace(query, minus || '(?=["[:alnum:]])', '-', 'g'), minus, ' ');
  RETURN websearch_to_tsquery('pg_catalog.simple', query);
EXCEPTION WHEN internal_error THEN
  -- More than 32 empty exclusions (`-"" -"" …`).
  RAISE EXCEPTION 'the query cannot be read; ask for words, "phrases", or, and -words' USING ERRCODE = 'MB400';
END
$$;

-- The context of the words in a text: 240 characters around the first, as HTML in which all but the `<b>` around the
-- words is escaped.
CREATE OR REPLACE FUNCTION app.fts_headline(p_content text, p_words text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  searched constant text := lower(left(p_content, 1048576));
  start constant integer := greatest(coalesce((
    SELECT min(o.at) FROM (SELECT strpos(searched, w.word) AS at FROM unnest(p_words) AS w (word)) AS o WHERE o.at > 0
  ), 1) - 80, 1);
  shown text := btrim(regexp_replace(substr(p_content, start, 240), '[[:space:][:cntrl:]]+', ' ', 'g'));
  word text;
BEGIN
  -- Longer words first. Marked text is not marked again.
  FOR word IN SELECT w.word FROM unnest(p_words) AS w (word) ORDER BY length(w.word) DESC, w.word LOOP
    shown := regexp_replace(shown, CASE
      WHEN length(word) = 1 AND octet_length(word) > 2 THEN '(' || word || ')'
      ELSE '(?<![[:alnum:]' || chr(2) || '])(' || word || ')(?![[:alnum:]' || chr(3) || '])'
    END, chr(2) || '\1' || chr(3), 'gi');
  END LOOP;
  shown := replace(replace(replace(replace(shown, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;');
  RETURN replace(replace(shown, chr(2), '<b>'), chr(3), '</b>');
END
$$;

-- The documents of the current project that a query in the syntax of web search engines finds ("a phrase", or, -without),
-- best first; at most max_results, and never more than 100. Called as app_user in a context (002), it sees the rows that the
-- policies show to the caller; without a context it sees none.
--
-- Row-level security prevents the use of the GIN index, since `@@` is not leakproof: the planner finds the rows of the project
-- by (project_id, path) and compares their vectors. So neither plan nor time depends on rows of other projects. Missing
-- vectors are computed here; past 32 MiB of text this would take too long, and the search is refused, since an incomplete
-- result would be wrong.
CREATE OR REPLACE FUNCTION app.search_documents(query text, max_results integer DEFAULT 10)
RETURNS TABLE (path text, rank real, headline text)
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  project constant uuid := app.readable_project();
  most constant integer := least(greatest(coalesce(max_results, 10), 1), 100);
  wanted tsquery;
  words text[];
  stale bigint;
BEGIN
  IF octet_length(query) > 4096 THEN
    RAISE EXCEPTION 'the query has % bytes, at most 4096 are taken; ask for fewer words', octet_length(query)
      USING ERRCODE = 'MB400';
  END IF;
  wanted := app.fts_query(query);
  IF project IS NULL OR wanted IS NULL OR numnode(wanted) = 0 THEN
    RETURN;
  END IF;
  SELECT coalesce(sum(octet_length(d.content)), 0) INTO stale
  FROM public.documents d WHERE d.project_id = project AND d.fts IS NULL;
  IF stale > 33554432 THEN
    RAISE EXCEPTION '% MiB of the project''s documents are not indexed yet; the server indexes them now and then, try again later',
      stale >> 20 USING ERRCODE = 'MB400';
  END IF;
  words := ARRAY(SELECT w.word FROM unnest(tsvector_to_array(app.document_fts(query))) AS w (word) LIMIT 32);
  RETURN QUERY
    SELECT f.path, f.rank, app.fts_headline(f.content, words) FROM (
      SELECT d.path, ts_rank(v.fts, wanted, 1) AS rank, d.content
      FROM public.documents d CROSS JOIN LATERAL (SELECT coalesce(d.fts, app.document_fts(d.content)) OFFSET 0) AS v (fts)
      WHERE d.project_id = project AND v.fts @@ wanted
      ORDER BY 2 DESC, 1 LIMIT most
    ) AS f ORDER BY f.rank DESC, f.path;
END
$$;

-- A document whose text or name changes has no vector until it is computed again. The name is not part of the vector, but a
-- change of an indexed column beside a vector would write all its words to the GIN index again.
CREATE OR REPLACE FUNCTION app.mark_fts_stale() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  NEW.fts := NULL;
  RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION app.mark_fts_stale() FROM PUBLIC;
CREATE OR REPLACE TRIGGER mark_fts_stale BEFORE UPDATE OF content, path, project_id ON public.documents
  FOR EACH ROW WHEN (OLD.fts IS NOT NULL) EXECUTE FUNCTION app.mark_fts_stale();

REVOKE ALL ON FUNCTION app.fts_words(text), app.document_fts(text), app.fts_query(text), app.fts_headline(text, text[]),
  app.search_documents(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.fts_words(text), app.document_fts(text) TO app_user, app_definer;
GRANT EXECUTE ON FUNCTION app.fts_query(text), app.fts_headline(text, text[]), app.search_documents(text, integer) TO app_user;

INSERT INTO public.schema_migrations (version) VALUES ('003_functions') ON CONFLICT DO NOTHING;

COMMIT;
