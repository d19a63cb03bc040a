//! MCP over Streamable HTTP, for many users and projects: authentication, rate limits and sessions.
//!
//! A request passes these layers, from outside in: `edge` (id, host and origin, headers), `admission` (key, limits),
//! then `mcp` or `keys`. Architecture invariant: nothing here knows a tool, and nothing here keeps state that another
//! replica needs.

mod accept;
mod addresses;
mod admission;
mod auth;
mod config;
mod connection;
mod connection_registry;
mod connection_timeouts;
mod event_bounds;
mod events;
mod forwarded;
mod guard;
mod health;
mod in_flight;
mod invalidation;
mod keys;
mod mcp;
mod metrics;
mod notification_stream;
mod openapi;
mod origin;
mod panics;
mod pinned_workspace;
mod redis;
mod reply;
mod reply_budget;
mod request_log;
mod requested_tools;
mod router;
mod server;
mod sessions;
mod shared;
mod shared_lists;
mod sse;
mod sse_reply;
mod text_index;

pub use auth::{CacheAnswer, CacheTime, CachedKey, KeyCache};
pub use config::HttpConfig;
pub use keys::DEFAULT_RATE_LIMIT;
pub use metrics::{PoolState, StorageState, VectorState};
pub use pinned_workspace::PinnedWorkspace;
pub use redis::{Redis, RedisError, RedisFacts, RedisFault};
pub use server::{Parts, Server};
pub use shared::{Absent, Health, Probe, ReadStorage};
