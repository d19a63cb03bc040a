//! Errors for invalid environments.

use std::collections::{BTreeMap, BTreeSet};

use memory_bank_core::caller::{Right, Rights};
use rstest::rstest;

use super::variables::DefaultValue;
use super::*;

fn read(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let pairs: Vec<(String, String)> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Settings::read(&|name| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
}

#[test]
fn without_a_database_a_folder_is_served_on_the_loopback_address() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:3100");
    assert!(settings.database.is_none() && settings.redis.is_none());
    assert!(!settings.http.json_response);
    assert_eq!((settings.http.address_limit, settings.http.trust_proxy_hops), (120, 1));
    assert_eq!(settings.http.event_retention, Duration::from_secs(24 * 3600));
}

#[test]
fn with_a_database_the_defaults_of_the_deployment_guide_apply() {
    let settings = read(&[("DATABASE_URL", "postgresql://a:b@c/d")]).unwrap();
    assert_eq!(settings.http.listen.to_string(), "0.0.0.0:3100");
    assert_eq!(settings.database.map(|database| database.connections), Some(20));
    let redis = settings.redis.unwrap();
    assert_eq!((redis.url.as_str(), redis.prefix.as_str()), ("redis://redis:6379", "mbmcp"));
    let supabase = [("DB_PROVIDER", "supabase"), ("SUPABASE_DB_URL", "postgresql://a:b@c/d")];
    assert_eq!(read(&supabase).unwrap().database.map(|database| database.connections), Some(10));
}

#[test]
fn an_openid_provider_needs_a_client_and_readable_rules() {
    let issuer = ("OIDC_ISSUER", "https://login.example.com/realms/main");
    let client = [issuer, ("OIDC_CLIENT_ID", "mb"), ("OIDC_CLIENT_SECRET", "hidden-word")];
    let openid = read(&client).unwrap().http.openid.unwrap();
    assert_eq!((openid.name.as_str(), openid.scopes.as_str()), ("login.example.com", "openid email profile"));
    assert!(openid.mapping.is_none() && !format!("{openid:?}").contains("hidden-word"));
    for (given, name) in [(&client[..1], "OIDC_CLIENT_ID"), (&client[..2], "OIDC_CLIENT_SECRET")] {
        assert!(matches!(read(given), Err(ConfigError::Missing { name: missing, .. }) if missing == name));
    }
    let with = |rules| read(&[client[0], client[1], client[2], ("OIDC_MAPPING", rules)]);
    assert!(with("group:dev=shop:editor").unwrap().http.openid.unwrap().mapping.is_some());
    let error = with("group:dev=shop:editor,domain:com=shop:viewer").unwrap_err().to_string();
    assert!(
        error.starts_with("`OIDC_MAPPING` cannot be used: `domain:com=shop:viewer` names a domain"),
        "{error}"
    );
}

#[test]
fn the_outside_issuer_has_what_its_variables_say() {
    assert_eq!(read(&[("OAUTH_AUDIENCE", "a")]).unwrap().http.outside_issuer, None);
    let plain = read(&[("OAUTH_ISSUER", "https://login.example.com/realms/main")])
        .unwrap()
        .http
        .outside_issuer
        .unwrap();
    assert_eq!((plain.audience, plain.mapping, plain.is_listed), (None, None, true));
    assert_eq!(plain.default_rights, Rights::NONE);
    let whole = read(&[
        ("OAUTH_ISSUER", "https://REF.supabase.co/auth/v1"),
        ("OAUTH_AUDIENCE", "authenticated"),
        ("OAUTH_DEFAULT_SCOPES", "read  write"),
        ("OAUTH_MAPPING", "group:dev=shop:editor"),
        ("OAUTH_ISSUER_SIGN_IN", "false"),
    ]);
    let whole = whole.unwrap().http.outside_issuer.unwrap();
    assert_eq!((whole.audience.as_deref(), whole.is_listed), (Some("authenticated"), false));
    assert_eq!(whole.default_rights, Rights::NONE.with(Right::Read).with(Right::Write));
    assert!(whole.mapping.is_some());
    let error = read(&[("OAUTH_MAPPING", "dev=shop")]).unwrap_err().to_string();
    assert!(error.starts_with("`OAUTH_MAPPING` cannot be used: `dev=shop` names no role"), "{error}");
}

#[rstest]
#[case("MCP_PORT", "99999")]
#[case("MCP_PORT", "http")]
#[case("MCP_HOST", "nowhere")]
#[case("MCP_JSON_RESPONSE", "perhaps")]
#[case("DB_PROVIDER", "mysql")]
#[case("DB_POOLER", "statement")]
#[case("REDIS_KEY_PREFIX", "a b")]
#[case("RATE_LIMIT_IP_PER_MINUTE", "-1")]
#[case("TRUST_PROXY_HOPS", "17")]
#[case("MCP_TRANSPORT", "sse")]
#[case("ALLOWED_HOSTS", "https://a/b")]
#[case("ALLOWED_HOSTS", "a.example:port")]
#[case("ALLOWED_HOSTS", "::1")]
#[case("ALLOWED_ORIGINS", "app.example")]
#[case("PUBLIC_URL", "memory.example.com")]
#[case("PUBLIC_URL", "https://user@memory.example.com")]
#[case("PUBLIC_URL", "https://memory.example.com/mcp")]
#[case("PUBLIC_URL", "ftp://memory.example.com")]
#[case("OAUTH_CLIENT_DOCUMENTS", "perhaps")]
#[case("OIDC_ISSUER", "login.example.com")]
#[case("OIDC_ISSUER", "http://login.example.com")]
#[case("OIDC_SCOPES", "email profile")]
#[case("OIDC_NAME", "a\nb")]
#[case("OAUTH_ISSUER", "login.example.com")]
#[case("OAUTH_ISSUER", "http://login.example.com")]
#[case("OAUTH_ISSUER", "https://login.example.com?tenant=a")]
#[case("OAUTH_ISSUER", "https://user:secret@login.example.com")]
#[case("OAUTH_AUDIENCE", "a b")]
#[case("OAUTH_JWKS_URL", "http://login.example.com/keys")]
#[case("OAUTH_DEFAULT_SCOPES", "read,write")]
#[case("OAUTH_PROJECT", "a b")]
#[case("OAUTH_ISSUER_SIGN_IN", "perhaps")]
#[case("EVENT_RETENTION_HOURS", "0")]
#[case("AUDIT_RETENTION_DAYS", "29")]
#[case("HISTORY_RETENTION_DAYS", "3651")]
#[case("MAX_PROJECT_BYTES", "-1")]
#[case("METRICS_ADDR", "9464")]
#[case("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")]
#[case("SEARCH_INDEX_MEMORY", "63")]
#[case("SEARCH_INDEX_MEMORY_PER_PROJECT", "1G")]
#[case("MAX_STREAMS_PER_KEY", "0")]
#[case("MAX_SESSIONS_PER_PROJECT", "none")]
#[case("SHUTDOWN_DRAIN_SECONDS", "5")]
#[case("MEMORY_BANK_TOOLS", "core,some")]
#[case("MEMORY_BANK_READ_ONLY", "perhaps")]
fn an_invalid_value_is_named_with_the_accepted_ones(#[case] name: &'static str, #[case] value: &str) {
    let variable = VARIABLES.iter().find(|variable| variable.name == name).unwrap();
    let error = read(&[(name, value)]).unwrap_err();
    assert_eq!(error, ConfigError::Invalid { name, value: value.to_owned(), takes: variable.takes });
    assert!(error.to_string().contains(name) && error.to_string().contains(value));
}

#[test]
fn the_memory_of_search_indexes_is_given_in_mebibytes() {
    let memory = |pairs: &[(&str, &str)]| {
        let url = ("DATABASE_URL", "postgresql://a:b@c/d");
        let pairs: Vec<(&str, &str)> = pairs.iter().copied().chain([url]).collect();
        read(&pairs).unwrap().database.map(|database| database.index_memory).unwrap()
    };
    assert_eq!(memory(&[]), IndexBudget::default());
    let given = memory(&[("SEARCH_INDEX_MEMORY", "64"), ("SEARCH_INDEX_MEMORY_PER_PROJECT", "32")]);
    assert_eq!((given.total, given.per_project), (64 * MIB, 32 * MIB));
}

#[test]
fn the_command_line_selects_the_tools_and_read_only_stays() {
    let read = |name: &str| match name {
        "MEMORY_BANK_TOOLS" => Some("core".to_owned()),
        "MEMORY_BANK_READ_ONLY" => Some("true".to_owned()),
        _ => None,
    };
    let options = tool_options(None, false, &read).unwrap();
    assert_eq!((options.toolset.to_string().as_str(), options.read_only), ("core", true));
    let all: Toolset = "all".parse().unwrap();
    assert_eq!(
        tool_options(Some(&all), false, &read).unwrap(),
        ToolOptions { toolset: all, read_only: true, ..ToolOptions::default() }
    );
    assert!(tool_options(None, true, &|_| None).unwrap().read_only);
    assert_eq!(tool_options(None, false, &|_| None).unwrap(), ToolOptions::default());
}

#[test]
fn a_provider_without_a_connection_string_is_an_error() {
    for (provider, variable) in [("postgres", "DATABASE_URL"), ("supabase", "SUPABASE_DB_URL")] {
        let error = read(&[("DB_PROVIDER", provider)]).unwrap_err();
        assert!(matches!(error, ConfigError::Missing { name, .. } if name == variable), "{error}");
    }
}

#[test]
fn a_connection_string_is_never_shown() {
    let error = read(&[("DATABASE_URL", "mysql://u:secret@h/d")]).unwrap_err();
    assert!(!error.to_string().contains("secret") && error.to_string().contains("DATABASE_URL"));
    let settings = read(&[("DATABASE_URL", "postgresql://u:secret@h/d"), ("REDIS_URL", "redis://:secret@h")]);
    assert!(!format!("{settings:?}").contains("secret"));
}

#[test]
fn the_transport_is_one_of_two_words() {
    assert_eq!(selects_http(&|_| None), Ok(false));
    assert_eq!(selects_http(&|_| Some("http".to_owned())), Ok(true));
    assert!(selects_http(&|_| Some("sse".to_owned())).unwrap_err().to_string().contains("MCP_TRANSPORT"));
}

#[test]
fn a_supabase_url_without_its_provider_is_an_error() {
    let error = read(&[("SUPABASE_DB_URL", "postgresql://a:b@c/d")]).unwrap_err();
    assert!(matches!(error, ConfigError::Missing { name: "DB_PROVIDER", .. }), "{error}");
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[rstest]
#[case("DATABASE_URL_FILE", "postgres")]
#[case("SUPABASE_DB_URL_FILE", "supabase")]
fn a_connection_string_may_come_from_a_file(#[case] name: &str, #[case] provider: &str) {
    let secret = file("postgresql://u:secret@h/d\n");
    let settings = read(&[("DB_PROVIDER", provider), (name, secret.path().to_str().unwrap())]).unwrap();
    assert_eq!(settings.database.map(|database| database.url).unwrap(), "postgresql://u:secret@h/d");
}

#[test]
fn the_url_of_redis_may_come_from_a_file() {
    let secret = file("redis://:secret@h");
    let settings = read(&[("REDIS_URL_FILE", secret.path().to_str().unwrap())]).unwrap();
    assert_eq!(settings.redis.map(|redis| redis.url).unwrap(), "redis://:secret@h");
}

#[test]
fn a_secret_is_given_once() {
    let secret = file("postgresql://u:secret@h/d");
    let path = secret.path().to_str().unwrap();
    let error =
        read(&[("DATABASE_URL", "postgresql://u:secret@h/e"), ("DATABASE_URL_FILE", path)]).unwrap_err();
    assert_eq!(error, ConfigError::SetTwice { name: "DATABASE_URL" });
    // The compose file passes unset variables as empty ones.
    assert!(read(&[("DATABASE_URL", ""), ("DATABASE_URL_FILE", path)]).is_ok());
}

#[rstest]
#[case::missing("/nowhere/secret")]
#[case::folder("/")]
fn a_file_that_cannot_be_read_is_named_with_its_variable(#[case] path: &str) {
    for name in ["DATABASE_URL_FILE", "REDIS_URL_FILE"] {
        let error = read(&[(name, path)]).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(path), "{error}");
    }
    let database = ("DATABASE_URL", "postgresql://u@h/d");
    let error = read(&[database, ("DB_SSL_ROOT_CERT", path)]).unwrap_err().to_string();
    assert!(error.contains("DB_SSL_ROOT_CERT") && error.contains(path), "{error}");
}

#[test]
fn a_wrong_secret_in_a_file_is_not_shown_and_an_empty_file_is_refused() {
    let wrong = file("secret");
    let error = read(&[("DATABASE_URL_FILE", wrong.path().to_str().unwrap())]).unwrap_err().to_string();
    assert!(error.contains("DATABASE_URL_FILE") && !error.contains("secret`"), "{error}");
    let empty = file(" \n");
    let error = read(&[("REDIS_URL_FILE", empty.path().to_str().unwrap())]).unwrap_err().to_string();
    assert!(error.contains("it is empty"), "{error}");
}

#[test]
fn every_variable_that_is_read_is_in_the_table_and_every_one_of_the_server_is_read() {
    let requested = std::cell::RefCell::new(BTreeSet::new());
    for provider in [None, Some("supabase")] {
        let _outcome = Settings::read(&|name| {
            requested.borrow_mut().insert(name.to_owned());
            (name == "DB_PROVIDER").then(|| provider.map(str::to_owned)).flatten()
        });
    }
    let url = |name: &str| (name == "DATABASE_URL").then(|| "postgresql://h".to_owned());
    let _outcome = Settings::read(&|name| {
        requested.borrow_mut().insert(name.to_owned());
        url(name)
    });
    let _outcome = server_database_url(&|name| {
        requested.borrow_mut().insert(name.to_owned());
        None
    });
    let _outcome = log_filter(&|name| {
        requested.borrow_mut().insert(name.to_owned());
        None
    });
    let _outcome = embeddings(&|name| {
        requested.borrow_mut().insert(name.to_owned());
        (name == "EMBEDDINGS").then(|| "https://h/v1".to_owned())
    });
    let of_server = VARIABLES.iter().filter(|variable| variable.is_read_by_server());
    let listed: BTreeSet<String> = of_server
        .flat_map(|variable| [Some(variable.name.to_owned()), variable.file_variable()])
        .flatten()
        .collect();
    assert_eq!(requested.into_inner(), listed);
}

/// The reference; `UPDATE_DOCS=1` writes it again.
const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");

#[rstest]
#[case("server", Variable::is_read_by_server)]
#[case("compose", |variable: &Variable| !variable.is_read_by_server())]
fn the_reference_in_the_documentation_is_the_table(#[case] part: &str, #[case] of: fn(&Variable) -> bool) {
    let (begin, end) = (format!("<!-- begin {part} -->\n"), format!("<!-- end {part} -->"));
    let text = std::fs::read_to_string(REFERENCE).unwrap();
    let (before, rest) = text.split_once(&begin).unwrap();
    let (shown, after) = rest.split_once(&end).unwrap();
    let generated = variables::reference(of);
    if std::env::var_os("UPDATE_DOCS").is_some() && shown != generated {
        std::fs::write(REFERENCE, format!("{before}{begin}{generated}{end}{after}")).unwrap();
        return;
    }
    assert_eq!(shown, generated, "run this test with UPDATE_DOCS=1");
}

/// The variables that the compose files set from others, for single steps.
const SET_BY_THE_STACK: [&str; 4] = ["PGUSER", "PGPASSWORD", "PGDATABASE", "SERVER_DATABASE_URL"];

/// The file in place of a variable that the stack sets by default.
const FILE_OF_THE_STACK: &str = "PGPASSWORD_FILE";

/// A file of the deployment.
fn deployed(name: &str) -> String {
    std::fs::read_to_string(format!("{}/../../{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The variables of .env.example with their values, but for those that Compose itself reads. What is commented
/// out counts: it has no default.
fn example() -> BTreeMap<String, String> {
    let text = deployed(".env.example");
    let lines = text.lines().filter_map(|line| line.trim_start_matches("# ").split_once('='));
    lines
        .filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
        .filter(|(name, _)| !name.starts_with("COMPOSE_"))
        .map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()))
        .collect()
}

fn of_the_table() -> BTreeSet<String> {
    let names = VARIABLES.iter().map(|variable| variable.name);
    names
        .filter(|name| !SET_BY_THE_STACK.contains(name))
        .chain([FILE_OF_THE_STACK])
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_example_of_the_compose_settings_contains_every_variable_with_its_default() {
    let example = example();
    assert_eq!(example.keys().cloned().collect::<BTreeSet<_>>(), of_the_table());
    for variable in VARIABLES.iter().filter(|variable| example.contains_key(variable.name)) {
        // A container serves by default.
        let default = if variable.name == "MCP_TRANSPORT" { "http" } else { variable.default.value() };
        if variable.default == DefaultValue::Is(variable.default.value()) {
            assert_eq!(example[variable.name], default, "{}", variable.name);
        }
    }
}

#[test]
fn the_compose_files_use_every_variable_and_pass_on_all_that_the_server_reads() {
    let stack = deployed("docker-compose.yml");
    let files =
        ["production", "secrets", "supabase"].map(|name| deployed(&format!("deploy/compose.{name}.yml")));
    let all = format!("{stack}{}", files.concat());
    // This variable is passed unchanged, or not at all.
    assert!(stack.contains("\n      RUST_LOG:\n"));
    let used: BTreeSet<String> = all
        .split("${")
        .skip(1)
        .map(|rest| rest.split([':', '-', '}']).next().unwrap_or_default().to_owned())
        .chain(["RUST_LOG".to_owned()])
        .collect();
    assert_eq!(used, of_the_table());
    let (_, server) = stack.split_once("\n  mbmcp-server:\n").unwrap();
    let (server, _) = server.split_once("\n  migrate:\n").unwrap();
    let of_table = of_the_table();
    for variable in
        VARIABLES.iter().filter(|variable| variable.is_read_by_server() && of_table.contains(variable.name))
    {
        assert!(server.contains(&format!("\n      {}:", variable.name)), "{}", variable.name);
    }
}

#[test]
fn the_defaults_in_the_compose_file_are_those_of_its_example() {
    let (stack, example) = (deployed("docker-compose.yml"), example());
    for place in stack.split("${").skip(1) {
        let place = place.split('}').next().unwrap_or_default();
        let (name, default) = place.split_once(":-").or_else(|| place.split_once('-')).unwrap();
        assert_eq!(Some(default), example.get(name).map(String::as_str), "{name}");
    }
}
