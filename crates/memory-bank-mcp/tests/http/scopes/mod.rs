//! A key can do only what its scopes allow, on a folder and on PostgreSQL: without `read` no reply shows the bank, and
//! stored replies are replayed only to keys that may see them.

mod methods_and_routes;
mod removed_text;
mod replay_and_streams;
mod scoped_client;
mod tool_replies;
