//! Checks search by meaning: whether the model answers, and how many passages have a vector.

use std::time::{Duration, Instant};

use memory_bank_core::error::StoreError;
use memory_bank_core::search::{Embedder, ModelId};
use memory_bank_postgres::{Database, StoredVectors};

use crate::cli::doctor::findings::Findings;
use crate::cli::index;
use crate::cli::options::GlobalOptions;
use crate::embedder;

/// Time-out of the query that measures the speed of the model.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Checks the model, and returns it if it can be used.
pub(crate) async fn check(findings: &mut Findings) -> Option<ModelId> {
    let embedder = match embedder::open() {
        Ok(None) => return None,
        Ok(Some(embedder)) => embedder,
        Err(error) => {
            let advice =
                "correct the variable, or put the model's files into that folder (docs/embeddings.md)";
            findings.error("embeddings", format!("{:#}", error.into_error()), advice);
            return None;
        }
    };
    let model = match index::model(&*embedder).await {
        Ok(model) => model,
        Err(error) => {
            findings.error(
                "embeddings",
                format!("{error:#}"),
                "check that the service runs, and its model and key; or use another folder. Until then, search is by words only",
            );
            return None;
        }
    };
    findings.ok("embeddings", format!("`{}` answers, with {} values", model.name(), model.dimension()));
    check_speed(&*embedder, findings).await;
    Some(model)
}

async fn check_speed(embedder: &dyn Embedder, findings: &mut Findings) {
    let started = Instant::now();
    let reply = tokio::time::timeout(QUERY_TIMEOUT, embedder.query("how fast is it")).await;
    let took = started.elapsed();
    // A search does not wait longer for its vector.
    let wait = embedder.query_wait();
    let advice = "use a smaller model or a nearer service; until then, search is by words only";
    match reply {
        Ok(Ok(_)) if took <= wait => {
            findings.ok("embeddings.speed", format!("a query took {} ms", took.as_millis()));
        }
        Ok(Err(error)) => findings.warning("embeddings.speed", error.to_string(), advice),
        _ => findings.warning(
            "embeddings.speed",
            format!("a query took {} ms; a search waits {} ms", took.as_millis(), wait.as_millis()),
            advice,
        ),
    }
}

/// Checks the vectors of the folder's bank.
pub(crate) async fn check_folder_vectors(global: &GlobalOptions, model: &ModelId, findings: &mut Findings) {
    let status = match index::folder_status(global, model).await {
        Ok(Some(status)) => status,
        // The check of the folder reports a missing bank.
        Ok(None) => return,
        Err(error) => {
            return findings.warning(
                "embeddings.vectors",
                format!("{error:#}"),
                "`memory-bank-mcp index --status`",
            );
        }
    };
    let (made, all) = (status.count.vectors, status.count.passages);
    let mut message = format!("{made} of {all} passages have a vector");
    if status.is_another_model {
        message += "; the file has the vectors of another model, which are replaced";
    }
    if status.stale > 0 {
        message += &format!("; {} vectors are of deleted texts", status.stale);
    }
    match made == all {
        true => findings.ok("embeddings.vectors", message),
        false => findings.warning(
            "embeddings.vectors",
            message,
            "the server makes the missing vectors when the bank is searched; `memory-bank-mcp index --rebuild` makes all of them now",
        ),
    }
}

/// Checks the vectors of the database, if the login role may count them.
pub(crate) async fn check_database_vectors(database: &Database, model: &ModelId, findings: &mut Findings) {
    let stored = match database.stored_vectors().await {
        Ok(stored) => stored,
        Err(StoreError::Denied) => {
            return findings.ok(
                "embeddings.vectors",
                "only the schema's owner may count them: `memory-bank-mcp index --status`",
            );
        }
        Err(error) => {
            return findings.warning(
                "embeddings.vectors",
                error.to_string(),
                "run the scripts in migrations/ again",
            );
        }
    };
    let is_current = |row: &&StoredVectors| Database::model_key(model) == row.model_key;
    let count = |current: bool| {
        let rows = stored.iter().filter(|row| is_current(row) == current);
        rows.fold((0_usize, 0_i64), |(projects, vectors), row| (projects + 1, vectors + row.vectors))
    };
    let ((projects, made), (_, stale)) = (count(true), count(false));
    let mut message = format!("{made} vectors of {projects} projects");
    if stale > 0 {
        message += &format!("; {stale} of other models, which are deleted after a time without use");
    }
    findings.ok("embeddings.vectors", message);
}
