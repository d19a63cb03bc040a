//! Blocks that a text leaves open: a code fence, an HTML comment. Text after one would become a part of it and be
//! invisible. This module only computes the closing text.

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag};

use crate::document::dialect::{dialect, front_matter};
use crate::document::section::Outline;

/// The line that closes the block in which the text ends, if it ends in one.
pub(super) fn closing_line(text: &str) -> Option<String> {
    let skipped = front_matter(text);
    let mut depth = 0_usize;
    let mut last = None;
    for (event, range) in Parser::new_ext(text.get(skipped..)?, dialect()).into_offset_iter() {
        match event {
            Event::Start(tag) => {
                if depth == 0 {
                    let may_stay_open =
                        matches!(tag, Tag::CodeBlock(CodeBlockKind::Fenced(_)) | Tag::HtmlBlock);
                    last = may_stay_open.then_some(range.start + skipped);
                }
                depth += 1;
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            _ if depth == 0 => last = None,
            _ => {}
        }
    }
    let opening = text.get(last?..)?.trim_start();
    if shows_what_follows(text) {
        return None;
    }
    let closing = closing_of(opening)?;
    shows_what_follows(&format!("{text}\n{closing}")).then_some(closing)
}

/// Whether the text begins with unclosed front matter. An inserted line of three dashes would close it and hide
/// everything above.
pub(super) fn front_matter_is_open(text: &str) -> bool {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines();
    lines.next().is_some_and(|line| line.trim_end() == "---")
        && lines.next().is_some_and(|line| !line.trim().is_empty())
        && front_matter(text) == 0
}

fn shows_what_follows(text: &str) -> bool {
    let tried = format!("{text}\n\n# .\n");
    Outline::of(&tried).headings().last().is_some_and(|heading| heading.range.end == tried.len())
}

fn closing_of(opening: &str) -> Option<String> {
    if let Some(character) = opening.chars().next().filter(|character| matches!(character, '`' | '~')) {
        return Some(opening.chars().take_while(|other| *other == character).collect());
    }
    let start: String = opening.chars().take(10).collect::<String>().to_lowercase();
    let closings = [
        ("<!--", "-->"),
        ("<![cdata[", "]]>"),
        ("<!", ">"),
        ("<?", "?>"),
        ("<script", "</script>"),
        ("<style", "</style>"),
        ("<textarea", "</textarea>"),
        ("<pre", "</pre>"),
    ];
    closings.iter().find(|(tag, _)| start.starts_with(tag)).map(|(_, closing)| (*closing).to_owned())
}
