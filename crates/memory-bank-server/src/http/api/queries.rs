//! The queries and bodies of requests to `/api/v1`.

use memory_bank_core::limits;
use memory_bank_core::unicode::has_null;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::http::history::bodies::{filled, filled_text};

/// The most items of a page.
const MOST_LISTED: u32 = 1000;
/// The most results of a page.
const MOST_FOUND: u32 = 100;
/// The longest query, in characters, each of which has at most four bytes.
const LONGEST: usize = limits::QUERY_BYTES / 4;

/// Which documents are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
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
        Err(D::Error::custom("a page has 1 to 1000 items"))
    }
}

/// Of which days calls are shown.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListCalls {
    /// How many days, up to now; 7 when absent.
    #[serde(deserialize_with = "days")]
    #[param(minimum = 1, maximum = 400)]
    pub(super) days: u32,
}

impl Default for ListCalls {
    fn default() -> Self {
        Self { days: 7 }
    }
}

fn days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = u32::deserialize(deserializer)?;
    if (1..=400).contains(&number) { Ok(number) } else { Err(D::Error::custom("1 to 400 days are shown")) }
}

/// Which document is read.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct ReadDocument {
    /// Its name, with its folders.
    #[serde(deserialize_with = "filled_text")]
    #[param(min_length = 1)]
    pub(super) filename: String,
    /// The document as it was at this time; a day is accepted, too, and means its end.
    #[serde(default, deserialize_with = "filled")]
    #[param(format = DateTime)]
    pub(super) as_of: Option<String>,
}

/// Which name is checked.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CheckName {
    /// The name, with its folders.
    #[serde(deserialize_with = "filled_text")]
    #[param(min_length = 1)]
    pub(super) filename: String,
}

/// Which document is deleted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteDocument {
    /// Its name, with its folders.
    #[serde(deserialize_with = "filled_text")]
    #[param(min_length = 1)]
    pub(super) filename: String,
    /// The etag of its text, as reading it shows it.
    #[serde(deserialize_with = "filled_text")]
    #[param(min_length = 1)]
    pub(super) etag: String,
}

/// Which document gets another name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenameDocument {
    /// Its name, with its folders.
    #[serde(deserialize_with = "filled_text")]
    #[schema(min_length = 1)]
    pub(super) filename: String,
    /// The new name, with its folders.
    #[serde(deserialize_with = "filled_text")]
    #[schema(min_length = 1)]
    pub(super) to: String,
    /// The etag of its text, as reading it shows it.
    #[serde(deserialize_with = "filled_text")]
    #[schema(min_length = 1)]
    pub(super) etag: String,
}

/// The origins of which document are shown.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BlameDocument {
    /// Its name, with its folders.
    #[serde(deserialize_with = "filled_text")]
    #[param(min_length = 1)]
    pub(super) filename: String,
    /// The `nextCursor` of the page before.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    pub(super) cursor: Option<String>,
}

/// Whose changes are taken back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct UndoChanges {
    /// The id of a session, or the name of a user; a user needs `since`.
    #[serde(deserialize_with = "name_of_user")]
    #[schema(min_length = 1, max_length = 255)]
    pub(super) by: String,
    /// Only changes of this time or later; a day is accepted, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub(super) since: Option<String>,
    /// Only changes before this time; a day is accepted, too, and included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub(super) until: Option<String>,
    /// Only changes of this document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) filename: Option<String>,
    /// Only changes of this entity of the graph: its name or id. Not with `filename`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) entity: Option<String>,
    /// Whether nothing is undone if something must stay.
    #[serde(default)]
    pub(super) all_or_nothing: bool,
    /// Whether the reply only shows what would be undone.
    #[serde(default)]
    pub(super) dry_run: bool,
    /// With `dryRun`: whether it shows what would change in the texts of documents.
    #[serde(default)]
    pub(super) with_diff: bool,
}

fn name_of_user<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = filled_text(deserializer)?;
    if name.len() > limits::USER_NAME_BYTES || has_null(&name) {
        return Err(D::Error::custom(
            "`by` is the id of a session or the name of a user, of at most 255 bytes",
        ));
    }
    Ok(name)
}

/// Which entity is opened.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct OpenEntity {
    /// Its name or id.
    #[serde(deserialize_with = "filled_text")]
    #[param(min_length = 1)]
    pub(super) name: String,
    /// Whether facts are shown that have ended.
    #[serde(default)]
    pub(super) include_ended: bool,
    /// The time whose knowledge is asked for; a day is accepted, too, and means its end.
    #[serde(default, deserialize_with = "filled")]
    #[param(format = DateTime)]
    pub(super) as_of: Option<String>,
}

/// Which entity documents point to.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FindMentions {
    /// Its name or id.
    #[serde(deserialize_with = "filled_text")]
    #[param(min_length = 1)]
    pub(super) name: String,
    /// The most documents; 50 when absent.
    #[serde(default, deserialize_with = "found")]
    #[param(minimum = 1, maximum = 100)]
    pub(super) limit: Option<u32>,
}

/// A fact to record.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct RecordObservation {
    /// The entity that it is about: its name or id, or its name with its type, as in `name [type]`.
    #[serde(deserialize_with = "filled_text")]
    #[schema(min_length = 1)]
    pub(super) entity: String,
    /// The fact.
    #[serde(deserialize_with = "filled_text")]
    #[schema(min_length = 1)]
    pub(super) text: String,
    /// The facts of the entity that it replaces: their ids, or their exact texts.
    #[serde(default)]
    pub(super) supersedes: Vec<String>,
    /// From when on it holds; a time or a day.
    #[serde(default)]
    pub(super) valid_from: Option<String>,
    /// Until when it holds; a day is included.
    #[serde(default)]
    pub(super) valid_until: Option<String>,
    /// After this time or day nobody should rely on it.
    #[serde(default)]
    pub(super) expires_at: Option<String>,
}

/// Which fact is ended.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EndObservation {
    /// The entity that it is about: its name or id.
    #[serde(deserialize_with = "filled_text")]
    #[param(min_length = 1)]
    pub(super) entity: String,
    /// The id of the fact.
    #[serde(deserialize_with = "filled_text")]
    #[param(min_length = 1)]
    pub(super) id: String,
}

/// Which digest is shown.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct ReadDigest {
    /// Whether decisions are shown that have ended.
    pub(super) include_ended: bool,
    /// The digest of what was known at this time; a day is accepted, too, and means its end.
    #[serde(deserialize_with = "filled")]
    #[param(format = DateTime)]
    pub(super) as_of: Option<String>,
}

/// Which picture of the graph is drawn.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct DrawGraph {
    /// The graph as it was at this time; a day is accepted, too.
    #[serde(deserialize_with = "filled")]
    #[param(format = DateTime)]
    pub(super) as_of: Option<String>,
    /// Only the cluster that contains the entity of this id.
    #[serde(deserialize_with = "filled")]
    #[param(min_length = 1)]
    pub(super) cluster: Option<String>,
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
#[serde(deny_unknown_fields, rename_all = "camelCase")]
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
    pub(super) include_ended: bool,
    /// The time whose knowledge is asked for; a day is accepted, too, and means its end.
    #[serde(default, deserialize_with = "filled")]
    #[param(format = DateTime)]
    pub(super) as_of: Option<String>,
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

/// A page of the working sessions.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListSessions {
    /// The `nextCursor` of the page before.
    #[serde(deserialize_with = "filled")]
    #[param(min_length = 1)]
    pub(super) cursor: Option<String>,
}

/// A page of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListPage {
    /// The largest number of items; 100 when absent.
    #[serde(deserialize_with = "listed")]
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<u32>,
    /// The `nextCursor` of the page before.
    #[serde(deserialize_with = "filled")]
    #[param(min_length = 1)]
    pub(super) cursor: Option<String>,
}

/// Which keys are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct ListMemberKeys {
    /// Whether revoked and expired keys are listed, too.
    pub(super) include_revoked: bool,
    /// The largest number of keys; 100 when absent.
    #[serde(deserialize_with = "listed")]
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<u32>,
    /// The `nextCursor` of the page before.
    #[serde(deserialize_with = "filled")]
    #[param(min_length = 1)]
    pub(super) cursor: Option<String>,
}

/// Which member is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct NamedMember {
    /// The name of the user.
    #[serde(deserialize_with = "filled_text")]
    #[param(min_length = 1)]
    pub(super) name: String,
}

/// Which key or grant is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WithId {
    /// Its id.
    pub(super) id: Uuid,
}
