//! The queries of `/api/history`, and the bodies of its replies.

use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::{DocumentPath, Etag};
use memory_bank_core::graph::history::{GraphChange, GraphItem, Origin, summary};
use memory_bank_core::history::{Version, VersionPage};
use memory_bank_core::limits;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::graph_change_details::{ABOUT_CHARS, ChangeDetails};

/// Which versions are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct ListVersions {
    /// Only of this document.
    #[serde(deserialize_with = "filled")]
    #[param(min_length = 1)]
    pub(super) filename: Option<String>,
    /// With `filename`: whether versions of deleted documents that had the name before are listed, too, with their `documentId`.
    pub(super) include_former: bool,
    /// The changes of this entity of the graph, its observations and its relations instead: its name or id. Not with `filename`.
    #[serde(deserialize_with = "filled")]
    #[param(min_length = 1)]
    pub(super) entity: Option<String>,
    /// The changes of the graph, too, in the order of time. With `filename` or `entity` it has no effect.
    pub(super) include_graph: bool,
    /// Only of this time or later; a day is accepted, too.
    #[serde(deserialize_with = "filled")]
    #[param(format = DateTime)]
    pub(super) since: Option<String>,
    /// Only before this time; a day is accepted, too, and included.
    #[serde(deserialize_with = "filled")]
    #[param(format = DateTime)]
    pub(super) until: Option<String>,
    /// Only of the user of this name, or of the session of this id.
    #[serde(deserialize_with = "filled")]
    #[param(min_length = 1)]
    pub(super) by: Option<String>,
    /// The largest number of versions; 50 when absent.
    #[serde(deserialize_with = "listed")]
    #[param(minimum = 1, maximum = 200)]
    pub(super) limit: Option<u32>,
    /// The `nextCursor` of the page before.
    #[serde(deserialize_with = "filled")]
    #[param(min_length = 1)]
    pub(super) cursor: Option<String>,
}

/// The versions of a page, if the request names no number.
const LISTED: usize = 50;

impl ListVersions {
    /// The most versions of the page.
    pub(super) fn limit(&self) -> usize {
        self.limit.map_or(LISTED, |limit| usize::try_from(limit).unwrap_or(LISTED))
    }
}

/// Which version is shown.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct ShowVersion {
    /// The document; this or `entity` is needed.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    pub(super) filename: Option<String>,
    /// The entity of the graph: its name or id.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    pub(super) entity: Option<String>,
    /// The document of this name that the `documentId` of a listed version means; the one that has the name, or had it last, when absent.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    pub(super) document_id: Option<String>,
    /// The number of the version.
    #[serde(deserialize_with = "counted")]
    #[param(minimum = 1)]
    pub(super) version: u32,
}

/// Which versions are compared.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct DiffVersions {
    /// The document; this or `entity` is needed.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    pub(super) filename: Option<String>,
    /// The entity of the graph: its name or id.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    pub(super) entity: Option<String>,
    /// The document of this name that the `documentId` of a listed version means; the one that has the name, or had it last, when absent.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    pub(super) document_id: Option<String>,
    /// The number of the version.
    #[serde(deserialize_with = "counted")]
    #[param(minimum = 1)]
    pub(super) version: u32,
    /// The number of the other version; the present text when absent.
    #[serde(default, deserialize_with = "counted_if_given")]
    #[param(minimum = 1)]
    pub(super) with: Option<u32>,
}

pub(crate) fn filled_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Err(D::Error::custom("it is empty")) } else { Ok(text) }
}

pub(crate) fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    filled_text(deserializer).map(Some)
}

fn counted<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = u32::deserialize(deserializer)?;
    if number == 0 { Err(D::Error::custom("numbers begin at 1")) } else { Ok(number) }
}

fn counted_if_given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    counted(deserializer).map(Some)
}

fn listed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let number = counted(deserializer)?;
    let is_allowed = usize::try_from(number).is_ok_and(|number| number <= limits::VERSIONS_LISTED);
    if is_allowed { Ok(Some(number)) } else { Err(D::Error::custom("too many")) }
}

/// A version of a document.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionView {
    filename: String,
    /// The document, if the name means another one now: the name that the list is of, or that of the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) document_id: Option<String>,
    /// The name before, of a renaming.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    former_name: Option<String>,
    version: i64,
    #[schema(format = DateTime)]
    at: String,
    /// `created`, `changed`, `renamed`, `deleted`, `restored`, `outside` or `foreign`.
    kind: String,
    /// `true` if the document was deleted by something outside of the server, so that the kind is `outside` or `foreign`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    deleted: Option<bool>,
    /// The name of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    by: Option<String>,
    /// The first characters of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tool: Option<String>,
    /// Of the text after the change; absent after a deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    etag: Option<String>,
    /// The length of that text.
    bytes: u64,
    /// How many bytes the change replaced.
    replaced_bytes: u64,
    /// `true` if the version came with an import or a restore: `by` is then as the source named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    imported: Option<bool>,
    /// `true` if an undo made the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    undo: Option<bool>,
}

impl VersionView {
    /// As a version of this page.
    pub(super) fn in_page(version: &Version, page: &VersionPage) -> Self {
        let document_id = page.needs_document(version).then(|| version.document.clone());
        Self { document_id, ..Self::of(version) }
    }

    pub(super) fn of(version: &Version) -> Self {
        Self {
            filename: version.path.as_str().to_owned(),
            document_id: None,
            former_name: version.former_path.as_ref().map(DocumentPath::as_str).map(str::to_owned),
            version: version.number,
            at: iso_millis(version.at),
            kind: version.kind.as_str().to_owned(),
            deleted: version.is_outside_deletion().then_some(true),
            by: version.author.clone(),
            key: version.key_prefix.clone(),
            session: version.session.clone(),
            tool: version.tool.clone(),
            etag: version.etag.as_ref().map(Etag::as_str).map(str::to_owned),
            bytes: version.bytes,
            replaced_bytes: version.replaced,
            imported: version.imported.then_some(true),
            undo: version.undoes.is_some().then_some(true),
        }
    }
}

/// Versions, newest first.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionList {
    pub(super) versions: Vec<ListedVersion>,
    /// For the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) next_cursor: Option<String>,
}

/// A version with its text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionWithText {
    #[serde(flatten)]
    pub(super) version: VersionView,
    /// `null` if the version is a deletion.
    #[schema(required)]
    pub(super) text: Option<String>,
}

/// The difference of two texts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Difference {
    pub(super) filename: String,
    pub(super) version: u32,
    /// The other version; absent if it is the present text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) with: Option<u32>,
    /// Unified, cut at 262,144 characters; empty if the texts are the same.
    pub(super) diff: String,
}

/// A version in a list: of a document, or of an entity, an observation or a relation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ListedVersion {
    /// Of a document.
    Document(VersionView),
    /// Of the graph.
    Graph(GraphVersionView),
}

/// A change of an entity, an observation or a relation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GraphVersionView {
    /// The name of the entity, or of the source of a relation.
    entity: String,
    /// Its id; an undo takes it as `entity`.
    entity_id: String,
    version: i64,
    #[schema(format = DateTime)]
    at: String,
    /// `created`, `changed` or `deleted`.
    kind: String,
    /// The text of an observation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    observation: Option<String>,
    /// The type of a relation, and the entity that it leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    relation: Option<String>,
    /// The type of an entity, and its attributes.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    entity_type: Option<String>,
    /// The text of the observation that it replaced, if another one did and is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    replaces: Option<String>,
    /// `true` if the change created an entity that has observations or relations now: an undo of this change alone leaves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    in_use: Option<bool>,
    /// Until when an observation holds. One that ends with its own record is how a fact is ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    valid_until: Option<String>,
    /// The name of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    by: Option<String>,
    /// The first characters of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tool: Option<String>,
    /// `true` if the change came with an import or a restore: `by` is then as the source named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    imported: Option<bool>,
    /// `true` if an undo made the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    undo: Option<bool>,
    /// `foreign` if the change came with the folder and nobody here wrote it, `outside` if something outside of the server made it later;
    /// absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    origin: Option<String>,
}

/// Where a change came from, if not from here.
pub(super) fn marked(origin: Origin) -> Option<String> {
    (origin != Origin::Own).then(|| origin.as_str().to_owned())
}

impl GraphVersionView {
    pub(super) fn of(change: &GraphChange, details: &ChangeDetails) -> Self {
        let about = Some(summary(change, ABOUT_CHARS));
        let (observation, relation, entity_type) = match change.item() {
            Some(GraphItem::Observation(_)) => (about, None, None),
            Some(GraphItem::Relation(_)) => (None, about, None),
            _ => (None, None, about),
        };
        let entity = change.entity.as_deref().or_else(|| change.item().map(GraphItem::entity_id));
        Self {
            entity: entity.unwrap_or_default().to_owned(),
            entity_id: change.item().map(GraphItem::entity_id).unwrap_or_default().to_owned(),
            version: change.number,
            at: iso_millis(change.at),
            kind: change.change.as_str().to_owned(),
            observation,
            relation,
            entity_type,
            replaces: details.text_replaced_by(change),
            in_use: details.is_in_use(change).then_some(true),
            valid_until: match change.item() {
                Some(GraphItem::Observation(fact)) => fact.validity().valid_until.clone(),
                _ => None,
            },
            by: change.author.clone(),
            key: change.key_prefix.clone(),
            session: change.session.clone(),
            tool: change.tool.clone(),
            imported: change.imported.then_some(true),
            undo: change.undoes.is_some().then_some(true),
            origin: marked(change.origin),
        }
    }
}

/// A version with its text: of a document, or of an entity.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ShownVersion {
    /// Of a document.
    Document(VersionWithText),
    /// Of an entity.
    Entity(EntityAtVersion),
}

/// An entity as it was after a change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntityAtVersion {
    pub(super) entity: String,
    pub(super) id: String,
    pub(super) version: u32,
    /// Lines: name and type, attributes, observations, relations. `null` if the entity did not exist.
    #[schema(required)]
    pub(super) text: Option<String>,
    /// As in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) origin: Option<String>,
}

/// The difference of two texts of a document or an entity.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum AnyDifference {
    /// Of a document.
    Document(Difference),
    /// Of an entity.
    Entity(EntityDifference),
}

/// The difference of an entity after a change and after another one, or now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntityDifference {
    pub(super) entity: String,
    pub(super) version: u32,
    /// The other version; absent if it is the present.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) with: Option<u32>,
    /// Unified, cut at 262,144 characters; empty if nothing differs.
    pub(super) diff: String,
    /// Of the change `version`, as in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) origin: Option<String>,
}
