//! `search`: lines of documents, the best first. On a terminal hits are grouped by document; piped, each is one line
//! `document:line:text`.

use memory_bank_core::compact_sort::CompactSort as _;
use serde_json::{Value, json};

use super::arguments::{SearchArguments, ended_note};
use super::bank::CommandBank;
use super::command_output::CommandOutput;
use super::screen::{Screen, Style};

/// Shorter words are not highlighted.
const MIN_HIGHLIGHTED_CHARS: usize = 2;

/// Searches the documents.
pub(super) async fn run(
    bank: &CommandBank,
    search: &SearchArguments,
    mut screen: Screen,
) -> anyhow::Result<CommandOutput> {
    let query = search.query.join(" ");
    let arguments = json!({
        "query": query,
        "files": if search.files.is_empty() { Value::Null } else { json!(search.files) },
        "maxResults": search.limit,
        "caseSensitive": search.case_sensitive.then_some(true),
        "since": search.since,
        "until": search.until,
    });
    let data = bank.search("search_memory_bank", search.facts.add_to(arguments)).await?;
    let metadata = data.get("metadata").unwrap_or(&Value::Null);
    let ended = ended_note(metadata, "line is of a decision that has", "lines are of decisions that have");
    let skipped = metadata.get("skipped").and_then(Value::as_array).map_or(0, Vec::len);
    let skipped =
        (skipped > 0).then(|| format!("{skipped} documents could not be searched; `--json` names them"));
    let notes_beside: Vec<String> = [ended, skipped].into_iter().flatten().collect();
    let results: Vec<&Value> = data.get("results").and_then(Value::as_array).into_iter().flatten().collect();
    if results.is_empty() {
        let beside = notes_beside.iter().map(|note| format!("; {note}")).collect::<String>();
        return Ok(CommandOutput::not_found(data, format!("nothing is found for `{query}`{beside}")));
    }
    if !screen.view().is_terminal {
        for hit in &results {
            let place = format!("{}:{}:", text(hit, "file"), line_number(hit));
            screen.put(Style::Plain, &place).line(Style::Plain, text(hit, "content"));
        }
        let notes: Vec<String> = words_missing(metadata).into_iter().chain(notes_beside).collect();
        let note = (!notes.is_empty()).then(|| notes.join("\n"));
        return Ok(CommandOutput { note, ..CommandOutput::new(data, screen) });
    }
    let words = words_to_highlight(&query);
    let (mut file, mut path) = ("", String::new());
    let width = results.iter().map(|hit| line_number(hit).to_string().len()).max().unwrap_or(1);
    for hit in &results {
        let own_path = heading_path(hit);
        if text(hit, "file") != file || own_path != path {
            file = text(hit, "file");
            path = own_path;
            screen.gap().put(Style::Name, file).put(Style::Dim, if path.is_empty() { "" } else { "  " });
            screen.line(Style::Dim, &path);
        }
        screen.put(Style::Dim, &format!("{:>width$}  ", line_number(hit)));
        put_with_hits(&mut screen, text(hit, "content").trim(), &words);
        let similar = hit.get("similar").and_then(Value::as_u64).unwrap_or_default();
        if similar > 0 {
            screen.put(Style::Dim, &format!("  (and {similar} alike)"));
        }
        screen.end();
    }
    notes(&mut screen, &data, notes_beside, search.limit);
    Ok(CommandOutput::new(data, screen))
}

/// The reply's notes beside its hits.
fn notes(screen: &mut Screen, data: &Value, beside: Vec<String>, limit: u32) {
    let Some(metadata) = data.get("metadata") else { return };
    let mut noted: Vec<_> = words_missing(metadata).into_iter().map(|note| (Style::Dim, note)).collect();
    noted.extend(beside.into_iter().map(|note| (Style::Alert, note)));
    if metadata.get("truncated").and_then(Value::as_bool) == Some(true) {
        noted.push((Style::Dim, format!("there is more: `-n {}`", limit.saturating_mul(2).min(1000))));
    }
    if !noted.is_empty() {
        screen.gap();
    }
    for (style, note) in noted {
        screen.line(style, &note);
    }
}

/// The notes on words and phrases of the query that are in no document.
fn words_missing(metadata: &Value) -> Vec<String> {
    let named = [("wordsNotFound", "found nowhere"), ("phrasesNotFound", "found as words, not as a phrase")];
    let note = |(name, sentence): (&str, &str)| {
        let words = metadata.get(name).and_then(Value::as_array);
        let words: Vec<&str> = words.into_iter().flatten().filter_map(Value::as_str).collect();
        (!words.is_empty()).then(|| format!("{sentence}: {}", words.join(", ")))
    };
    named.into_iter().filter_map(note).collect()
}

fn text<'v>(hit: &'v Value, name: &str) -> &'v str {
    hit.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn line_number(hit: &Value) -> u64 {
    hit.get("line").and_then(Value::as_u64).unwrap_or_default()
}

fn heading_path(hit: &Value) -> String {
    let headings = hit.get("headingPath").and_then(Value::as_array);
    headings.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(" › ")
}

/// The words of a query, in lower case.
fn words_to_highlight(query: &str) -> Vec<String> {
    let mut words: Vec<String> = query
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| word.chars().count() >= MIN_HIGHLIGHTED_CHARS)
        .map(str::to_lowercase)
        .collect();
    // The longest first, so that a word inside another one does not cut it.
    words.compact_sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.dedup();
    words
}

/// Adds a text with the words of the query highlighted.
fn put_with_hits(screen: &mut Screen, text: &str, words: &[String]) {
    let mut rest = text;
    let mut plain = 0;
    while let Some(tail) = rest.get(plain..).filter(|tail| !tail.is_empty()) {
        match words.iter().find_map(|word| match_length(tail, word)) {
            Some(length) => {
                let (before, after) = rest.split_at_checked(plain).unwrap_or((rest, ""));
                let (hit, after) = after.split_at_checked(length).unwrap_or((after, ""));
                screen.put(Style::Plain, before).put(Style::Hit, hit);
                (rest, plain) = (after, 0);
            }
            None => plain += tail.chars().next().map_or(1, char::len_utf8),
        }
    }
    screen.put(Style::Plain, rest);
}

/// The length in bytes of the beginning that is the word in any case.
fn match_length(text: &str, word: &str) -> Option<usize> {
    let mut expected = word.chars();
    let mut next = expected.next();
    for (at, character) in text.char_indices() {
        if next.is_none() {
            return Some(at);
        }
        for lower in character.to_lowercase() {
            if next != Some(lower) {
                return None;
            }
            next = expected.next();
        }
    }
    next.is_none().then_some(text.len())
}

#[cfg(test)]
mod tests {
    use super::super::screen::View;
    use super::*;

    fn shown(text: &str, query: &str) -> String {
        let mut screen = Screen::new(View { is_terminal: true, colours: true, pages: false });
        put_with_hits(&mut screen, text, &words_to_highlight(query));
        screen.into_text().replace("\u{1b}[1;31m", "<").replace("\u{1b}[0m", ">")
    }

    #[test]
    fn words_are_highlighted_in_any_case_and_script() {
        assert_eq!(
            shown("Use Redis for redis-like caches", "redis cache"),
            "Use <Redis> for <redis>-like <cache>s"
        );
        assert_eq!(shown("Größe und GRÖSSE", "größe"), "<Größe> und GRÖSSE");
        assert_eq!(shown("記憶の銀行", "記憶"), "<記憶>の銀行");
        assert_eq!(shown("nothing", "x"), "nothing");
        assert_eq!(shown("", "word"), "");
    }
}
