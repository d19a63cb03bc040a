//! Campaigns: long random runs against real servers that look for what no single test thought of.
//!
//! `canary` plants unguessable words in two projects and looks for them in every byte that anybody else gets; `faults`
//! kills servers, PostgreSQL and Redis under load and counts the writes. Both are short when all tests run, and long by
//! `scripts/campaign`. A failure names the seed and the call.

#[cfg(test)]
mod canary;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod harness;
