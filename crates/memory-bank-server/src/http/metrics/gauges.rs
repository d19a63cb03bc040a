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
use prometheus_client::registry::{Registry, Unit};

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

/// The state of the stores; a missing part is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StorageState {
    /// The connections.
    pub pool: Option<PoolState>,
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
struct Event {
    event: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Result_ {
    result: &'static str,
}

/// A gauge that is shown once it was set: values of missing parts are not shown.
#[derive(Debug, Clone, Default)]
struct Sometimes {
    gauge: Gauge,
    shown: Arc<AtomicBool>,
}

impl Sometimes {
    fn set(&self, value: i64) {
        self.gauge.set(value);
        self.shown.store(true, Ordering::Relaxed);
    }
}

impl EncodeMetric for Sometimes {
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

/// The same for a counter.
#[derive(Debug, Clone, Default)]
struct SometimesCounted {
    counter: Counter,
    shown: Arc<AtomicBool>,
}

impl SometimesCounted {
    fn set(&self, count: u64) {
        self.counter.inner().fetch_max(count, Ordering::Relaxed);
        self.shown.store(true, Ordering::Relaxed);
    }
}

impl EncodeMetric for SometimesCounted {
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
    database_up: Sometimes,
    pool: Family<State, Gauge>,
    pool_max: Sometimes,
    pool_waiting: Sometimes,
    redis_up: Sometimes,
    redis_breaker: Sometimes,
    redis_calls: Family<Result_, Counter>,
    index_bytes: Sometimes,
    index_max_bytes: Sometimes,
    index_projects: Sometimes,
    index_building: Sometimes,
    index_events: Family<Event, Counter>,
    index_refusals: Family<Reason, Counter>,
    quota_refusals: SometimesCounted,
    documents_not_indexed: Sometimes,
    vectors: Sometimes,
    vectors_bytes: Sometimes,
    vectors_waiting: Sometimes,
    vector_events: Family<Event, Counter>,
}

impl Gauges {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let uptime = Gauge::default();
        registry.register_with_unit("uptime", "Time since the start", Unit::Seconds, uptime.clone());
        let resident = Gauge::default();
        registry.register_with_unit(
            "resident_memory",
            "Memory of the process that is in use",
            Unit::Bytes,
            resident.clone(),
        );
        let pool = Family::default();
        registry.register("db_connections", "Connections to the database, by state", pool.clone());
        let redis_calls = Family::default();
        registry.register("redis_calls", "Calls of Redis, by result", redis_calls.clone());
        let index_bytes = Sometimes::default();
        registry.register_with_unit(
            "search_index",
            "Memory that search indexes take",
            Unit::Bytes,
            index_bytes.clone(),
        );
        let index_max_bytes = Sometimes::default();
        registry.register_with_unit(
            "search_index_max",
            "Memory that search indexes may take",
            Unit::Bytes,
            index_max_bytes.clone(),
        );
        let index_events = Family::default();
        registry.register("search_index_events", "Search indexes built and evicted", index_events.clone());
        let index_refusals = Family::default();
        registry.register(
            "search_index_refusals",
            "Searches without an answer, by reason",
            index_refusals.clone(),
        );
        let vectors_bytes = Sometimes::default();
        registry.register_with_unit(
            "search_vectors",
            "Memory that the vectors of search indexes take",
            Unit::Bytes,
            vectors_bytes.clone(),
        );
        let vector_events = Family::default();
        registry.register(
            "search_vector_events",
            "Vectors made, batches and passages that failed, and projects refused for a full queue",
            vector_events.clone(),
        );
        let quota_refusals = SometimesCounted::default();
        registry.register(
            "quota_refusals",
            "Changes refused, since a project would have passed its quota",
            quota_refusals.clone(),
        );
        let mut always = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let connections = always("http_connections", "Connections of clients");
        let streams = always("streams_open", "Streams that stand open");
        let sessions = always("sessions_cached", "Sessions that this replica remembers");
        let events_waiting = always("events_waiting", "Events that wait to be kept");
        let mut sometimes = |name: &str, help: &str| {
            let gauge = Sometimes::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        Self {
            uptime,
            resident,
            connections,
            streams,
            sessions,
            events_waiting,
            database_up: sometimes("db_up", "Whether the database answers"),
            pool,
            pool_max: sometimes("db_connections_max", "The most connections to the database"),
            pool_waiting: sometimes("db_waiting", "Requests that wait for a connection to the database"),
            redis_up: sometimes("redis_up", "Whether Redis answers"),
            redis_breaker: sometimes("redis_breaker_open", "Whether Redis is given a rest after failures"),
            redis_calls,
            index_bytes,
            index_max_bytes,
            index_projects: sometimes("search_index_projects", "Projects that the search index holds"),
            index_building: sometimes(
                "search_index_building",
                "Search indexes being built or brought up to date",
            ),
            index_events,
            index_refusals,
            quota_refusals,
            documents_not_indexed: sometimes(
                "documents_not_indexed",
                "Documents without a full-text search vector when the last round ended, at most 10,000",
            ),
            vectors: sometimes("search_vectors_in_memory", "Vectors that search indexes hold"),
            vectors_bytes,
            vectors_waiting: sometimes("search_vectors_waiting", "Passages that wait for their vector"),
            vector_events,
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
            self.database_up.set(i64::from(up));
        }
        if let Some(pool) = reading.storage.pool {
            self.pool.get_or_create(&State { state: "in_use" }).set(number(pool.in_use));
            self.pool.get_or_create(&State { state: "idle" }).set(number(pool.idle));
            self.pool_max.set(number(pool.max));
            self.pool_waiting.set(number(pool.waiting));
        }
        if let Some(index) = reading.storage.index {
            self.index_bytes.set(i64::try_from(index.bytes).unwrap_or(i64::MAX));
            self.index_max_bytes.set(i64::try_from(index.max_bytes).unwrap_or(i64::MAX));
            self.index_projects.set(number(index.projects));
            self.index_building.set(number(index.building));
            for (event, count) in [("built", index.built), ("evicted", index.evicted)] {
                let counter = self.index_events.get_or_create(&Event { event });
                counter.inner().fetch_max(count, Ordering::Relaxed);
            }
            for (reason, count) in [
                ("building", index.answered_building),
                ("too_large", index.refused_too_large),
                ("busy", index.refused_busy),
            ] {
                let counter = self.index_refusals.get_or_create(&Reason { reason });
                counter.inner().fetch_max(count, Ordering::Relaxed);
            }
        }
        if let Some(vectors) = reading.storage.vectors {
            self.vectors.set(number(vectors.in_memory));
            self.vectors_bytes.set(i64::try_from(vectors.bytes).unwrap_or(i64::MAX));
            self.vectors_waiting.set(i64::try_from(vectors.waiting).unwrap_or(i64::MAX));
            for (event, count) in
                [("made", vectors.made), ("failed", vectors.failed), ("refused", vectors.refused)]
            {
                let counter = self.vector_events.get_or_create(&Event { event });
                counter.inner().fetch_max(count, Ordering::Relaxed);
            }
        }
        if let Some(count) = reading.documents_not_indexed {
            self.documents_not_indexed.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        if let Some(count) = reading.storage.quota_refusals {
            self.quota_refusals.set(count);
        }
        if let Some((up, state)) = reading.redis {
            self.redis_up.set(i64::from(up));
            self.redis_breaker.set(i64::from(state.is_open));
            for (result, count) in [("ok", state.ok), ("failed", state.failed), ("skipped", state.skipped)] {
                let counter = self.redis_calls.get_or_create(&Result_ { result });
                counter.inner().fetch_max(count, Ordering::Relaxed);
            }
        }
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The second number of `/proc/self/statm` is the number of resident pages; other systems have none.
fn resident_bytes() -> Option<u64> {
    /// Linux's default page size.
    const PAGE: u64 = 4096;
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE)
}
