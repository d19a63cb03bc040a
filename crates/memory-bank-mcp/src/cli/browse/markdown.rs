//! Markdown for a terminal: the text as it is, with colours for its structure. Marks stay, so that the shown text is the stored
//! text.

use super::screen::{Screen, Style};

/// Adds a document.
pub(super) fn put(screen: &mut Screen, text: &str) {
    let mut block = Block::Text;
    for line in text.lines() {
        block = put_line(screen, line, block);
        screen.end();
    }
}

/// The block that a line continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    /// A fence of this character, with its least length.
    Fence(char, usize),
    Comment,
}

fn put_line(screen: &mut Screen, line: &str, block: Block) -> Block {
    let trimmed = line.trim_start();
    match block {
        Block::Fence(mark, count) => {
            screen.put(Style::Code, line);
            let is_end = fence(trimmed).is_some_and(|(other, others)| other == mark && others >= count)
                && trimmed.trim_end().chars().all(|character| character == mark);
            return if is_end { Block::Text } else { block };
        }
        Block::Comment => {
            screen.put(Style::Dim, line);
            return if line.contains("-->") { Block::Text } else { block };
        }
        Block::Text => {}
    }
    if let Some((mark, count)) = fence(trimmed) {
        screen.put(Style::Code, line);
        return Block::Fence(mark, count);
    }
    if trimmed.starts_with("<!--") {
        screen.put(Style::Dim, line);
        return if line.contains("-->") { Block::Text } else { Block::Comment };
    }
    let (indent, rest) = line.split_at_checked(line.len() - trimmed.len()).unwrap_or(("", line));
    if is_heading(rest) {
        screen.put(Style::Heading, line);
    } else if rest.starts_with('>') {
        screen.put(Style::Dim, line);
    } else {
        screen.put(Style::Plain, indent);
        let rest = bullet(screen, rest);
        put_inline(screen, rest);
    }
    Block::Text
}

/// Adds a line's text with its emphasis and code.
pub(super) fn put_inline(screen: &mut Screen, mut text: &str) {
    while let Some(at) = text.find(['`', '*']) {
        let (before, rest) = text.split_at_checked(at).unwrap_or((text, ""));
        screen.put(Style::Plain, before);
        let (mark, style) = if rest.starts_with("**") {
            ("**", Style::Strong)
        } else if rest.starts_with('`') {
            ("`", Style::Code)
        } else {
            ("*", Style::Plain)
        };
        let inner = rest.strip_prefix(mark).unwrap_or_default();
        match inner.find(mark).filter(|end| *end > 0 && style != Style::Plain) {
            Some(end) => {
                let length = mark.len() * 2 + end;
                let (whole, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
                screen.put(style, whole);
                text = after;
            }
            None => {
                screen.put(Style::Plain, mark);
                text = inner;
            }
        }
    }
    screen.put(Style::Plain, text);
}

/// Adds the mark of a list's item, and returns the text after it.
fn bullet<'t>(screen: &mut Screen, text: &'t str) -> &'t str {
    for mark in ["- [ ] ", "- [x] ", "- [X] ", "- ", "* ", "+ "] {
        if let Some(rest) = text.strip_prefix(mark) {
            screen.put(Style::Mark, mark);
            return rest;
        }
    }
    let digits = text.len() - text.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    let (number, rest) = text.split_at_checked(digits).unwrap_or(("", text));
    match rest.strip_prefix(". ") {
        Some(rest) if (1..=9).contains(&digits) => {
            screen.put(Style::Mark, number).put(Style::Mark, ". ");
            rest
        }
        _ => text,
    }
}

fn is_heading(text: &str) -> bool {
    let level = text.len() - text.trim_start_matches('#').len();
    (1..=6).contains(&level) && text.trim_start_matches('#').starts_with([' ', '\t'])
}

fn fence(text: &str) -> Option<(char, usize)> {
    let mark = text.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let count = text.chars().take_while(|character| *character == mark).count();
    (count >= 3).then_some((mark, count))
}

#[cfg(test)]
mod tests {
    use super::super::screen::View;
    use super::*;

    fn shown(text: &str, colours: bool) -> String {
        let mut screen = Screen::new(View { is_terminal: true, colours, pages: false });
        put(&mut screen, text);
        screen.into_text()
    }

    const TEXT: &str = "# Title\n\ntext **bold** `code` 2 * 3 ** x\n- [x] done\n1. first\n> quote\n```sh\n# no heading\n```\n\
        <!-- a\nb -->\n## End\n";

    #[test]
    fn nothing_of_the_text_is_lost_or_added() {
        assert_eq!(shown(TEXT, false), TEXT);
        let coloured = shown(TEXT, true);
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            plain.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        plain.push_str(rest);
        assert_eq!(plain, TEXT);
    }

    #[test]
    fn a_heading_in_a_fence_is_code() {
        let coloured = shown(TEXT, true);
        assert!(coloured.contains("\u{1b}[32m# no heading"), "{coloured:?}");
        assert!(coloured.contains("\u{1b}[1;34m## End"), "{coloured:?}");
        assert!(
            coloured.contains("\u{1b}[1m**bold**") && coloured.contains("\u{1b}[2mb -->"),
            "{coloured:?}"
        );
    }

    #[test]
    fn odd_marks_do_not_end_the_line_early() {
        for text in ["`", "**", "*", "``", "a `b", "**x", "****", "-", "1.", "#", "~~", "é`ü`ö"] {
            assert_eq!(shown(text, false), format!("{text}\n"));
        }
    }
}
