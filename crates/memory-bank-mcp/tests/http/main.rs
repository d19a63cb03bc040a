//! The binary as a server of HTTP, driven over real sockets.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod agent_files;
#[cfg(test)]
mod as_of;
mod as_of_together;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod browse;
#[cfg(test)]
mod browse_facts;
#[cfg(test)]
mod browse_terminal;
#[cfg(test)]
mod busy;
#[cfg(test)]
mod caller_identity;
#[cfg(test)]
mod client;
#[cfg(test)]
mod client_compatibility;
#[cfg(test)]
mod dashboard_and_alerts;
#[cfg(test)]
mod database;
#[cfg(test)]
mod database_outage;
#[cfg(test)]
mod dense_search;
#[cfg(test)]
mod dependency_failures;
#[cfg(test)]
mod digest_news;
#[cfg(test)]
mod direct_calls;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod history;
#[cfg(test)]
mod history_erased;
#[cfg(test)]
mod history_killed;
#[cfg(test)]
mod history_names;
#[cfg(test)]
mod history_transfer;
#[cfg(test)]
mod hostile_project_files;
#[cfg(test)]
mod hosts_and_origins;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod leased_requests;
#[cfg(test)]
mod maintenance;
#[cfg(test)]
mod memory_file;
#[cfg(test)]
mod memory_limit;
#[cfg(test)]
mod mentions;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod oauth;
#[cfg(test)]
mod process;
#[cfg(test)]
mod prompts;
#[cfg(test)]
mod rate_limits;
#[cfg(test)]
mod recall;
#[cfg(test)]
mod redis;
#[cfg(test)]
mod redis_groups;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod replica_set;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod reply_size;
#[cfg(test)]
mod request_bodies;
#[cfg(test)]
mod request_framing;
#[cfg(test)]
mod revoked_keys;
#[cfg(test)]
mod round_trips;
#[cfg(test)]
mod schema_removed;
#[cfg(test)]
mod scopes;
#[cfg(test)]
mod server_login;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod shell_completions;
#[cfg(test)]
mod startup_and_shutdown;
#[cfg(test)]
mod storage_bounds;
#[cfg(test)]
mod supabase_connection;
#[cfg(test)]
mod toolsets;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod transfer;
#[cfg(test)]
mod transfer_process;
#[cfg(test)]
mod unread_replies;
#[cfg(test)]
mod version;
#[cfg(test)]
mod working_sessions;
#[cfg(test)]
mod write_load;
