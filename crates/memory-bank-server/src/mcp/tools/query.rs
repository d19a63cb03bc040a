//! The query of a search: its words, and its vector if an embedder is set.

use memory_bank_core::search::{DenseCount, Query, QueryError, VectorGap, clip};

use crate::mcp::tools::reply::Failure;
use crate::mcp::tools::tool::Call;

pub(crate) fn parse_query(text: &str) -> Result<Query, Failure> {
    Query::parse(text).map_err(|error| match error {
        QueryError::Blank => Failure::message(error.to_string()),
        other => Failure::Malformed(format!("`query`: {other}")),
    })
}

/// Whether the meaning of a query counted beside its words.
pub(crate) enum Meaning {
    /// The query has a vector.
    Embedded,
    /// The reason without a vector.
    Failed(String),
}

impl Meaning {
    /// The text in the reply.
    pub(crate) fn text(&self, made: Option<DenseCount>) -> String {
        if let Self::Failed(why) = self {
            return format!("not used: {}", clip(why, 0, 200));
        }
        let Some(DenseCount { vectors, passages, gap, .. }) = made else {
            return "not used: no vectors are made yet".to_owned();
        };
        match gap {
            Some(VectorGap::TooManyPassages) => {
                "not used: the bank has more passages than are searched by meaning".to_owned()
            }
            Some(VectorGap::NoMemory) if vectors == 0 => {
                "not used: the memory for search has no room for vectors".to_owned()
            }
            Some(VectorGap::NoMemory) if vectors < passages => {
                format!(
                    "used for {vectors} of {passages} passages; the memory for search has no room for the others"
                )
            }
            None if vectors == 0 && passages > 0 => "not used: no vectors are made yet".to_owned(),
            None if vectors < passages => {
                format!("used for {vectors} of {passages} passages; the others have no vector yet")
            }
            _ => "used".to_owned(),
        }
    }
}

/// Computes the vector of a query, if an embedder is set. After a failure or a time-out only words are searched.
pub(crate) async fn with_meaning(call: &Call, query: Query) -> (Query, Option<Meaning>) {
    let Some(embedder) = &call.services.embedder else { return (query, None) };
    let wait = embedder.query_wait();
    match tokio::time::timeout(wait, embedder.query(query.text())).await {
        Ok(Ok(vector)) => (query.with_meaning(vector), Some(Meaning::Embedded)),
        Ok(Err(error)) => (query, Some(Meaning::Failed(error.to_string()))),
        Err(_) => {
            let why = format!("the model did not answer in {} ms", wait.as_millis());
            (query, Some(Meaning::Failed(why)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_reports_how_many_passages_have_vectors() {
        let made = |vectors, passages, gap| Some(DenseCount { vectors, passages, gap, bytes: 0 });
        let text = |made| Meaning::Embedded.text(made);
        for none in [None, made(0, 5, None)] {
            assert_eq!(text(none), "not used: no vectors are made yet");
        }
        assert_eq!(text(made(5, 5, None)), "used");
        assert!(
            text(made(2, 5, None)).starts_with("used for 2 of 5 passages; the others have no vector yet")
        );
        assert!(
            text(made(0, 0, Some(VectorGap::TooManyPassages))).starts_with("not used: the bank has more")
        );
        assert!(text(made(0, 5, Some(VectorGap::NoMemory))).starts_with("not used: the memory"));
        assert!(text(made(2, 5, Some(VectorGap::NoMemory))).ends_with("no room for the others"));
        let failed = Meaning::Failed("the service answers 500".to_owned());
        assert_eq!(failed.text(made(5, 5, None)), "not used: the service answers 500");
    }
}
