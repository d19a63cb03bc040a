//! Text for a terminal or a pipe. Only this module writes escape sequences; texts of a bank are neutralised before they
//! are added, since a document must not control the terminal that shows it.

use std::io::IsTerminal;

use memory_bank_core::unicode::misleads_on_terminal;
use serde_json::Value;

/// How the output is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct View {
    /// Standard output is a terminal.
    pub(super) is_terminal: bool,
    /// With colours.
    pub(super) colours: bool,
    /// Through a pager.
    pub(super) pages: bool,
}

impl View {
    /// Colours are for a terminal that has them, unless `NO_COLOR` is set.
    pub(super) fn of_this_process(pages: bool) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let terminal = std::env::var_os("TERM");
        // An old console of Windows shows escape sequences as text.
        let is_known = cfg!(not(windows)) || terminal.is_some() || std::env::var_os("WT_SESSION").is_some();
        let has_colours = is_known && terminal.as_ref().is_none_or(|kind| *kind != "dumb");
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        // A pager needs a terminal that moves its cursor.
        let pages = pages && terminal.as_ref().is_none_or(|kind| *kind != "dumb");
        Self { is_terminal, colours: is_terminal && has_colours && !is_plain, pages: is_terminal && pages }
    }
}

/// The look of a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    /// A heading.
    Heading,
    /// Emphasised text.
    Strong,
    /// A name of a document or node.
    Name,
    /// Less important text.
    Dim,
    /// A date.
    Date,
    /// A hit of a search.
    Hit,
    /// Code.
    Code,
    /// A mark of a list.
    Mark,
    /// A problem.
    Alert,
}

impl Style {
    /// The parameters of the escape sequence.
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Heading => "1;34",
            Self::Strong => "1",
            Self::Name => "36",
            Self::Dim => "2",
            Self::Date => "33",
            Self::Hit => "1;31",
            Self::Code => "32",
            Self::Mark => "34",
            Self::Alert => "31",
        }
    }
}

/// Output that grows piece by piece.
#[derive(Debug)]
pub(super) struct Screen {
    view: View,
    text: String,
}

impl Screen {
    pub(super) fn new(view: View) -> Self {
        Self { view, text: String::new() }
    }

    pub(super) fn view(&self) -> View {
        self.view
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Adds a text in one line; line ends in it become blanks.
    pub(super) fn put(&mut self, style: Style, text: &str) -> &mut Self {
        let on = self.view.colours && style != Style::Plain && !text.is_empty();
        if on {
            self.text.push_str(&format!("\u{1b}[{}m", style.code()));
        }
        for character in text.strip_suffix('\r').unwrap_or(text).chars() {
            match character {
                '\n' => self.text.push(' '),
                character => push_visible(&mut self.text, character),
            }
        }
        if on {
            self.text.push_str("\u{1b}[0m");
        }
        self
    }

    /// Adds the text, and blanks up to this width.
    pub(super) fn column(&mut self, style: Style, text: &str, width: usize) -> &mut Self {
        let shown: usize = text.chars().map(visible_width).sum();
        self.put(style, text).put(Style::Plain, &" ".repeat(width.saturating_sub(shown)))
    }

    /// Ends the line.
    pub(super) fn end(&mut self) -> &mut Self {
        let length = self.text.trim_end_matches(' ').len();
        self.text.truncate(length);
        self.text.push('\n');
        self
    }

    /// A line of one style.
    pub(super) fn line(&mut self, style: Style, text: &str) -> &mut Self {
        self.put(style, text).end()
    }

    /// A text of several lines, each indented.
    pub(super) fn block(&mut self, style: Style, indent: &str, text: &str) -> &mut Self {
        for line in text.lines() {
            self.put(Style::Plain, indent).put(style, line).end();
        }
        self
    }

    /// A blank line, unless nothing is above it.
    pub(super) fn gap(&mut self) -> &mut Self {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
        self
    }

    /// A title above a part, with a blank line before it.
    pub(super) fn title(&mut self, text: &str) -> &mut Self {
        self.gap().line(Style::Heading, text)
    }

    /// Adds bytes of a document as they are; not for a terminal.
    pub(super) fn unchanged(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// Data as one line of JSON without characters that control a terminal: they are escaped, which changes no value.
pub(super) fn json_line(data: &Value) -> String {
    let mut line = String::new();
    for character in data.to_string().chars() {
        if misleads_on_terminal(character) {
            let mut units = [0; 2];
            line.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            line.push(character);
        }
    }
    line.push('\n');
    line
}

fn push_visible(text: &mut String, character: char) {
    if misleads_on_terminal(character) {
        text.extend(character.escape_unicode());
    } else {
        text.push(character);
    }
}

/// How many characters a character is shown as.
fn visible_width(character: char) -> usize {
    if misleads_on_terminal(character) { character.escape_unicode().count() } else { 1 }
}

/// A moment to the minute: `2026-11-22 09:30`.
pub(super) fn moment(iso: &str) -> String {
    iso.chars().take(16).map(|character| if character == 'T' { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOURED: View = View { is_terminal: true, colours: true, pages: false };

    fn shown(view: View, style: Style, text: &str) -> String {
        let mut screen = Screen::new(view);
        screen.put(style, text);
        screen.into_text()
    }

    #[test]
    fn a_text_of_the_bank_never_adds_an_escape_sequence() {
        let attacks = [
            "\u{1b}]0;title\u{7}",
            "\u{1b}[2J\u{1b}[H",
            "\u{9b}31m",
            "\u{1b}]52;c;cm0gLXJm\u{1b}\\",
            "a\u{8}\u{8}b",
            "\u{202e}evil\u{2066}",
            "x\u{200b}\u{feff}\u{e0041}",
            "one\rtwo\u{2028}three\u{85}",
        ];
        for attack in attacks {
            for view in [COLOURED, View { colours: false, ..COLOURED }] {
                let text = shown(view, Style::Plain, attack);
                assert!(!text.chars().any(misleads_on_terminal), "{attack:?}: {text:?}");
            }
            let styled = shown(COLOURED, Style::Hit, attack);
            let inner = styled.strip_prefix("\u{1b}[1;31m").unwrap().strip_suffix("\u{1b}[0m").unwrap();
            assert!(!inner.chars().any(misleads_on_terminal), "{attack:?}: {styled:?}");
        }
        assert_eq!(shown(COLOURED, Style::Plain, "\u{1b}[2J"), "\\u{1b}[2J");
    }

    #[test]
    fn json_is_the_same_value_without_characters_that_control_a_terminal() {
        let data = serde_json::json!({"a\u{202e}": "\u{1b}[2J \u{9b}31m \u{7f} \u{e0041} größe \t\n\\"});
        let line = json_line(&data);
        assert!(!line.trim_end().chars().any(misleads_on_terminal), "{line:?}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), data);
    }

    #[test]
    fn scripts_and_emoji_stay_as_they_are() {
        let text = "größe 記憶 \u{645}\u{6cc}\u{200c}\u{62e} 👩\u{200d}💻 e\u{301}\tx";
        assert_eq!(shown(COLOURED, Style::Plain, text), text);
    }

    #[test]
    fn no_style_reaches_a_pipe() {
        let piped = View { is_terminal: false, colours: false, pages: false };
        assert_eq!(shown(piped, Style::Heading, "Tasks"), "Tasks");
    }
}
