//! Campaigns: random runs against real servers that find what single tests do not.
//!
//! `canary` plants unguessable words in two projects and searches every byte of every answer for them. `faults` kills
//! servers, PostgreSQL and Redis under load and checks all writes. `consistency` records the calls of many clients while servers and
//! their connections fail, and looks for one order that explains all replies. A normal test run includes short ones;
//! `scripts/campaign` runs long ones. A failure names the seed and the call.

#[cfg(test)]
mod canary;
#[cfg(test)]
mod consistency;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod harness;
