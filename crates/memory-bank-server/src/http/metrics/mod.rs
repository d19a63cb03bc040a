//! The server's metrics.
//!
//! Counting takes a few atomic operations. Architecture invariant: every label is a constant of the program
//! (`&'static str`) or a number, so that no user, key or document can become one, and the number of series is
//! bounded.

mod gauges;
mod scrape;

use std::time::Duration;

use memory_bank_core::limiter::Verdict;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::http::auth::AuthError;
use crate::http::origin::Refused;
use crate::outcome::Outcome;
pub(crate) use gauges::Reading;
use gauges::{Gauges, register};
pub use gauges::{PoolState, StandbyState, StorageState, VectorState};
pub(crate) use scrape::serve;

/// Upper bounds of the buckets of durations, in seconds.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    tool: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Tool {
    tool: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Message {
    method: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SignIn {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitHit {
    limit: &'static str,
}

/// A histogram is created at its first observation.
fn durations() -> Histogram {
    Histogram::new(BUCKETS)
}

type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

fn register_durations<L>(registry: &mut Registry, name: &str, help: &str) -> Durations<L>
where
    L: EncodeLabelSet + Clone + std::fmt::Debug + Eq + std::hash::Hash + Send + Sync + 'static,
{
    let durations: Durations<L> = Family::new_with_constructor(durations);
    registry.register_with_unit(name, help, Unit::Seconds, durations.clone());
    durations
}

/// How a sign-in with the OpenID provider can end.
const SIGN_IN_OUTCOMES: [&str; 5] = ["signed_in", "refused_by_user", "invalid", "no_access", "unavailable"];

/// A limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Requests per minute of a key.
    Key,
    /// Requests per minute of an address.
    Address,
    /// Open streams of a key.
    Streams,
    /// Open sessions of a project.
    Sessions,
    /// Open sessions of a key.
    SessionsOfKey,
    /// Bytes of a body.
    Body,
    /// Connections of the server, or of an address.
    Connections,
    /// Memory for replies, of the server or of a key.
    Replies,
}

impl Limit {
    const ALL: [Self; 8] = [
        Self::Key,
        Self::Address,
        Self::Streams,
        Self::Sessions,
        Self::SessionsOfKey,
        Self::Body,
        Self::Connections,
        Self::Replies,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Address => "address",
            Self::Streams => "streams",
            Self::Sessions => "sessions",
            Self::SessionsOfKey => "sessions_of_key",
            Self::Body => "body",
            Self::Connections => "connections",
            Self::Replies => "replies",
        }
    }
}

/// All metrics. Shared by all requests of a server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    request_durations: Durations<Route>,
    messages: Family<Message, Counter>,
    calls: Family<Call, Counter>,
    call_durations: Durations<Tool>,
    refused: Family<Kind, Counter>,
    failures: Family<Kind, Counter>,
    limits: Family<LimitHit, Counter>,
    openid_sign_ins: Family<SignIn, Counter>,
    sessions_opened: Counter,
    sessions_ended: Counter,
    events_stored: Counter,
    events_lost: Counter,
    events_replayed: Counter,
    gauges: Gauges,
}

impl Metrics {
    /// Counts from zero.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("memory_bank");
        // A gauge, because the older text format has no type `info`.
        let build: Family<Build, Gauge> = Family::default();
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build_info", "The version that runs", build);
        let metrics = Self {
            requests: register(
                &mut registry,
                "http_requests",
                "Requests answered, by route, method and status",
            ),
            request_durations: register_durations(
                &mut registry,
                "http_request_duration",
                "Time from a request's headers to those of its reply",
            ),
            messages: register(&mut registry, "mcp_requests", "Requests of MCP, by method and outcome"),
            calls: register(&mut registry, "tool_calls", "Calls of tools, by tool and outcome"),
            call_durations: register_durations(
                &mut registry,
                "tool_call_duration",
                "Time that calls of tools took",
            ),
            refused: register(&mut registry, "origin_refusals", "Requests refused for their host or origin"),
            failures: register(&mut registry, "auth_failures", "Requests without a valid key, by kind"),
            limits: register(&mut registry, "limits_hit", "Times that a limit stopped something, by limit"),
            openid_sign_ins: register(
                &mut registry,
                "openid_sign_ins",
                "Sign-ins with the OpenID provider, by outcome",
            ),
            sessions_opened: register(&mut registry, "sessions_opened", "Sessions opened on this replica"),
            sessions_ended: register(
                &mut registry,
                "sessions_ended",
                "Sessions that clients ended on this replica",
            ),
            events_stored: register(&mut registry, "events_stored", "Events stored for replay"),
            events_lost: register(&mut registry, "events_lost", "Events that could not be stored for replay"),
            events_replayed: register(
                &mut registry,
                "events_replayed",
                "Events sent again to clients that resumed a stream",
            ),
            gauges: Gauges::new(&mut registry),
            registry,
        };
        metrics.begin();
        metrics
    }

    /// Start at zero, so that the first event is visible as a change.
    fn begin(&self) {
        for kind in AuthError::KINDS {
            drop(self.failures.get_or_create(&Kind { kind }));
        }
        for kind in [Refused::Host, Refused::Origin] {
            drop(self.refused.get_or_create(&Kind { kind: refused_name(kind) }));
        }
        for outcome in SIGN_IN_OUTCOMES {
            drop(self.openid_sign_ins.get_or_create(&SignIn { outcome }));
        }
        for limit in Limit::ALL {
            drop(self.limits.get_or_create(&LimitHit { limit: limit.name() }));
        }
    }

    /// Counts a request. `route` and `method` are names of this program.
    pub(crate) fn answered(&self, route: &'static str, method: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&Request { route, method, status }).inc();
        self.request_durations.get_or_create(&Route { route }).observe(took.as_secs_f64());
        if status == 413 {
            self.limit_reached(Limit::Body);
        }
    }

    /// Counts a request that was refused for its host or origin.
    pub(crate) fn refused(&self, why: Refused) {
        self.refused.get_or_create(&Kind { kind: refused_name(why) }).inc();
    }

    /// Counts a request without a valid key.
    pub(crate) fn auth_failed(&self, error: &AuthError) {
        self.failures.get_or_create(&Kind { kind: error.kind() }).inc();
    }

    /// Counts a request over its rate limit.
    pub(crate) fn rate_limited(&self, verdict: &Verdict) {
        let full = |window: Option<memory_bank_core::limiter::WindowState>| {
            window.is_some_and(|window| window.remaining == 0)
        };
        if full(verdict.key) {
            self.limit_reached(Limit::Key);
        }
        if full(verdict.address) {
            self.limit_reached(Limit::Address);
        }
    }

    /// Counts a reached limit.
    pub(crate) fn limit_reached(&self, limit: Limit) {
        self.limits.get_or_create(&LimitHit { limit: limit.name() }).inc();
    }

    /// Counts the end of a sign-in with the OpenID provider.
    pub(crate) fn openid_sign_in(&self, outcome: &'static str) {
        self.openid_sign_ins.get_or_create(&SignIn { outcome }).inc();
    }

    pub(crate) fn session_opened(&self) {
        self.sessions_opened.inc();
    }

    pub(crate) fn session_ended(&self) {
        self.sessions_ended.inc();
    }

    /// Counts a group of events that was stored, or was not.
    pub(crate) fn events_stored_or_lost(&self, count: usize, kept: bool) {
        let counter = if kept { &self.events_stored } else { &self.events_lost };
        counter.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    pub(crate) fn event_replayed(&self) {
        self.events_replayed.inc();
    }

    /// Counts a request of MCP.
    pub(crate) fn request_answered(&self, method: &'static str, outcome: Outcome) {
        self.messages.get_or_create(&Message { method, outcome: outcome.name() }).inc();
    }

    /// Counts a call of a tool.
    pub(crate) fn tool_answered(&self, tool: &'static str, outcome: Outcome, took: Duration) {
        self.calls.get_or_create(&Call { tool, outcome: outcome.name() }).inc();
        self.call_durations.get_or_create(&Tool { tool }).observe(took.as_secs_f64());
    }
}

fn refused_name(why: Refused) -> &'static str {
    match why {
        Refused::Host => "host",
        Refused::Origin => "origin",
    }
}

impl Metrics {
    /// All metrics as text, in the format of OpenMetrics 1.0.
    pub(crate) fn text(&self, reading: &Reading) -> Result<String, std::fmt::Error> {
        self.gauges.set(reading);
        let mut text = String::with_capacity(16 * 1024);
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
