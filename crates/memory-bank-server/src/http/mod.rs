//! MCP over Streamable HTTP, for many users and projects: authentication, rate limits and sessions.
//!
//! A request passes these layers, from outside in: `request_log` (id, host and origin, headers), `admission` (key,
//! limits), then `mcp` or `keys`. Architecture invariant: nothing here knows a tool (`mcp::tools` is private; the rest
//! of a message's meaning is in `mcp::message`), and nothing here keeps state that another replica needs.

mod accept;
mod addresses;
mod admission;
mod api;
mod auth;
mod body;
mod call_counters;
mod call_outcome;
mod client_address;
mod config;
mod connection;
mod connection_registry;
mod connection_timeouts;
mod console;
mod content_type;
mod direct_call;
mod etag;
mod event_bounds;
mod events;
mod forwarded;
mod health;
mod history;
mod history_retention;
mod in_flight;
mod incoming;
mod invalidation;
mod keys;
mod local_console;
mod mcp;
mod metrics;
mod notification_stream;
mod oauth;
mod openapi;
mod origin;
mod pinned_workspace;
mod probe;
mod protocol;
mod redis;
mod reply;
mod reply_budget;
mod request_context;
mod request_id;
mod request_log;
mod requested_tools;
mod rest_request;
mod router;
mod routes;
mod server;
mod session_requests;
mod sessions;
mod shared;
mod shared_lists;
mod sse;
mod sse_reply;
mod store_fault;
mod streamed_reply;
mod text_index;
mod unavailable;
mod unread_body;

pub use auth::{CacheAnswer, CacheTime, CachedKey, KeyCache};
pub use config::HttpConfig;
pub use history_retention::HistoryCleanUp;
pub use local_console::LocalConsole;
pub use memory_bank_core::identity::DEFAULT_RATE_LIMIT;
pub use metrics::{PoolState, StandbyState, StorageState, VectorState};
pub use oauth::{
    IssuerFacts, IssuerSettings, OpenIdSettings, OwnAddressFault, inspect_public_url, is_redirect_uri,
};
pub use pinned_workspace::PinnedWorkspace;
pub use probe::{Absent, Health, Probe};
pub use redis::{Redis, RedisError, RedisFacts, RedisFault};
pub use server::{Parts, Server};
pub use shared::ReadStorage;
pub use streamed_reply::response_in_events;
