//! Cuts a markdown document into units. Every line that is not blank belongs to exactly one.

use std::sync::Arc;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::unit::{Unit, UnitKind, link_neighbours};

/// Longer paragraphs and code blocks are cut into parts of this many lines.
const PART_LINES: usize = 12;
/// Longer sections of the decision log are cut like any other section.
const DECISION_LINES: usize = 60;

/// The units of a markdown document. `stem` is its name without the extension; each section of the `decision-log` and of
/// its archives is one unit.
#[must_use]
pub fn markdown_units(stem: &str, text: &str) -> Vec<Unit> {
    let lines = Lines::of(text);
    let blocks = blocks(text, &lines);
    let mut pieces = pieces(&blocks, &lines);
    if stem == "decision-log" || stem.starts_with("decision-log-archive-") {
        pieces = join_decisions(pieces);
    }
    units(stem, &pieces, &lines)
}

/// A document by its lines.
struct Lines<'a> {
    starts: Vec<usize>,
    lines: Vec<&'a str>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let lines: Vec<&str> = text.split('\n').collect();
        let mut at = 0;
        let starts = lines
            .iter()
            .map(|line| {
                let start = at;
                at += line.len() + 1;
                start
            })
            .collect();
        Self { starts, lines }
    }

    /// The line, from 0, that holds the byte.
    fn line_of(&self, byte: usize) -> usize {
        self.starts.partition_point(|start| *start <= byte).saturating_sub(1)
    }

    fn get(&self, line: usize) -> &'a str {
        self.lines.get(line).copied().unwrap_or_default()
    }

    fn is_blank(&self, line: usize) -> bool {
        self.get(line).trim().is_empty()
    }
}

struct Block {
    kind: UnitKind,
    heading: Option<(HeadingLevel, String)>,
}

struct Blocks {
    blocks: Vec<Block>,
    /// For each line the innermost block that holds it.
    owners: Vec<Option<usize>>,
}

fn blocks(text: &str, lines: &Lines<'_>) -> Blocks {
    let options = Options::ENABLE_TABLES | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut found = Blocks { blocks: Vec::new(), owners: vec![None; lines.lines.len()] };
    let (mut depth, mut items) = (0_usize, 0_usize);
    let mut title: Option<String> = None;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        let kind =
            match &event {
                Event::Start(Tag::Heading { .. }) if depth == 0 => {
                    title = Some(String::new());
                    Some(UnitKind::Heading)
                }
                Event::Start(Tag::Item) => Some(UnitKind::Item),
                Event::Start(Tag::CodeBlock(_)) => Some(UnitKind::Code),
                Event::Start(Tag::TableHead | Tag::TableRow) => Some(UnitKind::Row),
                Event::Start(
                    Tag::Paragraph | Tag::HtmlBlock | Tag::MetadataBlock(_) | Tag::Heading { .. },
                ) if items == 0 => Some(UnitKind::Paragraph),
                _ => None,
            };
        if let Some(kind) = kind {
            let first = lines.line_of(range.start);
            let held = text.get(range).map_or(0, |held| held.trim_end().matches('\n').count());
            found.blocks.push(Block { kind, heading: None });
            let owner = found.blocks.len() - 1;
            found.owners.iter_mut().skip(first).take(held + 1).for_each(|line| *line = Some(owner));
        }
        match event {
            Event::Start(Tag::Item) => (depth, items) = (depth + 1, items + 1),
            Event::End(TagEnd::Item) => (depth, items) = (depth.saturating_sub(1), items.saturating_sub(1)),
            Event::Start(Tag::BlockQuote(_)) => depth += 1,
            Event::End(TagEnd::BlockQuote(_)) => depth = depth.saturating_sub(1),
            Event::Text(part) | Event::Code(part) => title.iter_mut().for_each(|title| title.push_str(&part)),
            Event::SoftBreak | Event::HardBreak => title.iter_mut().for_each(|title| title.push(' ')),
            Event::End(TagEnd::Heading(level)) => {
                if let (Some(title), Some(block)) = (title.take(), found.blocks.last_mut()) {
                    block.heading = Some((level, title.trim().to_owned()));
                }
            }
            _ => {}
        }
    }
    found
}

/// A run of lines that becomes one unit.
struct Piece {
    kind: UnitKind,
    heading: Option<(HeadingLevel, String)>,
    first: usize,
    count: usize,
}

fn pieces(found: &Blocks, lines: &Lines<'_>) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut owner_of_last = None;
    for (line, owner) in found.owners.iter().enumerate() {
        if lines.is_blank(line) {
            // A blank line inside a list item or a code block does not end it; the next owner decides.
            continue;
        }
        let block = owner.and_then(|owner| found.blocks.get(owner));
        let kind = block.map_or(UnitKind::Paragraph, |block| block.kind);
        if let Some(last) = pieces.last_mut() {
            let length = line + 1 - last.first;
            let adjoins = owner.is_some() || line == last.first + last.count;
            let room = length <= PART_LINES || matches!(kind, UnitKind::Heading | UnitKind::Row);
            if owner_of_last == Some(*owner) && adjoins && room {
                last.count = length;
                continue;
            }
        }
        owner_of_last = Some(*owner);
        let heading = block.and_then(|block| block.heading.clone());
        pieces.push(Piece { kind, heading, first: line, count: 1 });
    }
    pieces
}

/// Makes one piece of each second-level section, unless it is long.
fn join_decisions(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::new();
    let mut rest = pieces.into_iter().peekable();
    while let Some(piece) = rest.next() {
        if !matches!(piece.heading, Some((HeadingLevel::H2, _))) {
            joined.push(piece);
            continue;
        }
        let mut section = vec![piece];
        while let Some(next) =
            rest.next_if(|next| !matches!(next.heading, Some((HeadingLevel::H1 | HeadingLevel::H2, _))))
        {
            section.push(next);
        }
        let first = section.first().map_or(0, |piece| piece.first);
        let count = section.last().map_or(0, |last| last.first + last.count - first);
        if section.len() > 1 && count <= DECISION_LINES {
            let heading = section.into_iter().next().and_then(|piece| piece.heading);
            joined.push(Piece { kind: UnitKind::Decision, heading, first, count });
        } else {
            joined.extend(section);
        }
    }
    joined
}

fn units(stem: &str, pieces: &[Piece], lines: &Lines<'_>) -> Vec<Unit> {
    let mut units = vec![Unit {
        kind: UnitKind::Document,
        text: stem.to_owned(),
        line: 1,
        lines: 1,
        path: Arc::from([]),
        parent: None,
        previous: None,
        next: None,
    }];
    // The headings that the present line stands under: level, position of the unit, path down to it.
    let mut above: Vec<(HeadingLevel, usize, Arc<[String]>)> = Vec::new();
    let none: Arc<[String]> = Arc::from([]);
    for piece in pieces {
        if let Some((level, _)) = &piece.heading {
            above.retain(|(other, ..)| other < level);
        }
        let (parent, outer) = above.last().map_or((0, &none), |(_, at, path)| (*at, path));
        let path: Arc<[String]> = match &piece.heading {
            Some((_, title)) => outer.iter().cloned().chain([title.clone()]).collect(),
            None => Arc::clone(outer),
        };
        let text = if piece.kind == UnitKind::Heading {
            format!("{stem}\n{}", path.join("\n"))
        } else {
            (piece.first..piece.first + piece.count)
                .map(|line| lines.get(line))
                .collect::<Vec<_>>()
                .join("\n")
        };
        if let (UnitKind::Heading, Some((level, _))) = (piece.kind, &piece.heading) {
            above.push((*level, units.len(), Arc::clone(&path)));
        }
        units.push(Unit {
            kind: piece.kind,
            text,
            line: piece.first + 1,
            lines: piece.count,
            path,
            parent: Some(parent),
            previous: None,
            next: None,
        });
    }
    link_neighbours(&mut units);
    units
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLE: &str = "# Notes\n\nIntro line.\nStill intro.\n\n## Tasks\n- one\n  more of one\n  - nested\n- two\n\n\
        ```rs\n# not a heading\nfn main() {}\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n<!-- ID: p_1 -->\n---\n## Empty\n";

    fn outline(units: &[Unit]) -> Vec<(UnitKind, usize, usize)> {
        units.iter().map(|unit| (unit.kind, unit.line, unit.lines)).collect()
    }

    #[test]
    fn a_document_is_cut_at_its_blocks() {
        use UnitKind::{Code, Document, Heading, Item, Paragraph, Row};
        let units = markdown_units("notes", SAMPLE);
        assert_eq!(
            outline(&units),
            [
                (Document, 1, 1),
                (Heading, 1, 1),
                (Paragraph, 3, 2),
                (Heading, 6, 1),
                (Item, 7, 2),
                (Item, 9, 1),
                (Item, 10, 1),
                (Code, 12, 4),
                (Row, 17, 1),
                (Paragraph, 18, 1),
                (Row, 19, 1),
                (Paragraph, 21, 1),
                (Paragraph, 22, 1),
                (Heading, 23, 1),
            ]
        );
    }

    #[test]
    fn a_unit_knows_its_headings_and_neighbours() {
        let units = markdown_units("notes", SAMPLE);
        let two = &units[6];
        assert_eq!(two.text, "- two");
        assert_eq!(two.path.as_ref(), ["Notes", "Tasks"]);
        assert_eq!((two.parent, two.previous, two.next), (Some(3), Some(5), Some(7)));
        assert_eq!(units[2].parent, Some(1));
        assert_eq!(units[1].parent, Some(0));
    }

    #[test]
    fn a_decision_is_one_unit_with_its_heading() {
        let log = "# Decision Log\n\n## Use PG\n- **Date:** 2026\n- **Decision:** pg\n\n## Empty\n\n## Use Redis\n\ntext\n";
        let units = markdown_units("decision-log", log);
        let titles: Vec<_> =
            units.iter().map(|unit| (unit.kind, unit.title(), unit.line, unit.lines)).collect();
        assert_eq!(
            titles,
            [
                (UnitKind::Document, None, 1, 1),
                (UnitKind::Heading, Some("Decision Log"), 1, 1),
                (UnitKind::Decision, Some("Use PG"), 3, 3),
                (UnitKind::Heading, Some("Empty"), 7, 1),
                (UnitKind::Decision, Some("Use Redis"), 9, 3),
            ]
        );
    }

    proptest! {
        #[test]
        fn every_line_with_text_belongs_to_exactly_one_unit(
            lines in proptest::collection::vec("(#{1,3} |- |  - |> |```|\\| |1\\. |    )?[a-z|`*_ -]{0,12}\r?", 0..40)
        ) {
            let text = lines.join("\n");
            let units = markdown_units("notes", &text);
            let mut owners = vec![0; text.split('\n').count()];
            for unit in units.iter().skip(1) {
                owners.iter_mut().skip(unit.line - 1).take(unit.lines).for_each(|owners| *owners += 1);
            }
            for (line, owner) in text.split('\n').zip(owners) {
                prop_assert!(owner <= 1);
                prop_assert!(owner == 1 || line.trim().is_empty(), "{:?}", line);
            }
        }
    }
}
