//! Allowed hosts and origins: the protection against DNS rebinding. CORS headers state the same for browsers, so that
//! allowed pages can send requests.
//!
//! A server on a network address without a list of hosts serves every host if the request has a valid key; a rebound
//! page has none. Such a host is not trusted: nothing is derived from it ([`OriginPolicy::own_origin`]).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use axum::extract::Request;
use http::header::{HOST, HeaderName, ORIGIN};
use http::request::Parts;
use http::{HeaderValue, Method, Version};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::http::config::HttpConfig;
use crate::http::forwarded::{self, Scheme};

/// Reply headers that a page may read.
const EXPOSED_HEADERS: [&str; 8] = [
    "mcp-session-id",
    "mcp-protocol-version",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "retry-after",
    "www-authenticate",
    "x-request-id",
];
/// How long a browser may cache a preflight reply.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

/// The allowed hosts and origins.
#[derive(Debug, Clone)]
pub(crate) struct OriginPolicy {
    hosts: Vec<Entry>,
    any_host: bool,
    /// Whether a valid key admits an unknown host.
    key_opens_any_host: bool,
    public_origin: Option<WebOrigin>,
    origins: Vec<Listed>,
    any_origin: bool,
    trusted_hops: usize,
}

/// How a request is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// Its host is known.
    Known,
    /// Its host is unknown: it needs a valid key, or is a preflight request (CORS).
    WithKey,
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

/// A host, with the port if given.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    host: String,
    port: Option<u16>,
}

impl Entry {
    /// Parses `host`, `host:port`, `[IPv6]` or `[IPv6]:port`, and nothing else: no user, no path.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Some(Self { host: address.to_string(), port: None });
        }
        let (host, rest) = match text.strip_prefix('[') {
            Some(bracketed) => {
                let (inside, rest) = bracketed.split_once(']')?;
                (inside.parse::<Ipv6Addr>().ok()?.to_string(), rest)
            }
            None => {
                let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
                let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
                if host.is_empty() || !host.bytes().all(is_name) {
                    return None;
                }
                (host.to_ascii_lowercase(), rest)
            }
        };
        let port = match rest.strip_prefix(':') {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok().filter(|port| *port != 0)?)
            }
            Some(_) => return None,
            None if rest.is_empty() => None,
            None => return None,
        };
        Some(Self { host, port })
    }
}

/// A web origin: scheme, host and port. All three are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebOrigin {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl WebOrigin {
    fn new(scheme: Scheme, entry: &Entry) -> Self {
        Self { scheme, host: entry.host.clone(), port: entry.port.unwrap_or(scheme.port()) }
    }

    pub(crate) fn parse(origin: &str) -> Option<Self> {
        let (scheme, rest) = origin.split_once("://")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        Entry::parse(rest).filter(|_| rest == rest.trim()).map(|entry| Self::new(scheme, &entry))
    }

    /// Whether nobody between a browser and this place can read or change what they send: https, or this machine.
    pub(crate) fn is_private(&self) -> bool {
        self.is_https()
            || self.host == "localhost"
            || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    pub(crate) fn is_https(&self) -> bool {
        self.scheme == Scheme::Https
    }
}

/// As a browser writes an origin: in lower case, without the default port.
impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https() { "https" } else { "http" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]", self.host)?;
        } else {
            write!(f, "{scheme}://{}", self.host)?;
        }
        if self.port == self.scheme.port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// An allowed origin. One with another scheme, such as a browser extension, is compared as text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Listed {
    Origin(WebOrigin),
    Text(String),
}

impl Listed {
    fn parse(origin: &str) -> Self {
        let text = origin.trim().trim_end_matches('/').to_ascii_lowercase();
        WebOrigin::parse(&text).map_or(Self::Text(text), Self::Origin)
    }
}

impl OriginPolicy {
    pub(crate) fn new(config: &HttpConfig) -> Self {
        let mut hosts: Vec<Entry> =
            config.allowed_hosts.iter().filter_map(|host| Entry::parse(host)).collect();
        if config.allowed_hosts.is_empty() {
            hosts =
                ["localhost", "127.0.0.1", "[::1]"].iter().filter_map(|host| Entry::parse(host)).collect();
        }
        let public_origin = config.public_url.as_deref().and_then(WebOrigin::parse);
        let public_host = config.public_url.as_deref().and_then(|url| url.split_once("://"));
        hosts.extend(public_host.and_then(|(_, host)| Entry::parse(host)));
        Self {
            hosts,
            any_host: config.allowed_hosts.iter().any(|host| host == "*"),
            key_opens_any_host: config.allowed_hosts.is_empty()
                && !config.listen.ip().to_canonical().is_loopback(),
            public_origin,
            origins: config.allowed_origins.iter().map(|origin| Listed::parse(origin)).collect(),
            any_origin: config.allowed_origins.iter().any(|origin| origin == "*"),
            trusted_hops: config.trust_proxy_hops,
        }
    }

    /// Admits a request, or returns why not. A page of the server's own host is allowed.
    pub(crate) fn check(&self, request: &Request) -> Result<Admitted, Refused> {
        let target = self.target(request)?;
        let admitted = match &target {
            Some(target) if self.knows(target) => Admitted::Known,
            _ if self.key_opens_any_host => Admitted::WithKey,
            _ => return Err(Refused::Host),
        };
        let mut origins = request.headers().get_all(ORIGIN).iter();
        let origin = match (origins.next(), origins.next()) {
            (None, _) => return Ok(admitted),
            (Some(origin), None) => origin.to_str().map_err(|_| Refused::Origin)?,
            (Some(_), Some(_)) => return Err(Refused::Origin),
        };
        let page = WebOrigin::parse(origin);
        // The host of a rebound page is also the host of its requests: only the key keeps it out.
        let is_own = page.is_some() && (page == self.public_origin || (!self.any_host && page == target));
        if is_own || self.lists(origin) { Ok(admitted) } else { Err(Refused::Origin) }
    }

    /// The server's own origin, if it can be trusted: `PUBLIC_URL`, or the host of the request if `ALLOWED_HOSTS`
    /// lists it or if it is a name of this machine. Code that uses cookies or builds addresses must use this origin
    /// only, and must work without one.
    pub(crate) fn own_origin(&self, request: &Request) -> Option<WebOrigin> {
        if let Some(public) = &self.public_origin {
            return Some(public.clone());
        }
        self.target(request).ok()?.filter(|target| !self.any_host && self.is_listed(target))
    }

    fn knows(&self, target: &WebOrigin) -> bool {
        self.any_host || self.is_listed(target)
    }

    fn is_listed(&self, target: &WebOrigin) -> bool {
        let is_it =
            |entry: &Entry| entry.host == target.host && entry.port.is_none_or(|port| port == target.port);
        self.hosts.iter().any(is_it)
    }

    /// The host that the request is addressed to; `None` without a host, as HTTP/1.0 allows.
    fn target(&self, request: &Request) -> Result<Option<WebOrigin>, Refused> {
        let scheme = forwarded::scheme(request.headers(), self.trusted_hops);
        let parse =
            |text: &str| Entry::parse(text).map(|entry| WebOrigin::new(scheme, &entry)).ok_or(Refused::Host);
        let mut hosts = request.headers().get_all(HOST).iter();
        let header = match (hosts.next(), hosts.next()) {
            (None, _) => None,
            (Some(host), None) => Some(parse(host.to_str().map_err(|_| Refused::Host)?)?),
            // It is unknown which of them a proxy in front used.
            (Some(_), Some(_)) => return Err(Refused::Host),
        };
        // An absolute address in the request line, or `:authority`.
        let authority = request.uri().authority().map(|authority| parse(authority.as_str())).transpose()?;
        match (header, authority) {
            (Some(header), Some(authority)) if header != authority => Err(Refused::Host),
            (None, None) if request.version() > Version::HTTP_10 => Err(Refused::Host),
            (header, authority) => Ok(header.or(authority)),
        }
    }

    fn lists(&self, origin: &str) -> bool {
        self.any_origin || self.origins.contains(&Listed::parse(origin))
    }

    /// Whether an allowed page sends the request.
    pub(crate) fn lists_page_of(&self, request: &Request) -> bool {
        let origin = request.headers().get(ORIGIN).and_then(|origin| origin.to_str().ok());
        origin.is_some_and(|origin| self.lists(origin))
    }

    /// CORS headers for allowed pages; none if no page is allowed. Pages send no cookies here, and a key that a page
    /// sends is its own.
    pub(crate) fn sharing(&self) -> Option<CorsLayer> {
        if self.origins.is_empty() {
            return None;
        }
        let policy = self.clone();
        let listed = AllowOrigin::predicate(move |origin: &HeaderValue, _: &Parts| {
            origin.to_str().is_ok_and(|origin| policy.lists(origin))
        });
        let layer = CorsLayer::new()
            .allow_origin(listed)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(EXPOSED_HEADERS.map(HeaderName::from_static))
            .max_age(PREFLIGHT_MAX_AGE);
        Some(layer)
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
            public_url: None,
            client_documents: false,
            openid: None,
            outside_issuer: None,
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
            sessions_per_key: 1,
            event_bytes_per_session: 1,
            event_bytes_per_project: 1,
            audit_retention: Duration::from_secs(0),
            metrics: None,
            drain_delay: Duration::ZERO,
            event_retention: Duration::from_secs(1),
            tools: crate::mcp::ToolOptions::default(),
        })
    }

    fn outcome(policy: &OriginPolicy, host: &str, origin: Option<&str>) -> Result<Admitted, Refused> {
        let mut request = Request::builder().uri("/mcp").header(HOST, host);
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        policy.check(&request.body(Body::empty()).unwrap())
    }

    #[test]
    fn by_default_only_this_machine_and_its_own_pages_are_admitted() {
        let policy = policy(&[], &[]);
        assert_eq!(outcome(&policy, "localhost:3100", None), Ok(Admitted::Known));
        assert_eq!(outcome(&policy, "[::1]:3100", None), Ok(Admitted::Known));
        assert_eq!(outcome(&policy, "evil.example", None), Err(Refused::Host));
        assert_eq!(outcome(&policy, "localhost:3100", Some("http://localhost:3100")), Ok(Admitted::Known));
        assert_eq!(outcome(&policy, "localhost:3100", Some("http://localhost:5173")), Err(Refused::Origin));
        assert_eq!(outcome(&policy, "localhost:3100", Some("https://evil.example")), Err(Refused::Origin));
        assert_eq!(outcome(&policy, "localhost:3100", Some("null")), Err(Refused::Origin));
    }

    #[test]
    fn a_page_is_the_server_s_own_if_scheme_host_and_port_match() {
        let policy = policy(&["localhost", "mcp.example", "[::1]", "mcp.example."], &[]);
        for (host, proto, origin, own) in [
            ("localhost:3100", "http", "http://localhost:3100", true),
            ("localhost:3100", "http", "https://localhost:3100", false),
            ("localhost:3100", "https", "https://localhost:3100", true),
            ("localhost:3100", "https", "http://localhost:3100", false),
            ("mcp.example", "https", "https://mcp.example", true),
            ("mcp.example", "https", "https://mcp.example:443", true),
            ("mcp.example:443", "https", "https://mcp.example", true),
            ("mcp.example", "http", "http://mcp.example:80", true),
            ("mcp.example", "https", "http://mcp.example", false),
            ("mcp.example", "http", "https://mcp.example", false),
            ("mcp.example", "http", "http://mcp.example:443", false),
            ("mcp.example", "https", "https://mcp.example:80", false),
            ("mcp.example", "https", "https://mcp.example:99999", false),
            ("mcp.example", "https", "https://mcp.example:", false),
            ("mcp.example", "https", "https://mcp.example:0", false),
            ("mcp.example", "https", "HTTPS://MCP.Example", true),
            ("MCP.example", "https", "https://mcp.example", true),
            ("mcp.example", "https", "https://mcp.example.", false),
            ("mcp.example.", "https", "https://mcp.example", false),
            ("mcp.example", "https", "https://evil@mcp.example", false),
            ("mcp.example", "https", "https://mcp.example@evil.example", false),
            ("mcp.example", "https", "https://mcp.example/", false),
            ("mcp.example", "https", "https://mcp.example/x", false),
            ("mcp.example", "https", "https://mcp.example.evil.example", false),
            ("mcp.example", "https", "ftp://mcp.example", false),
            ("mcp.example", "https", "null", false),
            ("mcp.example", "https", "", false),
            ("[::1]:3100", "http", "http://[::1]:3100", true),
            ("[0:0:0:0:0:0:0:1]:3100", "http", "http://[::1]:3100", true),
            ("[::1]:3100", "http", "http://[::1]:3101", false),
            ("[::1]:3100", "http", "http://::1:3100", false),
        ] {
            let request = Request::builder().header(HOST, host).header(ORIGIN, origin);
            let request = request.header("x-forwarded-proto", proto).body(Body::empty()).unwrap();
            let expected = if own { Ok(Admitted::Known) } else { Err(Refused::Origin) };
            assert_eq!(policy.check(&request), expected, "{origin} at {proto}://{host}");
        }
    }

    #[test]
    fn a_host_with_a_user_or_an_invalid_port_is_invalid() {
        let policy = policy(&[], &[]);
        for host in
            ["localhost@evil.example", "evil@localhost", "localhost:99999", "localhost:x", "localhost:", ""]
        {
            assert_eq!(outcome(&policy, host, None), Err(Refused::Host), "{host}");
        }
    }

    #[test]
    fn a_listed_origin_is_admitted_in_every_spelling_of_its_port_and_only_in_its_scheme() {
        let policy =
            policy(&[], &["https://app.example:443", "http://local.example/", "vscode-webview://abc"]);
        for origin in
            ["https://app.example", "https://app.example:443", "http://local.example", "vscode-webview://abc"]
        {
            assert_eq!(outcome(&policy, "localhost", Some(origin)), Ok(Admitted::Known), "{origin}");
        }
        for origin in
            ["http://app.example", "https://local.example", "https://app.example:444", "vscode-webview://b"]
        {
            assert_eq!(outcome(&policy, "localhost", Some(origin)), Err(Refused::Origin), "{origin}");
        }
        let twice = Request::builder().header(HOST, "localhost").header(ORIGIN, "http://local.example");
        let twice = twice.header(ORIGIN, "http://evil.example").body(Body::empty()).unwrap();
        assert_eq!(policy.check(&twice), Err(Refused::Origin));
    }

    #[test]
    fn a_request_that_names_two_hosts_is_refused() {
        let request = Request::builder().uri("/mcp").header(HOST, "localhost").header(HOST, "evil.example");
        assert_eq!(policy(&[], &[]).check(&request.body(Body::empty()).unwrap()), Err(Refused::Host));
    }

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for (origin, written, private) in [
            ("HTTPS://Memory.Example:443", "https://memory.example", true),
            ("http://localhost:3100", "http://localhost:3100", true),
            ("http://127.0.0.1:80", "http://127.0.0.1", true),
            ("http://[0:0::1]:3100", "http://[::1]:3100", true),
            ("http://memory.example", "http://memory.example", false),
            ("http://192.168.1.2:3100", "http://192.168.1.2:3100", false),
            ("https://[2001:db8::1]", "https://[2001:db8::1]", true),
        ] {
            let parsed = WebOrigin::parse(origin).unwrap();
            assert_eq!((parsed.to_string().as_str(), parsed.is_private()), (written, private));
        }
    }

    #[test]
    fn a_listed_port_must_match() {
        let policy = policy(&["mcp.example:8443"], &["https://app.example"]);
        assert_eq!(outcome(&policy, "mcp.example:8443", Some("https://app.example")), Ok(Admitted::Known));
        assert_eq!(outcome(&policy, "mcp.example", None), Err(Refused::Host));
        assert_eq!(
            outcome(&policy, "mcp.example:8443", Some("https://app.example:444")),
            Err(Refused::Origin)
        );
    }

    #[test]
    fn a_host_admitted_by_a_key_alone_is_not_used_for_addresses_and_cookies() {
        let open = |hosts: &[&str], public: Option<&str>, listen: &str| {
            let mut policy = policy(hosts, &[]);
            policy.key_opens_any_host = hosts.is_empty() && !listen.parse::<IpAddr>().unwrap().is_loopback();
            policy.public_origin = public.and_then(WebOrigin::parse);
            policy
        };
        let own = |policy: &OriginPolicy, host: &str| {
            let request = Request::builder().uri("/mcp").header(HOST, host).body(Body::empty()).unwrap();
            policy.own_origin(&request)
        };
        let is = |origin: &str| WebOrigin::parse(origin);
        let reachable = open(&[], None, "0.0.0.0");
        assert_eq!(outcome(&reachable, "evil.example", None), Ok(Admitted::WithKey));
        assert_eq!(own(&reachable, "evil.example"), None);
        assert_eq!(own(&reachable, "localhost:3100"), is("http://localhost:3100"));
        assert_eq!(own(&open(&["mcp.example"], None, "0.0.0.0"), "mcp.example"), is("http://mcp.example"));
        assert_eq!(own(&open(&["*"], None, "0.0.0.0"), "evil.example"), None);
        let public = open(&[], Some("https://mcp.example"), "0.0.0.0");
        assert_eq!(own(&public, "evil.example"), is("https://mcp.example"));
    }
}
