//! Every environment variable, one row each: those of the server and those of the compose files. The reference in
//! docs/configuration.md is generated from this table. It must not know how a value is used.

/// One variable.
#[derive(Debug)]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: &'static str,
    /// The default.
    pub(crate) default: DefaultValue,
    /// The allowed values.
    pub(crate) takes: &'static str,
    /// Its effect.
    pub(crate) meaning: &'static str,
    /// Its reader.
    pub(crate) kind: Kind,
}

/// The value of an absent or blank variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DefaultValue {
    /// This value.
    Is(&'static str),
    /// It depends on other settings, as described.
    Depends(&'static str),
    /// Nothing.
    Nothing,
}

impl DefaultValue {
    /// The value itself, or an empty text.
    pub(crate) fn value(self) -> &'static str {
        match self {
            Self::Is(value) => value,
            Self::Depends(_) | Self::Nothing => "",
        }
    }

    /// The value, or its description, for people.
    pub(crate) fn shown(self) -> String {
        match self {
            Self::Is(value) => format!("`{value}`"),
            Self::Depends(message) => message.to_owned(),
            Self::Nothing => "—".to_owned(),
        }
    }
}

/// The reader of a variable, and whether its value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The server; the value may be shown.
    Plain,
    /// The server; the value may contain a password. The variable with the suffix `_FILE` takes a file instead.
    Secret,
    /// The compose files only.
    Compose,
    /// The compose files only; a password.
    ComposeSecret,
}

impl Variable {
    /// Whether the value must never be shown.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret | Kind::ComposeSecret)
    }

    /// Whether the server itself reads it.
    pub(crate) fn is_read_by_server(&self) -> bool {
        matches!(self.kind, Kind::Plain | Kind::Secret)
    }

    /// The variable that names a file with the value, if there is one.
    pub(crate) fn file_variable(&self) -> Option<String> {
        (self.kind == Kind::Secret).then(|| format!("{}_FILE", self.name))
    }
}

macro_rules! variables {
    ($($kind:ident $constant:ident $name:literal = $default:expr, $takes:literal, $meaning:literal;)*) => {
        $(pub(crate) const $constant: Variable = Variable {
            name: $name, default: $default, takes: $takes, meaning: $meaning, kind: Kind::$kind,
        };)*
        /// The whole table, in the order of the reference.
        pub(crate) const VARIABLES: &[&Variable] = &[$(&$constant),*];
    };
}

use DefaultValue::{Depends, Is, Nothing};

variables! {
    Plain TRANSPORT "MCP_TRANSPORT" = Is("stdio"), "`stdio` or `http`",
        "How clients connect, unless a command or `--transport` selects it.";
    Plain TOOLS "MEMORY_BANK_TOOLS" = Is("all"),
        "`all`, `core`, or families separated by commas: workspace, documents, progress, context, graph, modes, thinking, backups",
        "The tools that `tools/list` shows, unless `--tools`, or a client's address or header, selects others. It only shortens the list: every tool can be called.";
    Plain READ_ONLY "MEMORY_BANK_READ_ONLY" = Is("false"), "`true` or `false`",
        "`true`: every tool that changes the memory bank is refused, regardless of the client's request; `--read-only` does the same.";
    Plain PORT "MCP_PORT" = Is("3100"), "a port, from 0 to 65535; 0 = any that is free",
        "The port to listen on.";
    Plain HOST "MCP_HOST" = Depends("`0.0.0.0`; `127.0.0.1` while a folder is served"),
        "the IP address to listen on, such as 127.0.0.1, 0.0.0.0 or ::, or `localhost`",
        "The address to listen on. By default a folder is not served to the network.";
    Plain JSON_RESPONSE "MCP_JSON_RESPONSE" = Is("false"), "`true` or `false`",
        "`true`: replies come as JSON; `false`: as streams of events that can be resumed.";
    Plain ALLOWED_HOSTS "ALLOWED_HOSTS" = Nothing,
        "host names with or without a port, separated by commas, or `*`; empty = any host with a key, and this machine alone where `MCP_HOST` is a loopback address",
        "The names under which clients reach the server. When it is set, a request for another host is refused.";
    Plain PUBLIC_URL "PUBLIC_URL" = Nothing,
        "a scheme and a host with or without a port, such as https://memory.example.com",
        "The address under which clients reach the server: its host is allowed as if `ALLOWED_HOSTS` contained it, and its pages count as the server's own.";
    Plain CLIENT_DOCUMENTS "OAUTH_CLIENT_DOCUMENTS" = Is("true"), "`true` or `false`",
        "`false`: documents about applications are not fetched, so that all applications register themselves; for a server that cannot reach the internet.";
    Plain OIDC_ISSUER "OIDC_ISSUER" = Nothing,
        "the issuer of an OpenID provider, such as https://login.example.com/realms/main; empty = none",
        "The OpenID provider with which users sign in, beside keys and login codes.";
    Plain OIDC_CLIENT_ID "OIDC_CLIENT_ID" = Nothing, "the id of a client at `OIDC_ISSUER`",
        "The id of this server at the provider.";
    Secret OIDC_CLIENT_SECRET "OIDC_CLIENT_SECRET" = Nothing, "the secret of the client at `OIDC_ISSUER`",
        "The secret of this server at the provider.";
    Plain OIDC_NAME "OIDC_NAME" = Depends("the host of `OIDC_ISSUER`"), "at most 80 characters",
        "The name of the provider on the sign-in page.";
    Plain OIDC_SCOPES "OIDC_SCOPES" = Is("openid email profile"), "scopes separated by spaces, `openid` among them",
        "What is requested of the provider; some need a scope of their own for groups.";
    Plain OIDC_MAPPING "OIDC_MAPPING" = Nothing,
        "rules such as `group:dev=shop:editor` or `domain:example.com=shop:viewer`, separated by commas",
        "The projects and roles that claims of `OIDC_ISSUER` give to a user, who is created for them; without it only users that are linked sign in.";
    Plain OIDC_GROUPS_CLAIM "OIDC_GROUPS_CLAIM" = Is("groups"), "the name of a claim, or a path such as realm_access.roles",
        "The claim with the groups of a user, for `OIDC_MAPPING`.";
    Plain OAUTH_ISSUER "OAUTH_ISSUER" = Nothing,
        "the issuer of an authorization server, such as https://login.example.com/realms/main; empty = none",
        "Tokens of this authorization server are accepted as they are, for users that are linked to it.";
    Plain OAUTH_AUDIENCE "OAUTH_AUDIENCE" = Depends("the address of the server's endpoint"), "a text without spaces",
        "The audience that a token of `OAUTH_ISSUER` must have.";
    Plain OAUTH_JWKS_URL "OAUTH_JWKS_URL" = Depends("by the issuer's metadata"),
        "an address with https",
        "Where `OAUTH_ISSUER` publishes its keys.";
    Plain OAUTH_DEFAULT_SCOPES "OAUTH_DEFAULT_SCOPES" = Nothing,
        "`read`, `write` and `admin`, separated by spaces; empty = none",
        "The rights of a token of `OAUTH_ISSUER` whose scope names none of them; without it such a token is refused.";
    Plain OAUTH_PROJECT "OAUTH_PROJECT" = Nothing, "the short name of a project",
        "The project of a token of `OAUTH_ISSUER` that names none in its claim `memory_bank_project`; without it, the only project of its user.";
    Plain OAUTH_MAPPING "OAUTH_MAPPING" = Nothing,
        "rules such as `group:dev=shop:editor` or `domain:example.com=shop:viewer`, separated by commas",
        "The projects and roles that claims of a token of `OAUTH_ISSUER` give to its user, who is created for them.";
    Plain OAUTH_GROUPS_CLAIM "OAUTH_GROUPS_CLAIM" = Is("groups"), "the name of a claim",
        "The claim with the groups of a user, for `OAUTH_MAPPING`.";
    Plain OAUTH_ISSUER_SIGN_IN "OAUTH_ISSUER_SIGN_IN" = Is("true"), "`true` or `false`",
        "`false`: clients are led to the server's own sign-in although `OAUTH_ISSUER` is set.";
    Plain ALLOWED_ORIGINS "ALLOWED_ORIGINS" = Nothing,
        "origins such as https://app.example, separated by commas, or `*`; empty = none",
        "The web pages, beside the server's own, that may send requests.";
    Plain PROXY_HOPS "TRUST_PROXY_HOPS" = Is("1"), "a number from 0 to 16; 0 = the address of the connection counts",
        "How many proxies in front are trusted to name the client's address in `X-Forwarded-For`, and its scheme in `X-Forwarded-Proto`.";
    Plain PROVIDER "DB_PROVIDER" = Is("postgres"), "`postgres` or `supabase`",
        "The provider of the database. If it is set, a connection string must be set, too.";
    Secret DATABASE_URL "DATABASE_URL" = Nothing,
        "a connection string, postgresql://user:password@host:port/database",
        "The database, with `DB_PROVIDER=postgres`. Without it a folder is served.";
    Secret SUPABASE_URL "SUPABASE_DB_URL" = Nothing,
        "the connection string of the session pooler, postgresql://postgres.REF:password@host:5432/postgres",
        "The database, with `DB_PROVIDER=supabase`.";
    Plain LOGIN_USER "PGUSER" = Nothing, "a role",
        "The login role, if `DATABASE_URL` has none.";
    Secret LOGIN_PASSWORD "PGPASSWORD" = Nothing, "a password of any characters",
        "The password, if `DATABASE_URL` has none. No character needs escaping.";
    Plain LOGIN_DATABASE "PGDATABASE" = Nothing, "a name",
        "The name of the database, if `DATABASE_URL` has none.";
    Secret SERVER_DATABASE_URL "SERVER_DATABASE_URL" = Nothing,
        "a connection string, postgresql://user@host:port/database",
        "The connection string of servers; `memory-bank-mcp migrate --server-password-file FILE` creates its role.";
    Plain CONNECTIONS "DB_MAX_CONNECTIONS" = Depends("`20`; `10` with `DB_PROVIDER=supabase`"), "a number from 1 to 1000",
        "The most connections to the database.";
    Plain POOLER "DB_POOLER" = Is("session"), "`session` or `transaction`",
        "`transaction`: the connections lead through a pooler that gives each transaction any session of the database, such as PgBouncer in transaction mode; without this such a pooler is refused.";
    Secret REPLICA_URLS "DATABASE_REPLICA_URLS" = Nothing,
        "connection strings, postgresql://user:password@host:port/database, separated by blanks, at most 16",
        "Streaming replicas of the database, which answer reads in turn with the primary. A read shows all that was acknowledged before it; a replica that is behind or gone is left out.";
    Plain ROOT_CERTIFICATE "DB_SSL_ROOT_CERT" = Nothing, "the path of a PEM file with certificates",
        "Authorities to trust, beside the system's, for the database's certificate; the certificate is then verified, unless the connection string has `sslmode=disable`.";
    Secret REDIS_URL "REDIS_URL" = Depends("`redis://redis:6379`; none while a folder is served"),
        "a URL, redis://host:port, redis+sentinel://host:port,host:port/NAME or redis+cluster://host:port,host:port, with TLS rediss in place of redis; empty = none",
        "Redis, which several servers share. Without it, or while it is unreachable, the server works with fewer functions.";
    Plain REDIS_PREFIX "REDIS_KEY_PREFIX" = Is("mbmcp"), "1 to 64 letters, digits, `-`, `_`, `.` or `:`",
        "The prefix of every key in Redis. Servers of one database share it.";
    Plain STATE_DIR "MEMORY_BANK_STATE_DIR" = Depends("`memory-bank-mcp` in `XDG_STATE_HOME`, else in `~/.local/state`"),
        "the path of a folder, from `/` on",
        "The folder for API keys of a served folder, and for folders that were registered outside of their project, unless `--state-dir` is given. Do not use a folder of a project.";
    Plain ADDRESS_LIMIT "RATE_LIMIT_IP_PER_MINUTE" = Is("120"), "a number from 0 to 1000000; 0 = unlimited",
        "Requests without a valid key per minute from one address.";
    Plain KEYED_ADDRESS_LIMIT "RATE_LIMIT_IP_WITH_KEY_PER_MINUTE" = Depends("`1200`; `RATE_LIMIT_IP_PER_MINUTE` when that is higher or 0"),
        "a number from 0 to 1000000; 0 = unlimited",
        "Requests with a valid key per minute from one address, for all its keys together. A key's own limit is stored with the key.";
    Plain ADDRESS_CONNECTIONS "MAX_CONNECTIONS_PER_ADDRESS" = Depends("`5000`; `256` with `TRUST_PROXY_HOPS=0`"), "a number from 1 to 10000",
        "The most open connections of one address; behind a proxy, of the proxy.";
    Plain REPLY_BYTES "MAX_REPLY_BYTES" = Is("262144"), "a number from 16384 to 1048576",
        "The most bytes of text in a reply. It applies if a call requests more than the default of 25,000 characters with `limit` or `maxChars`; the reply names the omitted part.";
    Plain KEY_REPLY_BYTES "MAX_REPLY_BYTES_PER_KEY" = Is("8388608"), "a number from 1048576 to 1073741824",
        "The most bytes of replies of one key on a server that are being made, or that the client has not read.";
    Plain ALL_REPLY_BYTES "MAX_REPLY_BYTES_TOTAL" = Is("67108864"), "a number from 1048576 to 17179869184",
        "The same for all keys of a server together.";
    Plain KEEP_ALIVE "HTTP_KEEPALIVE_SECONDS" = Is("180"), "a number from 5 to 3600",
        "How many seconds a connection stays open without a request. It must be longer than the keep-alive time of a proxy in front.";
    Plain RETENTION "EVENT_RETENTION_HOURS" = Is("24"), "a number from 1 to 720",
        "How many hours events are stored for clients that reconnect.";
    Plain STREAMS "MAX_STREAMS_PER_KEY" = Is("32"), "a number from 1 to 10000",
        "The most open streams of one key on a server.";
    Plain SESSIONS "MAX_SESSIONS_PER_PROJECT" = Is("1000"), "a number from 1 to 1000000",
        "The most open sessions of a project.";
    Plain SESSIONS_OF_KEY "MAX_SESSIONS_PER_KEY" = Is("100"), "a number from 1 to 1000000",
        "The most open sessions of a key. A new one ends the oldest idle one.";
    Plain SESSION_EVENTS "MAX_EVENT_BYTES_PER_SESSION" = Is("8388608"), "a number from 1048576 to 1073741824",
        "The most bytes of stored replies of one session, for a client that reconnects. The oldest are deleted first.";
    Plain PROJECT_EVENTS "MAX_EVENT_BYTES_PER_PROJECT" = Is("67108864"), "a number from 1048576 to 17179869184",
        "The same for all sessions of a project together.";
    Plain QUOTA "MAX_PROJECT_BYTES" = Is("2147483648"), "a number from 0 to 1099511627776; 0 = unlimited",
        "The most bytes of documents, backups and graph of a project in the database, unless `memory-bank-mcp projects set-quota` sets another quota.";
    Plain INDEX_MEMORY "SEARCH_INDEX_MEMORY" = Is("512"), "a number of MiB from 64 to 1048576",
        "The memory that the search indexes of all projects may take on a server. It must fit into the memory of the container, with 256 MiB to spare.";
    Plain INDEX_MEMORY_PER_PROJECT "SEARCH_INDEX_MEMORY_PER_PROJECT" = Is("448"), "a number of MiB from 16 to 1048576",
        "The memory that the search index of one project may take, 16 MiB less than that of all at most. Searches of a larger project are refused with the figures.";
    Plain EMBEDDINGS "EMBEDDINGS" = Nothing,
        "`local:` and the path of a folder with a model, or the URL of a service with OpenAI's interface, http://host:port or https://host; empty = none",
        "The model that makes vectors of texts, so that search also finds by meaning.";
    Plain EMBEDDINGS_MODEL "EMBEDDINGS_MODEL" = Nothing, "a name of at most 200 bytes",
        "The name of a service's model.";
    Secret EMBEDDINGS_KEY "EMBEDDINGS_KEY" = Nothing, "a key",
        "The key of a service, if it requires one.";
    Plain DRAIN_DELAY "SHUTDOWN_DRAIN_SECONDS" = Is("0"), "a number from 0 to 4",
        "How many seconds a server that received a signal to end still accepts requests while `/health/ready` returns 503, so that a proxy that checks it stops sending requests in time.";
    Plain AUDIT_RETENTION "AUDIT_RETENTION_DAYS" = Is("365"), "a number from 30 to 3650",
        "How many days the audit log is stored.";
    Plain HISTORY_RETENTION "HISTORY_RETENTION_DAYS" = Is("365"), "a number from 1 to 3650; 0 = no history",
        "How many days former versions of documents are stored. With 0 none are added; those that exist stay until they are erased.";
    Plain METRICS "METRICS_ADDR" = Nothing, "an IP address with a port, such as 127.0.0.1:9464; empty = no metrics",
        "The address where Prometheus reads `/metrics`. It needs no key, so keep clients away from it.";
    Plain OTLP_ENDPOINT "OTEL_EXPORTER_OTLP_ENDPOINT" = Nothing,
        "a URL, http://host:4318 or https://host; empty = no traces",
        "The endpoint for traces, as OTLP over HTTP. The other variables of OpenTelemetry for its exporter, its sampler and the name of the service also apply.";
    Plain LOG "RUST_LOG" = Nothing, "directives such as `info` or `memory_bank_server=debug`",
        "The log filter of standard error; it takes precedence over `--debug`. The finest level of a release is `debug`.";
    Compose NODE_ENV "NODE_ENV" = Is("production"), "anything",
        "The TypeScript server reads it; this one ignores it.";
    Compose POSTGRES_DB "POSTGRES_DB" = Is("memory_bank_mcp"), "a name",
        "The database of the local PostgreSQL.";
    Compose POSTGRES_USER "POSTGRES_USER" = Is("mbmcp"), "a name",
        "The administrator of the local PostgreSQL.";
    ComposeSecret POSTGRES_PASSWORD "POSTGRES_PASSWORD" = Is("mbmcp_secret"), "a password",
        "The administrator's password, of any characters. Set one of your own, in single quotes.";
    Compose POSTGRES_PORT "POSTGRES_PORT" = Is("5432"), "a port", "The port of the local PostgreSQL, on this machine's own address.";
    Compose REDIS_PORT "REDIS_PORT" = Is("6379"), "a port", "The port of Redis, on this machine's own address.";
    Compose TRAEFIK_HTTP_PORT "TRAEFIK_HTTP_PORT" = Is("80"), "a port", "Traefik's port for HTTP.";
    Compose TRAEFIK_HTTPS_PORT "TRAEFIK_HTTPS_PORT" = Is("443"), "a port", "Traefik's port for HTTPS.";
    Compose TRAEFIK_DASHBOARD_PORT "TRAEFIK_DASHBOARD_PORT" = Is("8080"), "a port",
        "Traefik's port for its dashboard, on this machine's own address.";
    Compose DOMAIN "DOMAIN" = Nothing, "a host name",
        "The name under which clients reach the server over HTTPS, for its certificate. With compose.production.yml `ALLOWED_HOSTS` defaults to it.";
    Compose ACME_EMAIL "ACME_EMAIL" = Nothing, "an email address",
        "The address that Let's Encrypt writes to; needed, with `DOMAIN`, for its certificates.";
    Compose DOCKER_IMAGE "DOCKER_IMAGE" = Is("diaz3618/memory-bank-mcp"), "a name", "The image.";
    Compose DOCKER_TAG "DOCKER_TAG" = Is("1.8.0-http-pg-redis"), "a tag", "The image's tag.";
    Compose DOCKER_PULL_POLICY "DOCKER_PULL_POLICY" = Is("build"), "`build`, `missing`, `always` or `never`",
        "Whether Compose builds the image from the sources, or pulls a published one.";
    Compose SECRETS_DIR "SECRETS_DIR" = Is("./secrets"), "a folder, seen from docker-compose.yml",
        "The folder of the files for compose.secrets.yml and compose.supabase.yml.";
}

/// The rows of the reference, as markdown.
#[cfg(test)]
pub(crate) fn reference(of: impl Fn(&Variable) -> bool) -> String {
    let mut text = "| Variable | Default | Takes | Meaning |\n|---|---|---|---|\n".to_owned();
    for variable in VARIABLES.iter().filter(|variable| of(variable)) {
        let Variable { name, takes, meaning, .. } = variable;
        let default = variable.default.shown();
        text += &format!("| `{name}` | {default} | {takes} | {meaning} |\n");
        if let Some(file) = variable.file_variable() {
            let meaning = format!("A file that holds `{name}`, in place of the variable.");
            text += &format!("| `{file}` | — | the path of a file | {meaning} |\n");
        }
    }
    text
}
