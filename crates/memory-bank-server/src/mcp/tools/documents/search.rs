//! Finds lines of documents.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use memory_bank_core::caller::Right;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::limits;
use memory_bank_core::search::{clip, whole_if_possible};
use memory_bank_core::store::{DocumentSearch, DocumentsFound};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::{AS_OF, CURSOR, INCLUDE_ENDED, WantedFacts};
use crate::mcp::tools::cursor::Listing;
use crate::mcp::tools::extra_members::note_ended;
use crate::mcp::tools::past::{PastBank, search_documents};
use crate::mcp::tools::query::{Meaning, parse_query};
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::reply_space::ReplySpace;
use crate::mcp::tools::schema::{Kind, optional, required};
use crate::mcp::tools::tool::{BANK, Call, Family, READS, ToolSpec, boxed};

pub(crate) const SEARCH_MEMORY_BANK: ToolSpec = ToolSpec {
    name: "search_memory_bank",
    title: "Search documents",
    description: "Find lines in documents, best first. Words in any order; \"quotes\" for phrases.",
    family: Family::Context,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: READS,
    bank: BANK,
    arguments: &[
        required("query", Kind::Text, "Search query not specified"),
        optional("files", Kind::Texts),
        optional("maxResults", Kind::Whole(1, 1000)),
        optional("caseSensitive", Kind::Flag),
        CURSOR,
        optional("since", Kind::Text),
        optional("until", Kind::Text),
        AS_OF,
        INCLUDE_ENDED,
    ],
    handler: boxed!(search_memory_bank),
};

/// Finds lines in documents.
async fn search_memory_bank(mut call: Call) -> Result<Reply, Failure> {
    let SearchDocuments { query: text, files, max_results, case_sensitive, cursor, since, until, facts } =
        call.parse()?;
    let query = parse_query(&text)?;
    let days = days(since.as_deref(), until.as_deref())?;
    let view = facts.view(call.services.clock.now())?;
    let bank = call.bank()?;
    let listing = Listing::new(
        "search_memory_bank",
        &bank.location(),
        &json!({"query": text, "files": files, "caseSensitive": case_sensitive, "since": since, "until": until, "facts": facts}),
    );
    let passed: usize = listing.position(cursor.as_deref())?;
    let limit = max_results.unwrap_or(DEFAULT_RESULTS).saturating_add(passed).min(MAX_RESULTS);
    let past = PastBank::of(&call.services, &call.caller, bank.as_ref(), view).await?;
    let holding_at = (!view.with_ended).then_some(view.at);
    let request = DocumentSearch { query, files, limit, case_sensitive, days, holding_at };
    let found = search_documents(&call, bank.as_ref(), past.as_ref(), request).await;
    let (mut found, meaning) = found.map_err(|failure| failure.while_doing("Error searching memory bank"))?;
    let results: Vec<FoundLine> = std::mem::take(&mut found.hits)
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
            similar_in: hit.similar_in.into_iter().map(|(file, line)| Place { file, line }).collect(),
        })
        .collect();
    let now = iso_millis(call.services.clock.now());
    let mut metadata = metadata_of(&found, meaning, results.len(), &now);
    if let Some(past) = &past {
        past.note(&mut metadata);
    }
    // Names of documents are added to the results, and never replace them.
    let explicit = max_results.map(|_| usize::MAX);
    let mut frame = json!({"query": text, "results": [], "metadata": metadata});
    if explicit.is_none() && frame.to_string().chars().count() > limits::REPLY_CHARS / 3 {
        shorten_names(&mut metadata);
        frame = json!({"query": text, "results": [], "metadata": metadata});
    }
    let (results, left) = ReplySpace::of(&call.services.replies, explicit, &frame).cut(results, 1)?;
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("totalResults".into(), json!(results.len()));
        metadata.insert("truncated".into(), json!(found.more || left > 0));
        let next = passed.saturating_add(results.len());
        if (found.more || left > 0) && !results.is_empty() && next < MAX_RESULTS {
            metadata.insert("nextCursor".into(), json!(listing.cursor(next)?));
        }
    }
    Reply::json(&json!({"query": text, "results": results, "metadata": metadata}))
}

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
    #[serde(flatten)]
    facts: WantedFacts,
}

/// The default number of lines.
const DEFAULT_RESULTS: usize = 20;

/// The most hits of one search, over all pages.
const MAX_RESULTS: usize = 10_000;

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
    /// Where the first of them are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    similar_in: Vec<Place>,
}

#[derive(Serialize)]
struct Place {
    file: String,
    line: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// The notes that a search reports beside its results.
fn metadata_of(found: &DocumentsFound, meaning: Option<Meaning>, total: usize, now: &str) -> Value {
    let mut metadata = Map::new();
    metadata.insert("timestamp".into(), json!(now));
    metadata.insert("totalResults".into(), json!(total));
    metadata.insert("filesSearched".into(), json!(found.searched));
    metadata.insert("truncated".into(), json!(found.more));
    if found.searched_left > 0 {
        metadata.insert("filesSearchedLeft".into(), json!(found.searched_left));
    }
    if found.skipped_left > 0 {
        metadata.insert("skippedLeft".into(), json!(found.skipped_left));
    }
    if !found.missing_phrases.is_empty() {
        metadata.insert("phrasesNotFound".into(), json!(found.missing_phrases));
        metadata.insert("note".into(), json!("a quoted phrase is nowhere; its words were searched instead"));
    }
    if let Some(meaning) = meaning {
        metadata.insert("meaning".into(), json!(meaning.text(found.meaning)));
    }
    if !found.unknown_words.is_empty() {
        metadata.insert("wordsNotFound".into(), json!(found.unknown_words));
        let note = json!("no document has these words; graph_search looks into the graph");
        metadata.entry("note").or_insert(note);
    }
    if !found.skipped.is_empty() {
        let skipped: Vec<Value> = found
            .skipped
            .iter()
            .map(|skipped| json!({"name": skipped.file, "reason": skipped.reason}))
            .collect();
        metadata.insert("skipped".into(), json!(skipped));
    }
    let mut metadata = Value::Object(metadata);
    note_ended(&mut metadata, found.ended);
    metadata
}

/// Keeps the first names of searched or skipped documents, and counts the others.
fn shorten_names(metadata: &mut Value) {
    /// How many names are listed beside the results.
    const MAX_LISTED_NAMES: usize = 20;
    let Some(metadata) = metadata.as_object_mut() else { return };
    for (list, left) in [("filesSearched", "filesSearchedLeft"), ("skipped", "skippedLeft")] {
        let Some(Value::Array(names)) = metadata.get_mut(list) else { continue };
        let cut = names.len().saturating_sub(MAX_LISTED_NAMES);
        names.truncate(MAX_LISTED_NAMES);
        let before = metadata.get(left).and_then(Value::as_u64).unwrap_or_default();
        let cut = before.saturating_add(u64::try_from(cut).unwrap_or(u64::MAX));
        if cut > 0 {
            metadata.insert(left.to_owned(), json!(cut));
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(since: Option<&str>, until: Option<&str>) -> String {
        match days(since, until) {
            Ok((first, last)) => format!("{first:?} {last:?}"),
            Err(Failure::Malformed(why)) => why,
            Err(_) => "another failure".to_owned(),
        }
    }

    #[test]
    fn days_months_years_and_timestamps_are_accepted() {
        assert_eq!(shown(Some("2026-08-30"), None), "Some(2026-08-30) None");
        assert_eq!(shown(Some("2026-02"), Some("2026-02")), "Some(2026-02-01) Some(2026-02-28)");
        assert_eq!(shown(Some("2025"), Some("2025")), "Some(2025-01-01) Some(2025-12-31)");
        assert_eq!(shown(Some("2026-08-30T23:30:00-02:00"), None), "Some(2026-08-31) None");
        assert_eq!(shown(Some(" "), None), "None None");
    }

    #[test]
    fn an_invalid_date_is_refused_with_an_example() {
        for text in ["yesterday", "2026-13-01", "2026-99", "30.08.2026", "20260830x"] {
            let why = shown(Some(text), None);
            assert!(why.contains(&format!("`since`: `{text}`")) && why.contains("2026-08-30"), "{why}");
        }
        let why = shown(Some("2026-09-01"), Some("2026-08-01"));
        assert!(why.starts_with("`since`: `2026-09-01` is after `until`"), "{why}");
    }
}
