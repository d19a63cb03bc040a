//! Which host a request may be addressed to, and which web page may send it: the guard against DNS rebinding. A browser is
//! told the same (CORS), so that the pages that may send requests can.

use std::time::Duration;

use axum::extract::Request;
use http::header::{HOST, HeaderName, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Uri};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::http::config::HttpConfig;

/// The headers of replies that a page may read.
const READABLE: [&str; 8] = [
    "mcp-session-id",
    "mcp-protocol-version",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "retry-after",
    "www-authenticate",
    "x-request-id",
];
/// How long a browser may remember what it was told.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The hosts and origins that are let in.
#[derive(Debug, Clone)]
pub(crate) struct OriginPolicy {
    hosts: Vec<Entry>,
    any_host: bool,
    origins: Vec<String>,
    any_origin: bool,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Host,
    Origin,
}

impl Refused {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Host => "Host not allowed",
            Self::Origin => "Origin not allowed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    host: String,
    port: Option<u16>,
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let authority = text.trim().parse::<Authority>().ok()?;
        Some(Self { host: plain(authority.host()), port: authority.port_u16() })
    }
}

fn plain(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

impl OriginPolicy {
    pub(crate) fn new(config: &HttpConfig) -> Self {
        let mut hosts: Vec<Entry> =
            config.allowed_hosts.iter().filter_map(|host| Entry::parse(host)).collect();
        if config.allowed_hosts.is_empty() {
            hosts =
                ["localhost", "127.0.0.1", "[::1]"].iter().filter_map(|host| Entry::parse(host)).collect();
        }
        Self {
            hosts,
            any_host: config.allowed_hosts.iter().any(|host| host == "*"),
            origins: config.allowed_origins.iter().map(|origin| normal(origin)).collect(),
            any_origin: config.allowed_origins.iter().any(|origin| origin == "*"),
        }
    }

    /// Lets a request pass, or says why not. A page of an allowed host may talk to its own host.
    pub(crate) fn check(&self, request: &Request) -> Result<(), Refused> {
        let host = named_host(request.uri(), request.headers()).ok_or(Refused::Host)?;
        let known =
            |entry: &Entry| entry.host == host.host && (entry.port.is_none() || entry.port == host.port);
        if !self.any_host && !self.hosts.iter().any(known) {
            return Err(Refused::Host);
        }
        let Some(origin) = request.headers().get(ORIGIN) else { return Ok(()) };
        let origin = normal(origin.to_str().map_err(|_| Refused::Origin)?);
        let own = origin
            .split_once("://")
            .and_then(|(_, rest)| Entry::parse(rest))
            .is_some_and(|page| page == host);
        if own && !self.any_host || self.lists(&origin) { Ok(()) } else { Err(Refused::Origin) }
    }

    fn lists(&self, origin: &str) -> bool {
        self.any_origin || self.origins.iter().any(|listed| listed == origin)
    }

    /// What browsers ask before, and want to read after, a request of a page that is listed (CORS). Nothing when none is.
    /// Pages send no cookies here, and a key that they send is theirs.
    pub(crate) fn sharing(&self) -> Option<CorsLayer> {
        if self.origins.is_empty() {
            return None;
        }
        let policy = self.clone();
        let listed = AllowOrigin::predicate(move |origin: &HeaderValue, _: &Parts| {
            origin.to_str().is_ok_and(|origin| policy.lists(&normal(origin)))
        });
        let layer = CorsLayer::new()
            .allow_origin(listed)
            .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(READABLE.map(HeaderName::from_static))
            .max_age(REMEMBERED);
        Some(layer)
    }
}

fn normal(origin: &str) -> String {
    origin.trim().trim_end_matches('/').to_ascii_lowercase()
}

fn named_host(uri: &Uri, headers: &HeaderMap) -> Option<Entry> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Entry::parse(host.to_str().ok()?),
        (None, _) => uri.authority().and_then(|authority| Entry::parse(authority.as_str())),
        // Which of them a proxy in front went by, nobody can tell.
        (Some(_), Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn policy(hosts: &[&str], origins: &[&str]) -> OriginPolicy {
        OriginPolicy::new(&HttpConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            json_response: false,
            allowed_hosts: hosts.iter().map(ToString::to_string).collect(),
            allowed_origins: origins.iter().map(ToString::to_string).collect(),
            trust_proxy_hops: 1,
            address_limit: 0,
            keyed_address_limit: 0,
            connections_per_address: 1,
            reply_bytes: 1,
            reply_bytes_per_key: 1,
            reply_bytes_total: 1,
            keep_alive: Duration::from_secs(180),
            streams_per_key: 1,
            sessions_per_project: 1,
            audit_retention: Duration::from_secs(0),
            metrics: None,
            lame_duck: Duration::ZERO,
            event_retention: Duration::from_secs(1),
        })
    }

    fn asked(policy: &OriginPolicy, host: &str, origin: Option<&str>) -> Result<(), Refused> {
        let mut request = Request::builder().uri("/mcp").header(HOST, host);
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        policy.check(&request.body(Body::empty()).unwrap())
    }

    #[test]
    fn by_default_only_this_machine_and_its_own_pages_are_let_in() {
        let policy = policy(&[], &[]);
        assert_eq!(asked(&policy, "localhost:3100", None), Ok(()));
        assert_eq!(asked(&policy, "[::1]:3100", None), Ok(()));
        assert_eq!(asked(&policy, "evil.example", None), Err(Refused::Host));
        assert_eq!(asked(&policy, "localhost:3100", Some("http://localhost:3100")), Ok(()));
        assert_eq!(asked(&policy, "localhost:3100", Some("http://localhost:5173")), Err(Refused::Origin));
        assert_eq!(asked(&policy, "localhost:3100", Some("https://evil.example")), Err(Refused::Origin));
        assert_eq!(asked(&policy, "localhost:3100", Some("null")), Err(Refused::Origin));
    }

    #[test]
    fn whoever_names_two_hosts_names_none() {
        let request = Request::builder().uri("/mcp").header(HOST, "localhost").header(HOST, "evil.example");
        assert_eq!(policy(&[], &[]).check(&request.body(Body::empty()).unwrap()), Err(Refused::Host));
    }

    #[test]
    fn a_port_in_the_list_counts() {
        let policy = policy(&["mcp.example:8443"], &["https://app.example"]);
        assert_eq!(asked(&policy, "mcp.example:8443", Some("https://app.example")), Ok(()));
        assert_eq!(asked(&policy, "mcp.example", None), Err(Refused::Host));
        assert_eq!(asked(&policy, "mcp.example:8443", Some("https://app.example:444")), Err(Refused::Origin));
    }
}
