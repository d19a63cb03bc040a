//! Search tools: lines of documents, nodes and facts of the graph, and a small pack of both for a question.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::roles::{has_content, without_template_rows};
use memory_bank_core::document::{DocumentPath, plain_digest};
use memory_bank_core::error::GraphError;
use memory_bank_core::limits;
use memory_bank_core::search::{
    DenseCount, MatchedIn, Material, Query, QueryError, TargetedBounds, TargetedContext, VectorGap, clip,
    pack, plan_pointers, whole_if_possible,
};
use memory_bank_core::store::{
    Bank, DocumentSearch, EntityFound, GraphFound, GraphSearch, ReadOutcome, Skip,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Call;
use super::cursor::Listing;
use super::digest::Texts;
use super::documents::yes;
use super::graph::note_left;
use super::reply::{Failure, Reply};
use super::room::{LISTING_BYTES, Room, reading_bytes};

/// How many places in documents are considered for a pack of context.
const PLACES: usize = 40;
/// The name of the field that names whether the meaning counted, with its marks and line.
const MEANING_CHARS: usize = 32;
/// The most characters of a digest inside a pack of context, and its largest share, as a divisor.
const DIGEST_CHARS: usize = 1500;
const DIGEST_SHARE: usize = 5;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SearchDocuments {
    query: String,
    #[serde(default)]
    files: Vec<String>,
    max_results: Option<usize>,
    #[serde(default)]
    case_sensitive: bool,
    cursor: Option<String>,
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    until: Option<String>,
}

/// The default number of lines.
const LINES: usize = 20;
/// The most hits of one search, over all pages.
const DEEPEST: usize = 10_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FoundLine {
    file: String,
    line: usize,
    content: String,
    context: String,
    #[serde(serialize_with = "whole_if_possible")]
    score: f64,
    heading_path: Vec<String>,
    /// How many others differ only in dates and ids.
    #[serde(skip_serializing_if = "is_none")]
    similar: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// Finds lines in documents.
pub(crate) async fn search_memory_bank(mut call: Call) -> Result<Reply, Failure> {
    let SearchDocuments { query: text, files, max_results, case_sensitive, cursor, since, until } =
        call.parse()?;
    let query = parse(&text)?;
    let days = days(since.as_deref(), until.as_deref())?;
    let bank = call.bank()?;
    let listing = Listing::new(
        "search_memory_bank",
        &bank.location(),
        &json!({"query": text, "files": files, "caseSensitive": case_sensitive, "since": since, "until": until}),
    );
    let passed: usize = listing.place(cursor.as_deref())?;
    let limit = max_results.unwrap_or(LINES).saturating_add(passed).min(DEEPEST);
    let (query, meaning) = with_meaning(&call, query).await;
    let wanted = DocumentSearch { query, files, limit, case_sensitive, days };
    let found = bank
        .search_documents(&call.caller, &wanted)
        .await
        .map_err(|error| Failure::from(error).while_doing("Error searching memory bank"))?;
    let results: Vec<FoundLine> = found
        .hits
        .into_iter()
        .skip(passed)
        .map(|hit| FoundLine {
            file: hit.file,
            line: hit.line,
            content: hit.content,
            context: hit.context,
            score: (hit.score * 1000.0).round() / 1000.0,
            heading_path: hit.heading_path,
            similar: hit.similar,
        })
        .collect();
    let mut metadata = json!({
        "timestamp": iso_millis(call.services.clock.now()),
        "totalResults": results.len(),
        "filesSearched": found.searched,
        "truncated": found.more,
    });
    if let Some(object) = metadata.as_object_mut() {
        if found.searched_left > 0 {
            object.insert("filesSearchedLeft".into(), json!(found.searched_left));
        }
        if found.skipped_left > 0 {
            object.insert("skippedLeft".into(), json!(found.skipped_left));
        }
        if !found.missing_phrases.is_empty() {
            object.insert("phrasesNotFound".into(), json!(found.missing_phrases));
            object
                .insert("note".into(), json!("a quoted phrase is nowhere; its words were searched instead"));
        }
        if let Some(meaning) = meaning {
            object.insert("meaning".into(), json!(meaning.text(found.meaning)));
        }
        if !found.unknown_words.is_empty() {
            object.insert("wordsNotFound".into(), json!(found.unknown_words));
        }
    }
    if !found.skipped.is_empty()
        && let Some(object) = metadata.as_object_mut()
    {
        let skipped: Vec<Value> = found
            .skipped
            .iter()
            .map(|skipped| json!({"name": skipped.file, "reason": skipped.reason}))
            .collect();
        object.insert("skipped".into(), json!(skipped));
    }
    // Names of documents are added to the results, and never replace them.
    let asked = max_results.map(|_| usize::MAX);
    let mut frame = json!({"query": text, "results": [], "metadata": metadata});
    if asked.is_none() && frame.to_string().chars().count() > limits::REPLY_CHARS / 3 {
        shorten_names(&mut metadata);
        frame = json!({"query": text, "results": [], "metadata": metadata});
    }
    let (results, left) = Room::of(&call.services.replies, asked, &frame).cut(results, 1)?;
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("totalResults".into(), json!(results.len()));
        metadata.insert("truncated".into(), json!(found.more || left > 0));
        let next = passed.saturating_add(results.len());
        if (found.more || left > 0) && !results.is_empty() && next < DEEPEST {
            metadata.insert("nextCursor".into(), json!(listing.cursor(next)?));
        }
    }
    Reply::json(&json!({"query": text, "results": results, "metadata": metadata}))
}

/// Whether the meaning of a query counted beside its words.
enum Meaning {
    /// The query has a vector.
    Embedded,
    /// The reason without a vector.
    Failed(String),
}

impl Meaning {
    /// The text in the reply.
    fn text(&self, made: Option<DenseCount>) -> String {
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
async fn with_meaning(call: &Call, query: Query) -> (Query, Option<Meaning>) {
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

/// Keeps the first names of searched or skipped documents, and counts the others.
fn shorten_names(metadata: &mut Value) {
    /// How many names are listed beside the results.
    const NAMES: usize = 20;
    let Some(metadata) = metadata.as_object_mut() else { return };
    for (list, left) in [("filesSearched", "filesSearchedLeft"), ("skipped", "skippedLeft")] {
        let Some(Value::Array(names)) = metadata.get_mut(list) else { continue };
        let cut = names.len().saturating_sub(NAMES);
        names.truncate(NAMES);
        let before = metadata.get(left).and_then(Value::as_u64).unwrap_or_default();
        let cut = before.saturating_add(u64::try_from(cut).unwrap_or(u64::MAX));
        if cut > 0 {
            metadata.insert(left.to_owned(), json!(cut));
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SearchGraph {
    query: String,
    limit: Option<usize>,
    #[serde(default)]
    include_neighborhood: bool,
    #[serde(default = "one")]
    neighborhood_depth: u32,
    cursor: Option<String>,
}

/// The default number of nodes.
const NODES: usize = 10;

fn one() -> u32 {
    1
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FoundEntity {
    id: String,
    name: String,
    entity_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attrs: Option<Map<String, Value>>,
    observations: Vec<Value>,
    observation_count: usize,
    relation_count: usize,
    #[serde(serialize_with = "whole_if_possible")]
    score: f64,
    matched_in: Vec<MatchedIn>,
}

/// Finds nodes and facts.
pub(crate) async fn graph_search(mut call: Call) -> Result<Reply, Failure> {
    let asked: SearchGraph = call.parse()?;
    let everything = matches!(asked.query.trim(), "" | "*");
    let query = if everything { None } else { Some(parse(&asked.query)?) };
    let depth = if asked.include_neighborhood { asked.neighborhood_depth } else { 0 };
    let bank = call.bank()?;
    let listing =
        Listing::new("graph_search", &bank.location(), &json!({"query": asked.query, "depth": depth}));
    let skip: Skip = listing.place(asked.cursor.as_deref())?;
    let frame = json!({"query": asked.query, "entities": [], "observations": [], "relations": []});
    let mut room = Room::of(&call.services.replies, asked.limit.map(|_| usize::MAX), &frame);
    // A store estimates the size in memory, which is larger than that in a reply.
    let bytes = room.bytes().saturating_mul(2);
    // The loaded graph, and the reply made of it.
    call.services.replies.need(bytes.saturating_mul(2)).await?;
    let limit = asked.limit.unwrap_or(NODES);
    let found = bank
        .search_graph(&call.caller, &GraphSearch { query, limit, depth, bytes, skip })
        .await
        .map_err(|error| Failure::from(error).while_doing("Failed to search the graph"))?;
    let (found_entities, found_observations) = (found.entities.len(), found.observations.len());
    let importable = match found_entities {
        0 => bank.importable(&call.caller).await,
        _ => None,
    };
    let entities = found.entities.into_iter().chain(found.neighbours).map(shown);
    let observations = found.observations.iter().map(|found| {
        json!({
            "id": found.observation.id,
            "text": found.observation.text,
            "entityId": found.observation.entity_id,
            "entityName": found.entity_name,
            "timestamp": found.observation.timestamp,
        })
    });
    let relations = found.relations.iter().map(|found| {
        json!({
            "from": found.from_name,
            "to": found.to_name,
            "relationType": found.relation.relation_type,
            "fromId": found.relation.from_id,
            "toId": found.relation.to_id,
        })
    });
    let (entities, entities_left) = room.cut(entities, 2)?;
    let (relations, relations_left) = room.cut(relations, 2)?;
    let (observations, observations_left) = room.cut(observations, 1)?;
    let mut data = json!({
        "query": asked.query,
        "entities": entities,
        "observations": observations,
        "relations": relations,
        "truncated": found.more,
    });
    let left = [
        ("entities", entities_left + found.entities_left),
        ("observations", observations_left + found.observations_left),
        ("relations", relations_left + found.relations_left),
    ];
    let after = Skip {
        entities: skip.entities + entities.len().min(found_entities),
        observations: skip.observations + observations.len().min(found_observations),
    };
    let more = found.more_hits || left.iter().take(2).any(|(_, count)| *count > 0);
    let next = if more && after != skip {
        put(&mut data, "nextCursor", json!(listing.cursor(after)?));
        "search on with `nextCursor` as `cursor`, for more words, or with a smaller limit"
    } else {
        "search for more words, or for a part with a smaller limit"
    };
    note_left(&mut data, &left, next);
    if let Some(importable) = importable {
        put(&mut data, "importable", json!(importable));
    }
    Reply::json(&data)
}

fn put(data: &mut Value, name: &str, value: Value) {
    if let Some(object) = data.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

fn shown(found: EntityFound) -> FoundEntity {
    let observations = found
        .observations
        .iter()
        .map(|observation| json!({"text": observation.text, "timestamp": observation.timestamp}))
        .collect();
    FoundEntity {
        id: found.entity.id,
        name: found.entity.name,
        entity_type: found.entity.entity_type,
        attrs: found.entity.attrs,
        observations,
        observation_count: found.observation_count,
        relation_count: found.relation_count,
        score: found.score,
        matched_in: found.matched_in,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targeted {
    query: String,
    #[serde(default = "eight_thousand")]
    max_chars: usize,
    #[serde(default = "four")]
    max_files: usize,
    #[serde(default = "six")]
    graph_limit: usize,
    #[serde(default = "one")]
    graph_depth: u32,
    #[serde(default = "yes")]
    prefer_active_context: bool,
}

fn eight_thousand() -> usize {
    8000
}

fn four() -> usize {
    4
}

fn six() -> usize {
    6
}

/// Packs the most relevant context of a question, up to a number of characters.
pub(crate) async fn get_targeted_context(mut call: Call) -> Result<Reply, Failure> {
    let asked: Targeted = call.parse()?;
    let query = parse(&asked.query)?;
    let bounds = TargetedBounds {
        max_chars: asked.max_chars.min(call.services.replies.bytes),
        max_files: asked.max_files,
        prefer_core: asked.prefer_active_context,
    };
    let bank = call.bank()?;
    let failed = |failure: Failure| failure.while_doing("Error getting targeted context");
    let wanted = GraphSearch {
        query: Some(query.clone()),
        limit: asked.graph_limit,
        depth: asked.graph_depth,
        bytes: call.services.replies.bytes,
        skip: Skip::default(),
    };
    let graph = match bank.search_graph(&call.caller, &wanted).await {
        Ok(found) => found,
        // A pack without the graph is better than none. Without an index there is no pack.
        Err(GraphError::Store(error)) if !error.is_about_the_index() => {
            tracing::warn!(%error, "the context omits the graph");
            GraphFound::default()
        }
        Err(error) => return Err(failed(error.into())),
    };
    let (query, meaning) = with_meaning(&call, query).await;
    let wanted =
        DocumentSearch { query, files: Vec::new(), limit: PLACES, case_sensitive: false, days: (None, None) };
    let documents =
        bank.search_documents(&call.caller, &wanted).await.map_err(|error| failed(error.into()))?;
    let planned = plan_pointers(&graph, &documents, &bounds);
    let paths: Vec<DocumentPath> =
        planned.iter().filter_map(|pointer| DocumentPath::parse(&pointer.path).ok()).collect();
    call.services.replies.need(reading_bytes(paths.len())).await?;
    let outcomes = bank.read(&call.caller, &paths).await.map_err(|error| failed(error.into()))?;
    let texts: HashMap<String, String> = paths
        .iter()
        .zip(outcomes)
        .filter_map(|(path, outcome)| match outcome {
            // Skip a document that contains only a template's rows.
            ReadOutcome::Found(document) if has_content(&document.content) => {
                let text = without_template_rows(&document.content).into_owned();
                Some((path.as_str().to_owned(), text))
            }
            _ => None,
        })
        .collect();
    let digest = digest(&call, bank.as_ref(), asked.max_chars).await.map_err(failed)?;
    let material = Material {
        query: &asked.query,
        digest: &digest,
        graph: &graph,
        documents: &documents,
        texts: &texts,
    };
    let Some(meaning) = meaning.map(|meaning| meaning.text(documents.meaning)) else {
        return Reply::json(&pack(&material, planned, &bounds));
    };
    // The field counts as well.
    let room = bounds.max_chars.saturating_sub(meaning.chars().count() + MEANING_CHARS);
    let packed = pack(&material, planned, &TargetedBounds { max_chars: room, ..bounds });
    Reply::json(&WithMeaning { packed, meaning })
}

/// A pack that names whether the meaning counted.
#[derive(Serialize)]
struct WithMeaning {
    #[serde(flatten)]
    packed: TargetedContext,
    meaning: String,
}

async fn digest(call: &Call, bank: &dyn Bank, max_chars: usize) -> Result<String, Failure> {
    call.services.replies.need(LISTING_BYTES).await?;
    let present = bank.list(&call.caller).await?;
    let texts = Texts::read(call, bank, &present).await?;
    Ok(plain_digest(&texts.sources(), DIGEST_CHARS.min(max_chars / DIGEST_SHARE)))
}

/// The first and the last day of a search.
fn days(since: Option<&str>, until: Option<&str>) -> Result<(Option<Date>, Option<Date>), Failure> {
    let day = |name: &str, text: Option<&str>, is_last: bool| {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        let parsed = text.map(|text| {
            day(text, is_last).ok_or_else(|| {
                let text = clip(text, 0, 60);
                Failure::Malformed(format!(
                    "`{name}`: `{text}` is not a day; use a date such as `2026-08-30`, or a month such as `2026-08`"
                ))
            })
        });
        parsed.transpose()
    };
    let (first, last) = (day("since", since, false)?, day("until", until, true)?);
    if let (Some(first), Some(last)) = (first, last)
        && first > last
    {
        return Err(Failure::Malformed(format!(
            "`since`: `{first}` is after `until`, `{last}`; exchange them, or leave one out"
        )));
    }
    Ok((first, last))
}

/// A day, the first or last day of a month or a year, or the day of a time, in UTC.
fn day(text: &str, is_last: bool) -> Option<Date> {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Ok(day) = text.parse::<Date>() {
        // A time belongs to a day of its own zone; it counts by UTC.
        return Some(text.parse::<Timestamp>().map_or(day, |moment| moment.to_zoned(TimeZone::UTC).date()));
    }
    let (year, month) = text.split_once('-').map_or((text, None), |(year, month)| (year, Some(month)));
    if year.len() != 4 || !is_digits(year) || month.is_some_and(|month| !is_digits(month)) {
        return None;
    }
    let year: i16 = year.parse().ok()?;
    let first_month: i8 = if is_last { 12 } else { 1 };
    let first = Date::new(year, month.map_or(Some(first_month), |month| month.parse().ok())?, 1).ok()?;
    Some(if is_last { first.last_of_month() } else { first })
}

fn parse(text: &str) -> Result<Query, Failure> {
    Query::parse(text).map_err(|error| match error {
        QueryError::Blank => Failure::message(error.to_string()),
        other => Failure::Malformed(format!("`query`: {other}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_names_how_far_the_meaning_counted() {
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

    fn shown(since: Option<&str>, until: Option<&str>) -> String {
        match days(since, until) {
            Ok((first, last)) => format!("{first:?} {last:?}"),
            Err(Failure::Malformed(why)) => why,
            Err(_) => "another failure".to_owned(),
        }
    }

    #[test]
    fn days_months_years_and_moments_are_taken() {
        assert_eq!(shown(Some("2026-08-30"), None), "Some(2026-08-30) None");
        assert_eq!(shown(Some("2026-02"), Some("2026-02")), "Some(2026-02-01) Some(2026-02-28)");
        assert_eq!(shown(Some("2025"), Some("2025")), "Some(2025-01-01) Some(2025-12-31)");
        assert_eq!(shown(Some("2026-08-30T23:30:00-02:00"), None), "Some(2026-08-31) None");
        assert_eq!(shown(Some(" "), None), "None None");
    }

    #[test]
    fn what_is_no_day_is_refused_with_an_example() {
        for text in ["yesterday", "2026-13-01", "2026-99", "30.08.2026", "20260830x"] {
            let why = shown(Some(text), None);
            assert!(why.contains(&format!("`since`: `{text}`")) && why.contains("2026-08-30"), "{why}");
        }
        let why = shown(Some("2026-09-01"), Some("2026-08-01"));
        assert!(why.starts_with("`since`: `2026-09-01` is after `until`"), "{why}");
    }
}
