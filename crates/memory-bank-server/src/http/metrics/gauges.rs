//! Values that are read during a scrape, instead of being counted: the pool, Redis, the index, the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use memory_bank_core::search::IndexUse;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::http::redis::RedisState;

/// The connections to the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolState {
    /// The maximum.
    pub max: usize,
    /// Connections in use.
    pub in_use: usize,
    /// Idle connections.
    pub idle: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
}

/// The vectors of search by meaning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VectorState {
    /// Vectors that were made.
    pub made: u64,
    /// Batches that failed, and passages that the model refused.
    pub failed: u64,
    /// Projects that were not taken into the queue, since it was full.
    pub refused: u64,
    /// Passages of queued projects that have no vector yet.
    pub waiting: u64,
    /// Vectors in memory.
    pub in_memory: usize,
    /// Bytes of memory that they take.
    pub bytes: u64,
}

/// A standby of the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StandbyState {
    /// Its host and port.
    pub name: String,
    /// Reads that it has answered.
    pub reads: u64,
    /// Whether it answers reads; otherwise it is left out.
    pub is_serving: bool,
}

/// The state of the stores; a missing part is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageState {
    /// The connections.
    pub pool: Option<PoolState>,
    /// The standbys of the database.
    pub standbys: Vec<StandbyState>,
    /// The search index.
    pub index: Option<IndexUse>,
    /// The vectors, where a model is set.
    pub vectors: Option<VectorState>,
    /// Changes that were refused, since a project would have passed its quota.
    pub quota_refusals: Option<u64>,
}

/// Values that are read during a scrape.
#[derive(Default)]
pub(crate) struct Reading {
    pub(crate) uptime: Duration,
    pub(crate) database: Option<bool>,
    pub(crate) redis: Option<(bool, RedisState)>,
    pub(crate) storage: StorageState,
    pub(crate) connections: usize,
    pub(crate) streams: usize,
    pub(crate) sessions: usize,
    pub(crate) events_waiting: usize,
    pub(crate) documents_not_indexed: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStandby {
    standby: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Event {
    event: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallResult {
    result: &'static str,
}

/// A gauge that is shown once it was set: values of missing parts are not shown.
#[derive(Debug, Clone, Default)]
struct OptionalGauge {
    gauge: Gauge,
    shown: Arc<AtomicBool>,
}

impl OptionalGauge {
    fn set(&self, value: i64) {
        self.gauge.set(value);
        self.shown.store(true, Ordering::Relaxed);
    }
}

impl EncodeMetric for OptionalGauge {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.gauge.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }

    fn is_empty(&self) -> bool {
        !self.shown.load(Ordering::Relaxed)
    }
}

/// A counter that is shown only after it was set.
#[derive(Debug, Clone, Default)]
struct OptionalCounter {
    counter: Counter,
    shown: Arc<AtomicBool>,
}

impl OptionalCounter {
    fn set(&self, count: u64) {
        raise(&self.counter, count);
        self.shown.store(true, Ordering::Relaxed);
    }
}

impl EncodeMetric for OptionalCounter {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.counter.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }

    fn is_empty(&self) -> bool {
        !self.shown.load(Ordering::Relaxed)
    }
}

pub(super) struct Gauges {
    uptime: Gauge<f64, AtomicU64>,
    resident: Gauge,
    connections: Gauge,
    streams: Gauge,
    sessions: Gauge,
    events_waiting: Gauge,
    database: DatabaseGauges,
    redis: RedisGauges,
    index: IndexGauges,
    vectors: VectorGauges,
    quota_refusals: OptionalCounter,
    documents_not_indexed: OptionalGauge,
}

impl Gauges {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            uptime: register_with_unit(registry, "uptime", "Time since the start", Unit::Seconds),
            resident: register_with_unit(
                registry,
                "resident_memory",
                "Memory of the process that is in use",
                Unit::Bytes,
            ),
            connections: register(registry, "http_connections", "Connections of clients"),
            streams: register(registry, "streams_open", "Open streams"),
            sessions: register(registry, "sessions_cached", "Sessions that this replica has cached"),
            events_waiting: register(registry, "events_waiting", "Events that wait to be stored"),
            database: DatabaseGauges::new(registry),
            redis: RedisGauges::new(registry),
            index: IndexGauges::new(registry),
            vectors: VectorGauges::new(registry),
            quota_refusals: register(
                registry,
                "quota_refusals",
                "Changes refused, since a project would have passed its quota",
            ),
            documents_not_indexed: register(
                registry,
                "documents_not_indexed",
                "Documents without a full-text search vector when the last round ended, at most 10,000",
            ),
        }
    }

    pub(super) fn set(&self, reading: &Reading) {
        self.uptime.set(reading.uptime.as_secs_f64());
        self.resident.set(i64::try_from(resident_bytes().unwrap_or_default()).unwrap_or(i64::MAX));
        self.connections.set(number(reading.connections));
        self.streams.set(number(reading.streams));
        self.sessions.set(number(reading.sessions));
        self.events_waiting.set(number(reading.events_waiting));
        if let Some(up) = reading.database {
            self.database.up.set(i64::from(up));
        }
        if let Some(pool) = reading.storage.pool {
            self.database.set(pool);
        }
        for standby in &reading.storage.standbys {
            self.database.set_standby(standby);
        }
        if let Some((up, state)) = reading.redis {
            self.redis.set(up, state);
        }
        if let Some(index) = reading.storage.index {
            self.index.set(index);
        }
        if let Some(vectors) = reading.storage.vectors {
            self.vectors.set(vectors);
        }
        if let Some(count) = reading.documents_not_indexed {
            self.documents_not_indexed.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        if let Some(count) = reading.storage.quota_refusals {
            self.quota_refusals.set(count);
        }
    }
}

struct DatabaseGauges {
    up: OptionalGauge,
    connections: Family<State, Gauge>,
    max_connections: OptionalGauge,
    waiting: OptionalGauge,
    standby_up: Family<OfStandby, Gauge>,
    standby_reads: Family<OfStandby, Counter>,
}

impl DatabaseGauges {
    fn new(registry: &mut Registry) -> Self {
        Self {
            up: register(registry, "db_up", "Whether the database answers"),
            connections: register(registry, "db_connections", "Connections to the database, by state"),
            max_connections: register(registry, "db_connections_max", "The most connections to the database"),
            waiting: register(registry, "db_waiting", "Requests that wait for a connection to the database"),
            standby_up: register(
                registry,
                "db_standby_up",
                "Whether a standby of the database answers reads",
            ),
            standby_reads: register(registry, "db_standby_reads", "Reads that a standby has answered"),
        }
    }

    fn set(&self, pool: PoolState) {
        self.connections.get_or_create(&State { state: "in_use" }).set(number(pool.in_use));
        self.connections.get_or_create(&State { state: "idle" }).set(number(pool.idle));
        self.max_connections.set(number(pool.max));
        self.waiting.set(number(pool.waiting));
    }

    fn set_standby(&self, state: &StandbyState) {
        let standby = OfStandby { standby: state.name.clone() };
        self.standby_up.get_or_create(&standby).set(i64::from(state.is_serving));
        raise(&self.standby_reads.get_or_create(&standby), state.reads);
    }
}

struct RedisGauges {
    up: OptionalGauge,
    breaker_open: OptionalGauge,
    calls: Family<CallResult, Counter>,
}

impl RedisGauges {
    fn new(registry: &mut Registry) -> Self {
        Self {
            up: register(registry, "redis_up", "Whether Redis answers"),
            breaker_open: register(
                registry,
                "redis_breaker_open",
                "Whether commands are skipped after failures of Redis",
            ),
            calls: register(registry, "redis_calls", "Calls of Redis, by result"),
        }
    }

    fn set(&self, up: bool, state: RedisState) {
        self.up.set(i64::from(up));
        self.breaker_open.set(i64::from(state.is_open));
        for (result, count) in [("ok", state.ok), ("failed", state.failed), ("skipped", state.skipped)] {
            raise(&self.calls.get_or_create(&CallResult { result }), count);
        }
    }
}

struct IndexGauges {
    bytes: OptionalGauge,
    max_bytes: OptionalGauge,
    projects: OptionalGauge,
    building: OptionalGauge,
    events: Family<Event, Counter>,
    refusals: Family<Reason, Counter>,
}

impl IndexGauges {
    fn new(registry: &mut Registry) -> Self {
        Self {
            bytes: register_with_unit(
                registry,
                "search_index",
                "Memory that search indexes take",
                Unit::Bytes,
            ),
            max_bytes: register_with_unit(
                registry,
                "search_index_max",
                "Memory that search indexes may take",
                Unit::Bytes,
            ),
            projects: register(registry, "search_index_projects", "Projects that the search index holds"),
            building: register(
                registry,
                "search_index_building",
                "Search indexes that are built or updated now",
            ),
            events: register(registry, "search_index_events", "Search indexes built and evicted"),
            refusals: register(registry, "search_index_refusals", "Searches without a result, by reason"),
        }
    }

    fn set(&self, index: IndexUse) {
        self.bytes.set(i64::try_from(index.bytes).unwrap_or(i64::MAX));
        self.max_bytes.set(i64::try_from(index.max_bytes).unwrap_or(i64::MAX));
        self.projects.set(number(index.projects));
        self.building.set(number(index.building));
        for (event, count) in [("built", index.built), ("evicted", index.evicted)] {
            raise(&self.events.get_or_create(&Event { event }), count);
        }
        for (reason, count) in [
            ("building", index.answered_building),
            ("too_large", index.refused_too_large),
            ("busy", index.refused_busy),
        ] {
            raise(&self.refusals.get_or_create(&Reason { reason }), count);
        }
    }
}

struct VectorGauges {
    in_memory: OptionalGauge,
    bytes: OptionalGauge,
    waiting: OptionalGauge,
    events: Family<Event, Counter>,
}

impl VectorGauges {
    fn new(registry: &mut Registry) -> Self {
        Self {
            in_memory: register(registry, "search_vectors_in_memory", "Vectors that search indexes hold"),
            bytes: register_with_unit(
                registry,
                "search_vectors",
                "Memory that the vectors of search indexes take",
                Unit::Bytes,
            ),
            waiting: register(registry, "search_vectors_waiting", "Passages that wait for their vector"),
            events: register(
                registry,
                "search_vector_events",
                "Vectors made, batches and passages that failed, and projects refused for a full queue",
            ),
        }
    }

    fn set(&self, vectors: VectorState) {
        self.in_memory.set(number(vectors.in_memory));
        self.bytes.set(i64::try_from(vectors.bytes).unwrap_or(i64::MAX));
        self.waiting.set(i64::try_from(vectors.waiting).unwrap_or(i64::MAX));
        for (event, count) in
            [("made", vectors.made), ("failed", vectors.failed), ("refused", vectors.refused)]
        {
            raise(&self.events.get_or_create(&Event { event }), count);
        }
    }
}

/// Registers a metric.
pub(super) fn register<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn register_with_unit<M: Metric + Clone + Default>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    unit: Unit,
) -> M {
    let metric = M::default();
    registry.register_with_unit(name, help, unit, metric.clone());
    metric
}

/// Raises a counter to a total that another part of the program counts.
fn raise(counter: &Counter, total: u64) {
    counter.inner().fetch_max(total, Ordering::Relaxed);
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The second number of `/proc/self/statm` is the number of resident pages; other systems have none.
fn resident_bytes() -> Option<u64> {
    /// Linux's default page size.
    const PAGE_BYTES: u64 = 4096;
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}
