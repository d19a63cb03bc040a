//! Explains why an API key is rejected. The key is never printed, and never an argument, which the list of processes
//! shows.

use std::io::Read;

use anyhow::Context;
use memory_bank_core::clock::{Clock, SystemClock, iso_millis};
use memory_bank_core::identity::{KeyDirectory, PlainKey};

use crate::cli::doctor::findings::Findings;

/// The most bytes that are read; every key is shorter.
const INPUT_BYTES: u64 = 4096;

/// Reads the key from a file, or with `-` from standard input.
pub(crate) fn read(from: &str) -> anyhow::Result<String> {
    let mut key = String::new();
    if from == "-" {
        let input = std::io::stdin().lock();
        input.take(INPUT_BYTES).read_to_string(&mut key).context("no key on standard input")?;
    } else {
        let file = std::fs::File::open(from).with_context(|| format!("`{from}` cannot be read"))?;
        file.take(INPUT_BYTES)
            .read_to_string(&mut key)
            .with_context(|| format!("`{from}` cannot be read"))?;
    }
    Ok(key.trim().to_owned())
}

/// Checks whether a key is valid, and reports why not.
pub(crate) async fn check(directory: &dyn KeyDirectory, key: &str, findings: &mut Findings) {
    let name = "key";
    let Ok(parsed) = key.parse::<PlainKey>() else {
        return findings.error(
            name,
            "this is not a key: a key begins with `mbmcp_live_` or `mbmcp_test_`, followed by letters and digits",
            "copy the whole key again, without quotation marks",
        );
    };
    let identity = match directory.find(&parsed.hash()).await {
        Ok(identity) => identity,
        Err(error) => {
            return findings.error(
                name,
                format!("it could not be looked up: {error}"),
                "repair the database first",
            );
        }
    };
    let Some(identity) = identity else {
        return findings.error(
            name,
            "it is unknown, or its user is no longer a member of its project",
            "check whether it belongs to another database, and `members list`; `keys create` creates a new one",
        );
    };
    if let Some(at) = identity.revoked_at {
        return findings.error(
            name,
            format!("it was revoked at {}", iso_millis(at)),
            "create a new one with `keys create`",
        );
    }
    match identity.expires_at {
        Some(at) if at <= SystemClock.now() => {
            findings.error(
                name,
                format!("it expired at {}", iso_millis(at)),
                "create a new one with `keys rotate`",
            );
        }
        until => {
            let caller = &identity.caller;
            let until = until
                .map_or_else(|| "does not expire".to_owned(), |at| format!("expires at {}", iso_millis(at)));
            let limit = match identity.rate_limit {
                0 => "any number of requests".to_owned(),
                limit => format!("{limit} requests per minute"),
            };
            findings.ok(
                name,
                format!("it is valid: {} `{}`, {limit}, {until}", caller.role.as_str(), caller.user_name),
            );
        }
    }
}
