//! The check, before a server listens, that this database isolates tenants for this login role.

use futures::future::{join, join_all, join3, join5};
use memory_bank_core::error::StoreError;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row};

use crate::column::column;
use crate::database::Database;
use crate::error::describe;
use crate::migrate::all_applied;
use crate::statements::{Statements, only_row};
use crate::tenant::{Query, ROUND_TRIP_TIMEOUT, Value};

/// Why this database must not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IsolationError {
    /// Tenants would not be isolated; has the reason and the remedy.
    #[error("this database does not keep projects apart: {0}")]
    NotIsolated(String),
    /// The query failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The role of a tenant's statements, after SET LOCAL ROLE.
const ROLE: &str = "SELECT r.rolname::text, r.rolsuper, r.rolbypassrls, current_setting('row_security') \
    FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";

/// Tenant tables without policies, or on which the owner is exempt; and tenant tables that are missing.
const TABLES: &str = "SELECT t.name, c.oid IS NOT NULL AS there, coalesce(c.relrowsecurity AND c.relforcerowsecurity, false), \
    EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid) \
    FROM unnest($1::text[]) AS t (name) LEFT JOIN pg_catalog.pg_class c ON c.oid = to_regclass(t.name)";

/// Every table with data of tenants. The only list of them: the check and the tests are made from it, and a test compares it
/// with the catalog.
pub const TENANT_TABLES: [&str; 26] = [
    "public.users",
    "public.projects",
    "public.memberships",
    "public.api_keys",
    "public.documents",
    "public.graph_entities",
    "public.graph_observations",
    "public.graph_relations",
    "public.mcp_events",
    "public.sessions",
    "app.project_state",
    "app.backups",
    "app.backup_items",
    "app.document_versions",
    "app.graph_versions",
    "app.graph_changes",
    "app.graph_history",
    "app.stored_bytes",
    "app.call_hours",
    "app.audit_log",
    "app.files",
    "app.vector_sets",
    "app.vectors",
    "app.oauth_grants",
    "app.oauth_codes",
    "app.oauth_refresh_tokens",
];

/// Tables that belong to no project, beside users and projects, and what mappings gave. Only functions reach them: no role that serves has a right
/// on them.
pub const SERVER_TABLES: [&str; 10] = [
    "app.history_bounds",
    "app.log_history",
    "app.oauth_clients",
    "app.oauth_sign_ins",
    "app.oauth_login_codes",
    "app.oauth_assertions",
    "app.issuers",
    "app.identities",
    "app.barred_identities",
    "app.mapped_members",
];

/// Server tables that a role that serves can reach by itself.
const REACHED: &str = "SELECT t.name FROM unnest($1::text[]) AS t (name), unnest(ARRAY['app_user', 'app_server', session_user]) AS r (name) \
    WHERE NOT pg_has_role(session_user, (SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.oid = to_regclass(t.name)), 'MEMBER') \
    AND (has_table_privilege(r.name, t.name, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE') \
      OR has_any_column_privilege(r.name, t.name, 'SELECT, INSERT, UPDATE')) ORDER BY 1 LIMIT 1";

/// Partitions of the events that could be read past the policies of their table: only functions may reach them by
/// their own names.
const PARTITIONS: &str = "SELECT c.oid::regclass::text, c.relrowsecurity AND c.relforcerowsecurity \
    FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid \
    WHERE i.inhparent = 'public.mcp_events'::regclass AND (NOT (c.relrowsecurity AND c.relforcerowsecurity) \
      OR EXISTS (SELECT FROM unnest(ARRAY['app_user', 'app_server', session_user]) AS r (name) \
        WHERE NOT pg_has_role(r.name, c.relowner, 'MEMBER') AND (has_table_privilege(r.name, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE') \
          OR has_any_column_privilege(r.name, c.oid, 'SELECT, INSERT, UPDATE')))) \
    ORDER BY 1 LIMIT 1";

/// Policies that give app_user, or a role that it is a member of, access to rows of any project: permissive ones that
/// do not call one of the functions that ask for the caller's role in its project. An empty table would not reveal them. The stored
/// trees are searched for the calls, in which a space within a name is escaped: to print the policies as SQL takes twice as long.
const OPEN_POLICIES: &str = "SELECT p.polname::text, p.polrelid::regclass::text FROM pg_catalog.pg_policy p \
    JOIN unnest($1::text[]) AS t (name) ON p.polrelid = to_regclass(t.name) \
    WHERE p.polpermissive AND EXISTS (SELECT FROM unnest(p.polroles) AS r (id) \
        WHERE CASE WHEN r.id = 0 THEN true ELSE pg_has_role('app_user', r.id, 'MEMBER') END) \
    AND EXISTS (SELECT FROM (VALUES (p.polqual), (p.polwithcheck)) AS e (tree) WHERE e.tree IS NOT NULL \
        AND e.tree::text !~ (SELECT ':funcid (' || coalesce(string_agg(f.oid::text, '|'), 'none') || ') ' \
            FROM pg_catalog.pg_proc f WHERE f.pronamespace = 'app'::regnamespace AND f.pronargs = 0 AND f.proname IN \
            ('joined_project', 'readable_project', 'writable_project', 'lockable_project', 'owned_project'))) \
    ORDER BY 2, 1 LIMIT 1";

/// Whether the session belongs to the schema's owner, who needs no key.
macro_rules! owns_schema {
    () => {
        "pg_has_role(session_user, (SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.oid = to_regclass('public.projects')), 'MEMBER')"
    };
}

/// Whether the session has a role in a project without a key.
const OPENS_WITHOUT_KEY: &str =
    concat!("SELECT CASE WHEN ", owns_schema!(), " THEN false ELSE app.opens_without_key() IS TRUE END");

/// Functions that bypass row-level security and that the login role may call, beside those that serve requests.
const BYPASSING_FUNCTIONS: &str = concat!(
    "SELECT p.oid::regprocedure::text FROM pg_catalog.pg_proc p \
    WHERE p.pronamespace = 'app'::regnamespace AND p.prosecdef AND p.proname <> ALL ($1::text[]) AND NOT ",
    owns_schema!(),
    " AND (has_function_privilege(session_user, p.oid, 'EXECUTE') OR has_function_privilege('app_server', p.oid, 'EXECUTE') \
      OR has_function_privilege('app_user', p.oid, 'EXECUTE')) ORDER BY 1 LIMIT 1"
);

/// The functions that the server needs: each takes the hash of a presented secret, or reads and changes nothing of a
/// tenant, beside clean-ups, which see numbers and times.
const SERVING_FUNCTIONS: [&str; 73] = [
    "append_events",
    "authenticate",
    "authors_of",
    "claim_vectors",
    "close_session",
    "count_stale_fts",
    "current_access",
    "document_chain",
    "drop_event_partition",
    "erase_graph_history",
    "erase_history",
    "fill_fts",
    "graph_item_changes",
    "import_graph_changes",
    "import_versions",
    "kept_for_replay",
    "key_bound",
    "list_graph_changes",
    "list_versions",
    "log_position",
    "make_event_partition",
    "note_audit",
    "note_calls",
    "note_key_addresses",
    "oauth_admit_outside",
    "oauth_client",
    "oauth_consent",
    "oauth_demands_assertion",
    "oauth_list_grants",
    "oauth_redeem",
    "oauth_refresh",
    "oauth_register",
    "oauth_revoke",
    "oauth_sign_in_with_code",
    "oauth_sign_in_with_identity",
    "oauth_sign_in_with_key",
    "oauth_sign_out",
    "oauth_signed_in",
    "oauth_take_back",
    "oauth_use_assertion",
    "old_graph_changes",
    "old_versions",
    "open_session",
    "opens_without_key",
    "own_key_hash",
    "owner_audit",
    "owner_calls",
    "owner_change_member",
    "owner_grants",
    "owner_invite",
    "owner_keys",
    "owner_members",
    "owner_remove_member",
    "owner_replace_invitation",
    "owner_revoke_grant",
    "owner_revoke_key",
    "prune_backups",
    "prune_vectors",
    "purge",
    "purge_audit",
    "purge_oauth",
    "put_vectors",
    "replace_own_key",
    "restored_project",
    "state_history_bounds",
    "subscribe_session",
    "thin_graph_changes",
    "thin_versions",
    "tokens_of_key",
    "touch_keys",
    "touch_sessions",
    "trim_events",
    "trim_history",
];

/// Whether a tenant's statements can read the hashes of keys, which would prove each of those keys.
const READABLE_HASHES: &str = concat!(
    "SELECT NOT ",
    owns_schema!(),
    " AND (has_column_privilege('app_user', 'public.api_keys', 'key_hash', 'SELECT') \
    OR has_column_privilege(session_user, 'public.api_keys', 'key_hash', 'SELECT'))"
);

/// Makes the statements that follow those of a tenant. Policies find rows by index: without this the question for any row that can be
/// seen reads whole tables, and a start takes longer the more is stored.
const AS_TENANT: &str = "SET LOCAL enable_seqscan = off; SET LOCAL ROLE app_user";

/// One question to the catalog, and the verdict on its rows.
struct Question {
    sql: &'static str,
    /// Its only parameter, if it has one.
    names: Option<Vec<&'static str>>,
    verdict: fn(&[Row]) -> Result<(), IsolationError>,
}

impl Question {
    async fn ask(&self, client: &Client) -> Result<Vec<Row>, Error> {
        match &self.names {
            Some(names) => client.query_typed(self.sql, &[(names as Value<'_>, Type::TEXT_ARRAY)]).await,
            None => client.query_typed(self.sql, &[]).await,
        }
    }
}

/// Whether every table exists and lets tenants see their own rows only.
fn of_tables() -> [Question; 3] {
    let all = [TENANT_TABLES.as_slice(), SERVER_TABLES.as_slice()].concat();
    [
        Question { sql: TABLES, names: Some(all), verdict: tables_are_forced },
        Question { sql: REACHED, names: Some(SERVER_TABLES.to_vec()), verdict: none_is_reached },
        Question { sql: PARTITIONS, names: None, verdict: partitions_are_closed },
    ]
}

/// Whether every policy asks for the caller's role in the project, and nothing is accessible without the key of a member, unless the
/// login role owns the schema.
fn of_access() -> [Question; 4] {
    let serving = Some(SERVING_FUNCTIONS.to_vec());
    [
        Question {
            sql: OPEN_POLICIES,
            names: Some(TENANT_TABLES.to_vec()),
            verdict: policies_ask_for_the_role,
        },
        Question { sql: OPENS_WITHOUT_KEY, names: None, verdict: keys_are_needed },
        Question { sql: READABLE_HASHES, names: None, verdict: hashes_are_hidden },
        Question { sql: BYPASSING_FUNCTIONS, names: serving, verdict: functions_are_known },
    ]
}

impl Database {
    /// Checks that tenants are isolated.
    ///
    /// # Errors
    /// They are not, with the reason; or a query fails.
    pub async fn prove_isolation(&self) -> Result<(), IsolationError> {
        let (schema, role) = tokio::join!(self.prove_schema(), self.prove_role());
        first_error(schema, role)
    }

    /// Whether the schema is complete and isolates tenants, in one round trip over a connection beside the pool that changes no settings
    /// of its session. Where it does not or cannot be read, [`Self::migrations`] and [`Self::prove_isolation`] have the reason.
    pub async fn is_prepared(&self) -> bool {
        match self.prove_at_once().await {
            Ok(is_prepared) => is_prepared,
            Err(error) => {
                tracing::debug!(%error, "the schema is not prepared");
                false
            }
        }
    }

    /// Asks all questions in one transaction, each before the former is answered.
    async fn prove_at_once(&self) -> Result<bool, IsolationError> {
        let client = self.pool.bare_connection().await;
        let client = client.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let questions: Vec<Question> = of_tables().into_iter().chain(of_access()).collect();
        let (begin, seen) = (Statements::with_settings("BEGIN READ ONLY"), any_row());
        // Rows first: a function that one of the questions calls empties the context of the transaction.
        let asked = join5(
            client.batch_execute(&begin),
            join3(client.batch_execute(AS_TENANT), only_row(&client, ROLE), only_row(&client, &seen)),
            join(client.batch_execute("SET LOCAL ROLE NONE"), all_applied(&client)),
            join_all(questions.iter().map(|question| question.ask(&client))),
            client.batch_execute("ROLLBACK"),
        );
        let no_answer = |_| StoreError::Unreachable("the database does not answer".to_owned());
        let (begun, (entered, role, seen), (left, applied), answers, ended) =
            tokio::time::timeout(ROUND_TRIP_TIMEOUT, asked).await.map_err(no_answer)?;
        for step in [begun, entered] {
            step.map_err(|error| unavailable(&error))?;
        }
        role_is_ordinary(&role.map_err(|error| unavailable(&error))?.ok_or_else(no_row)?)?;
        nothing_is_seen(&seen.map_err(|error| unavailable(&error))?.ok_or_else(no_row)?)?;
        left.map_err(|error| unavailable(&error))?;
        let is_applied = applied.map_err(|error| unavailable(&error))?;
        for (question, answer) in questions.iter().zip(answers) {
            (question.verdict)(&answer.map_err(|error| unavailable(&error))?)?;
        }
        ended.map_err(|error| unavailable(&error))?;
        Ok(is_applied)
    }

    /// Checks the tables, and then policies and functions.
    async fn prove_schema(&self) -> [Result<(), IsolationError>; 2] {
        let tables = self.verdict_on(&of_tables()).await;
        let rest = if tables.is_ok() { self.verdict_on(&of_access()).await } else { Ok(()) };
        [tables, rest]
    }

    async fn verdict_on(&self, questions: &[Question]) -> Result<(), IsolationError> {
        for question in questions {
            let values: Vec<Value<'_>> = question.names.iter().map(|names| names as Value<'_>).collect();
            let rows = self.call(Query::new(question.sql, &values)).await.map_err(StoreError::from)?;
            (question.verdict)(&rows)?;
        }
        Ok(())
    }

    /// Checks that statements run as an ordinary role, which sees nothing without a context.
    async fn prove_role(&self) -> Result<(), IsolationError> {
        // Without a caller: a connection of its own, the role only.
        let client = deadpool_postgres::Object::take(self.connection().await?);
        client
            .batch_execute(&self.pool.statements.begin("BEGIN READ ONLY"))
            .await
            .map_err(|error| unavailable(&error))?;
        let proof = role_holds(&client).await;
        // The connection is closed in any case; release the locks of its transaction now.
        client.batch_execute("ROLLBACK").await.map_err(|error| unavailable(&error))?;
        proof
    }
}

fn tables_are_forced(rows: &[Row]) -> Result<(), IsolationError> {
    for row in rows {
        let name: String = column(row, 0)?;
        let (there, forced, policies): (bool, bool, bool) =
            (column(row, 1)?, column(row, 2)?, column(row, 3)?);
        if !there {
            return Err(refused(format!(
                "table `{name}` is missing; run migrations/001_schema.sql, 002_policies.sql and 003_functions.sql again, as the \
                 schema's owner"
            )));
        }
        if !forced || !policies {
            return Err(refused(format!(
                "table `{name}` lacks {}; run migrations/002_policies.sql again",
                if forced { "policies" } else { "forced row-level security" }
            )));
        }
    }
    Ok(())
}

fn none_is_reached(rows: &[Row]) -> Result<(), IsolationError> {
    let Some(row) = rows.first() else { return Ok(()) };
    let name: String = column(row, 0)?;
    Err(refused(format!(
        "table `{name}` can be reached by the server's own role; run migrations/002_policies.sql again"
    )))
}

fn partitions_are_closed(rows: &[Row]) -> Result<(), IsolationError> {
    let Some(row) = rows.first() else { return Ok(()) };
    let (name, forced): (String, bool) = (column(row, 0)?, column(row, 1)?);
    Err(refused(format!(
        "partition `{name}` {}; run migrations/002_policies.sql again",
        if forced { "can be reached by its own name" } else { "lacks forced row-level security" }
    )))
}

fn policies_ask_for_the_role(rows: &[Row]) -> Result<(), IsolationError> {
    let Some(row) = rows.first() else { return Ok(()) };
    let (policy, table): (String, String) = (column(row, 0)?, column(row, 1)?);
    Err(refused(format!(
        "the policy `{policy}` of `{table}` does not ask for the role in the project; drop it, or take from app_user the role that \
         it is for"
    )))
}

fn keys_are_needed(rows: &[Row]) -> Result<(), IsolationError> {
    if holds(rows)? {
        return Err(refused(
            "a project opens without a key; run migrations/002_policies.sql again".to_owned(),
        ));
    }
    Ok(())
}

fn hashes_are_hidden(rows: &[Row]) -> Result<(), IsolationError> {
    if holds(rows)? {
        return Err(refused(
            "the login role or app_user may read the hashes of keys; take that right from them, or run \
             migrations/002_policies.sql again"
                .to_owned(),
        ));
    }
    Ok(())
}

fn functions_are_known(rows: &[Row]) -> Result<(), IsolationError> {
    let Some(row) = rows.first() else { return Ok(()) };
    let function: String = column(row, 0)?;
    Err(refused(format!(
        "the login role may call `{function}`, which is for the schema's owner alone; run migrations/003_functions.sql again, as \
         the owner"
    )))
}

async fn role_holds(client: &Client) -> Result<(), IsolationError> {
    if let Err(error) = client.batch_execute(AS_TENANT).await {
        return Err(refused(format!(
            "the login role cannot become app_user ({}); make it a member: GRANT app_server TO <login role>",
            describe(&error)
        )));
    }
    let row = async |sql: &str| {
        let row = only_row(client, sql).await.map_err(|error| unavailable(&error))?;
        row.ok_or_else(no_row)
    };
    role_is_ordinary(&row(ROLE).await?)?;
    nothing_is_seen(&row(&any_row()).await?)
}

fn role_is_ordinary(role: &Row) -> Result<(), IsolationError> {
    let (name, superuser, bypass): (String, bool, bool) =
        (column(role, 0)?, column(role, 1)?, column(role, 2)?);
    if name != "app_user" || superuser || bypass {
        return Err(refused(format!(
            "statements would run as `{name}`, which {}; make it an ordinary role: ALTER ROLE app_user NOSUPERUSER NOBYPASSRLS",
            if superuser { "is a superuser" } else { "is exempt from row-level security" }
        )));
    }
    Ok(())
}

/// Asks whether a tenant table shows any row.
fn any_row() -> String {
    let any: Vec<String> = TENANT_TABLES.iter().map(|name| format!("EXISTS (SELECT FROM {name})")).collect();
    format!("SELECT {}", any.join(" OR "))
}

fn nothing_is_seen(seen: &Row) -> Result<(), IsolationError> {
    if column(seen, 0)? {
        return Err(refused(
            "rows can be seen without a context; run migrations/002_policies.sql again".to_owned(),
        ));
    }
    Ok(())
}

/// The only value of the only row.
fn holds(rows: &[Row]) -> Result<bool, StoreError> {
    rows.first().ok_or_else(no_row).and_then(|row| column(row, 0))
}

/// A table that is missing, before what follows from it.
fn first_error(
    [tables, rest]: [Result<(), IsolationError>; 2],
    role: Result<(), IsolationError>,
) -> Result<(), IsolationError> {
    tables.and(role).and(rest)
}

fn no_row() -> StoreError {
    StoreError::Unavailable("the database returned no row".to_owned())
}

fn unavailable(error: &Error) -> StoreError {
    StoreError::Unavailable(describe(error))
}

fn refused(reason: String) -> IsolationError {
    IsolationError::NotIsolated(reason)
}
