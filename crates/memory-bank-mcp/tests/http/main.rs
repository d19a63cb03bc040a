//! The binary as a server of HTTP, driven over real sockets.

#[cfg(test)]
mod as_clients_speak;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod client;
#[cfg(test)]
mod database;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod emptied;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod load;
#[cfg(test)]
mod meaning;
#[cfg(test)]
mod memory_limit;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod planted;
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
mod replay;
#[cfg(test)]
mod replica_set;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod replies;
#[cfg(test)]
mod round_trips;
#[cfg(test)]
mod scopes;
#[cfg(test)]
mod server_login;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod shells;
#[cfg(test)]
mod start;
#[cfg(test)]
mod storage_bounds;
#[cfg(test)]
mod supabase_route;
#[cfg(test)]
mod toolsets;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod transfer;
#[cfg(test)]
mod transfer_process;
#[cfg(test)]
mod version;
#[cfg(test)]
mod void_keys;
