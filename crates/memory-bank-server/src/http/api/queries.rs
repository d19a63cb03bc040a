//! The queries and bodies of requests to `/api/v1`.

use memory_bank_core::limits;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};

use crate::http::history::bodies::{filled, filled_text};

/// The most documents of a page.
const MOST_LISTED: u32 = 1000;
/// The most results of a page.
const MOST_FOUND: u32 = 100;
/// The longest query, in characters, each of which has at most four bytes.
const LONGEST: usize = limits::QUERY_BYTES / 4;

/// Which documents are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListDocuments {
    /// The largest number of documents; 500 when absent.
    #[serde(deserialize_with = "listed")]
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<u32>,
    /// The `nextCursor` of the page before.
    #[serde(deserialize_with = "filled")]
    #[param(min_length = 1)]
    pub(super) cursor: Option<String>,
}

fn listed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let number = u32::deserialize(deserializer)?;
    if (1..=MOST_LISTED).contains(&number) {
        Ok(Some(number))
    } else {
        Err(D::Error::custom("there are 1 to 1000 documents on a page"))
    }
}

/// Which document is read.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReadDocument {
    /// Its name, with its folders.
    #[serde(deserialize_with = "filled_text")]
    #[param(min_length = 1)]
    pub(super) filename: String,
}

/// Which entity is opened.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OpenEntity {
    /// Its name or id.
    #[serde(deserialize_with = "filled_text")]
    #[param(min_length = 1)]
    pub(super) name: String,
    /// Whether facts are shown that have ended.
    #[serde(default)]
    pub(super) ended: bool,
}

/// A text to store.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteDocument {
    pub(super) text: String,
    /// Of the document that it replaces; without one, the document must not exist.
    #[serde(default, deserialize_with = "filled_or_null")]
    #[schema(min_length = 1)]
    pub(super) etag: Option<String>,
}

fn filled_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let etag = Option::<String>::deserialize(deserializer)?;
    if etag.as_deref() == Some("") { Err(D::Error::custom("`etag` is empty")) } else { Ok(etag) }
}

/// What is searched for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchDocuments {
    /// Words in any order; phrases in quotation marks.
    #[serde(deserialize_with = "query_text")]
    #[param(max_length = 1024)]
    pub(super) query: String,
    /// The largest number of results; 20 when absent.
    #[serde(default, deserialize_with = "found")]
    #[param(minimum = 1, maximum = 100)]
    pub(super) limit: Option<u32>,
    /// The `nextCursor` of the page before.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    pub(super) cursor: Option<String>,
    /// Whether entries are found that have ended.
    #[serde(default)]
    pub(super) ended: bool,
}

fn query_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.chars().count() <= LONGEST { Ok(text) } else { Err(D::Error::custom("it is too long")) }
}

fn found<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let number = u32::deserialize(deserializer)?;
    if (1..=MOST_FOUND).contains(&number) {
        Ok(Some(number))
    } else {
        Err(D::Error::custom("there are 1 to 100 results on a page"))
    }
}
