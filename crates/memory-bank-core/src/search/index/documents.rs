//! Finds lines in documents: what the ranking puts first, then every other line that contains the query as plain text.

use std::collections::{HashMap, HashSet};

use super::rank::Candidate;
use super::{Body, Index, Slot, SourceId};
use crate::search::lines::{Lines, clip};
use crate::search::query::{Query, fold};
use crate::search::rank::Ranker;
use crate::search::unit::UnitKind;
use crate::search::words::{each_word, stem};
use crate::{document::CORE_DOCUMENTS, limits};

/// What to look for in documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentQuery {
    /// The words and phrases.
    pub query: Query,
    /// Stored names to search; `None` = all documents.
    pub files: Option<Vec<String>>,
    /// The most hits to return.
    pub limit: usize,
    /// Whether a hit must hold a word of the query (or the whole of it) in the same letter case.
    pub case_sensitive: bool,
}

/// One line that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct LineHit {
    /// The document.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The trimmed line, cut around the hit if it is long.
    pub content: String,
    /// The line before, the line, and the line after it, each cut if it is long.
    pub context: String,
    /// How well it answers; comparable within one answer only. 0 for what was found as plain text alone.
    pub score: f64,
    /// The headings above it, outermost first, and its own if it has one.
    pub heading_path: Vec<String>,
    /// The first and the last line of the unit that was found.
    pub unit: (usize, usize),
}

impl LineHit {
    fn bytes(&self) -> usize {
        let path = self.heading_path.iter().map(|heading| heading.len() + size_of::<String>());
        size_of::<Self>() + self.file.len() + self.content.len() + self.context.len() + path.sum::<usize>()
    }
}

/// The best hits, best first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DocumentHits {
    /// At most as many as were asked for, and as fit into [`limits::HITS_BYTES`].
    pub hits: Vec<LineHit>,
    /// Whether there are more.
    pub more: bool,
}

impl Index {
    /// Searches documents.
    #[must_use]
    pub fn search_documents(&self, wanted: &DocumentQuery) -> DocumentHits {
        let query = &wanted.query;
        let ranker = Ranker::new(query, self);
        let files: Option<HashSet<&str>> =
            wanted.files.as_ref().map(|files| files.iter().map(String::as_str).collect());
        let in_files = |name: &str| files.as_ref().is_none_or(|files| files.contains(name));
        let mut candidates = self.candidates(query, &ranker, |slot| {
            !slot.kind.is_in_graph()
                && (files.is_none()
                    || matches!(slot.source.as_ref(), SourceId::Document(name) if in_files(name)))
        });
        let mut answer = Answer {
            index: self,
            wanted,
            matcher: LineMatcher::new(query, &ranker, wanted.case_sensitive),
            hits: DocumentHits::default(),
            taken: HashSet::new(),
            room: limits::HITS_BYTES,
        };
        let sorted = (wanted.limit.saturating_mul(2) + 20).min(candidates.len());
        self.best_first(&mut candidates, sorted);
        let (first, rest) = candidates.split_at_mut_checked(sorted).unwrap_or_default();
        answer.take(first);
        if !answer.is_full() {
            self.best_first(rest, rest.len());
            answer.take(rest);
        }
        if !answer.is_full() {
            answer.take_plain(&in_files);
        }
        answer.hits
    }

    /// The text of a document as it was indexed.
    #[must_use]
    pub fn document_text(&self, name: &str) -> Option<&str> {
        self.lines_of(&SourceId::Document(name.to_owned())).map(Lines::text)
    }

    fn lines_of(&self, source: &SourceId) -> Option<&Lines> {
        match &self.sources.get(source)?.body {
            Body::Document(lines) => Some(lines),
            Body::Entity { .. } => None,
        }
    }
}

struct Answer<'a> {
    index: &'a Index,
    wanted: &'a DocumentQuery,
    matcher: LineMatcher,
    hits: DocumentHits,
    /// Lines that were returned: each counts once.
    taken: HashSet<(&'a str, usize)>,
    /// How many bytes of hits are still loaded.
    room: usize,
}

impl<'a> Answer<'a> {
    fn is_full(&self) -> bool {
        self.hits.more
    }

    fn take(&mut self, candidates: &[Candidate]) {
        for candidate in candidates {
            if self.is_full() {
                return;
            }
            let Some(slot) = self.index.slot(candidate.slot) else { continue };
            let Some(lines) = self.index.lines_of(&slot.source) else { continue };
            let SourceId::Document(file) = slot.source.as_ref() else { continue };
            if !candidate.exact && !self.admits(slot, lines) {
                continue;
            }
            let Some(line) = self.matcher.best_line(slot, lines, candidate) else { continue };
            self.push(file, lines, line, candidate.score, Some(slot));
        }
    }

    /// Phrases must stand in the unit; a phrase may run over the end of a line.
    fn admits(&self, slot: &Slot, lines: &Lines) -> bool {
        if self.wanted.query.phrases().is_empty() {
            return true;
        }
        let text: Vec<&str> = (slot.line..slot.line + slot.lines).map(|line| lines.get(line)).collect();
        self.wanted.query.admits(&text.join("\n"))
    }

    /// Lines that contain the query as it is written, such as a part of a word or a run of signs.
    fn take_plain(&mut self, in_files: &impl Fn(&str) -> bool) {
        let query = &self.wanted.query;
        let phrase = query.phrases().first();
        let cased = self.wanted.case_sensitive;
        let needle = match phrase {
            Some(phrase) => phrase.as_str(),
            None if cased => query.text(),
            None => query.folded(),
        };
        let mut documents: Vec<(&'a str, &'a Lines)> = self
            .index
            .sources
            .iter()
            .filter_map(|(id, source)| match (id, &source.body) {
                (SourceId::Document(name), Body::Document(lines)) if in_files(name) => {
                    Some((name.as_str(), lines))
                }
                _ => None,
            })
            .collect();
        documents.sort_by_key(|(name, _)| (core_rank(name), *name));
        for (name, lines) in documents {
            for line in lines.containing(needle, phrase.is_some() || !cased) {
                if self.is_full() {
                    return;
                }
                let text = lines.get(line);
                let admitted =
                    query.admits(text) && (phrase.is_none() || !cased || self.matcher.is_cased(text));
                if admitted {
                    let slot = self.index.slot_at(name, line);
                    self.push(name, lines, line, 0.0, slot);
                }
            }
        }
    }

    fn push(&mut self, file: &'a str, lines: &Lines, line: usize, score: f64, slot: Option<&Slot>) {
        if !self.taken.insert((file, line)) {
            return;
        }
        if self.hits.hits.len() >= self.wanted.limit {
            self.hits.more = true;
            return;
        }
        let text = lines.get(line);
        let hit = self.matcher.position(text);
        let trimmed_before = text.chars().take_while(|c| c.is_whitespace()).count();
        let path = slot.map(|slot| slot.path.as_ref()).unwrap_or_default();
        let found = LineHit {
            file: file.to_owned(),
            line,
            content: clip(text.trim(), hit.saturating_sub(trimmed_before), limits::RESULT_LINE_CHARS),
            context: lines.context(line, hit),
            score,
            heading_path: path.iter().map(|heading| clip(heading, 0, limits::RESULT_LINE_CHARS)).collect(),
            unit: slot.map_or((line, line), |slot| (slot.line, slot.line + slot.lines.max(1) - 1)),
        };
        match self.room.checked_sub(found.bytes()) {
            Some(room) => {
                self.room = room;
                self.hits.hits.push(found);
            }
            None => self.hits.more = true,
        }
    }
}

impl Index {
    /// The unit that holds a line of a document.
    fn slot_at(&self, name: &str, line: usize) -> Option<&Slot> {
        let units = &self.sources.get(&SourceId::Document(name.to_owned()))?.units;
        let after = units.partition_point(|at| self.slot(*at).is_none_or(|slot| slot.line <= line));
        units.get(..after)?.iter().rev().find_map(|at| {
            let slot = self.slot(*at)?;
            (slot.kind != UnitKind::Document && line < slot.line + slot.lines).then_some(slot)
        })
    }
}

fn core_rank(name: &str) -> usize {
    CORE_DOCUMENTS.iter().position(|core| *core == name).unwrap_or(CORE_DOCUMENTS.len())
}

/// Finds the line of a unit that answers best, and the place in a line that was found.
struct LineMatcher {
    /// The weight of each word of the query, and of its stem.
    weights: HashMap<String, f64>,
    /// The words as they were typed, if their letter case counts.
    cased: Option<Vec<String>>,
    needles: Vec<String>,
}

impl LineMatcher {
    fn new(query: &Query, ranker: &Ranker, case_sensitive: bool) -> Self {
        let weights = ranker
            .words()
            .iter()
            .flat_map(|word| word.forms.iter().map(|form| (form.term.clone(), form.weight)))
            .collect();
        let needles = std::iter::once(query.folded().trim().to_owned())
            .chain(query.phrases().iter().cloned())
            .chain(query.words().iter().map(|word| word.form.clone()))
            .chain(query.words().iter().filter_map(|word| word.stem.clone()))
            .collect();
        let cased = case_sensitive.then(|| {
            let wanted: HashSet<&str> = query.words().iter().map(|word| word.form.as_str()).collect();
            let typed = query.text().split_whitespace().map(|word| word.trim_matches('"'));
            let counted = typed.filter(|word| {
                let mut counts = false;
                each_word(word, |part| counts |= wanted.contains(part));
                counts
            });
            counted.map(str::to_owned).collect()
        });
        Self { weights, cased, needles }
    }

    /// The line that holds the rarest words of the query; none if letter case counts and no line has it.
    fn best_line(&self, slot: &Slot, lines: &Lines, candidate: &Candidate) -> Option<usize> {
        let mut best: Option<(f64, usize)> = None;
        for line in slot.line..slot.line + slot.lines.max(1) {
            let text = lines.get(line);
            if text.trim().is_empty() || !self.is_cased(text) {
                continue;
            }
            let weight = if candidate.own > 0.0 && slot.lines > 1 { self.weight(text) } else { 0.0 };
            if best.is_none_or(|(most, _)| weight > most) {
                best = Some((weight, line));
            }
        }
        let named = candidate.exact && self.cased.is_none();
        best.map(|(_, line)| line).map(|line| if named { slot.line } else { line })
    }

    fn weight(&self, line: &str) -> f64 {
        let mut seen = HashSet::new();
        let mut weight = 0.0;
        each_word(line, |word| {
            let form = self.weights.get_key_value(word);
            let found =
                form.or_else(|| stem(word).and_then(|stem| self.weights.get_key_value(stem.as_str())));
            if let Some((_, value)) = found.filter(|(term, _)| seen.insert(term.as_str())) {
                weight += value;
            }
        });
        weight
    }

    fn is_cased(&self, text: &str) -> bool {
        self.cased.as_ref().is_none_or(|words| words.iter().any(|word| text.contains(word.as_str())))
    }

    /// Where the hit begins, in characters.
    fn position(&self, line: &str) -> usize {
        let folded = fold(line);
        let at = self.needles.iter().find_map(|needle| folded.find(needle.as_str()));
        at.and_then(|at| folded.get(..at)).map_or(0, |before| before.chars().count())
    }
}
