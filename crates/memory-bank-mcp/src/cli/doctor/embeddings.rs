//! Search by meaning: the model is there and answers, and how far the vectors are.

use std::time::{Duration, Instant};

use memory_bank_core::error::StoreError;
use memory_bank_core::search::{Embedder, ModelId};
use memory_bank_postgres::{Database, StoredVectors};

use crate::cli::doctor::findings::Findings;
use crate::cli::index;
use crate::cli::options::GlobalOptions;
use crate::embedder;

/// The longest that a query is waited for.
const QUERY_WAIT: Duration = Duration::from_secs(10);

/// Looks at the model; gives it if it can be used.
pub(crate) async fn check(findings: &mut Findings) -> Option<ModelId> {
    let embedder = match embedder::open() {
        Ok(None) => return None,
        Ok(Some(embedder)) => embedder,
        Err(error) => {
            let advice = "correct the variable, or put the model's files there (docs/embeddings.md)";
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
                "see whether the service runs, its model and key; or take another folder. Until then search is by words",
            );
            return None;
        }
    };
    findings.ok("embeddings", format!("`{}` answers, with {} values", model.name(), model.dimension()));
    speed(&*embedder, findings).await;
    Some(model)
}

async fn speed(embedder: &dyn Embedder, findings: &mut Findings) {
    let began = Instant::now();
    let answer = tokio::time::timeout(QUERY_WAIT, embedder.query("how fast is it")).await;
    let took = began.elapsed();
    // A vector that takes longer comes too late for its search.
    let wait = embedder.query_wait();
    let advice = "take a smaller model or a nearer service: searches go on by words alone";
    match answer {
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

/// Looks at the vectors of the folder's bank.
pub(crate) async fn of_folder(global: &GlobalOptions, model: &ModelId, findings: &mut Findings) {
    let status = match index::status_of(global, model).await {
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
        message += "; the file is another model's, and is made anew";
    }
    if status.stale > 0 {
        message += &format!("; {} vectors are of texts that are gone", status.stale);
    }
    match made == all {
        true => findings.ok("embeddings.vectors", message),
        false => findings.warning(
            "embeddings.vectors",
            message,
            "the server makes the others once the bank is searched; `memory-bank-mcp index --rebuild` makes all now",
        ),
    }
}

/// Looks at the vectors of the database, if its login may.
pub(crate) async fn of_database(database: &Database, model: &ModelId, findings: &mut Findings) {
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
    let is_current = |one: &&StoredVectors| Database::model_key(model) == one.model_key;
    let sum = |current: bool| {
        let of = stored.iter().filter(|one| is_current(one) == current);
        of.fold((0_usize, 0_i64), |(projects, all), one| (projects + 1, all + one.vectors))
    };
    let ((projects, made), (_, stale)) = (sum(true), sum(false));
    let mut message = format!("{made} vectors of {projects} projects");
    if stale > 0 {
        message += &format!("; {stale} of other models, which go when they were not used for a time");
    }
    findings.ok("embeddings.vectors", message);
}
