//! MCP over Streamable HTTP, for many users and projects: authentication, rate limits and sessions.
//!
//! A request passes these layers, from outside in: `edge` (id, host and origin, headers), `admission` (key, limits),
//! then `mcp` or `keys`. Architecture invariant: nothing here knows a tool, and nothing here keeps state that another
//! replica needs.

mod accept;
mod addresses;
mod admission;
mod answers;
mod auth;
mod calls;
mod config;
mod connection;
mod connection_registry;
mod edge;
mod event_bounds;
mod events;
mod forwarded;
mod guard;
mod health;
mod keys;
mod live;
mod mcp;
mod metrics;
mod openapi;
mod origin;
mod panics;
mod patience;
mod pinned;
mod redis;
mod reply;
mod reply_budget;
mod requested_tools;
mod router;
mod server;
mod sessions;
mod shared;
mod shared_lists;
mod signals;
mod streams;
mod text_index;

pub use auth::{CacheAnswer, CacheTime, CachedKey, KeyCache};
pub use config::HttpConfig;
pub use keys::DEFAULT_RATE_LIMIT;
pub use metrics::{IndexState, PoolState, StorageState, VectorState};
pub use pinned::PinnedWorkspace;
pub use redis::{Redis, RedisError, RedisFacts, RedisFault};
pub use server::{Parts, Server};
pub use shared::{Absent, Health, Probe, ReadStorage};
