//! One rule of secrets: where a value is, and which form it must have. It must not know which rules there are.

use std::ops::Range;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};

use super::improbable::{is_improbable, is_improbable_base64};

/// The most bytes of a compiled pattern.
const PATTERN_BYTES: usize = 32 * 1024 * 1024;

/// The form that a value must have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueForm {
    /// Anything.
    Any,
    /// Letters with digits or punctuation.
    Mixed,
    /// Random: small letters, capitals and digits take turns.
    Random,
    /// Letters and digits that nobody writes as a name.
    Improbable,
    /// A number in base 64 that nobody writes as a path.
    Base64,
    /// A password: letters with digits or with signs between them, or many digits.
    Password,
    /// A hexadecimal number with letters and digits, of another length than the id of a commit.
    Hexadecimal,
}

/// The digits of a commit's id.
const COMMIT_DIGITS: usize = 40;

impl ValueForm {
    pub(super) fn fits(self, value: &[u8]) -> bool {
        let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
        let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
        match self {
            Self::Any => true,
            Self::Mixed => {
                let punctuation = value.iter().filter(|byte| b"!@#$%^*+=/~?".contains(byte)).count();
                letters > 0 && digits + punctuation > 0
            }
            Self::Improbable => is_improbable(value),
            Self::Base64 => is_improbable_base64(value),
            Self::Password => is_password(value),
            Self::Hexadecimal => letters > 0 && digits > 0 && value.len() != COMMIT_DIGITS,
            Self::Random => {
                let class = |byte: &u8| (byte.is_ascii_digit(), byte.is_ascii_uppercase());
                let runs = value.chunk_by(|a, b| class(a) == class(b)).count();
                let has_cases =
                    value.iter().any(u8::is_ascii_lowercase) && value.iter().any(u8::is_ascii_uppercase);
                // Names in camel case change half as often.
                letters > 0 && digits > 0 && has_cases && runs * 20 >= value.len() * 9
            }
        }
    }
}

/// A rule for secrets without an issuer.
pub(super) struct ValueRule {
    /// One of these is in each text with such a secret, in small letters; none if any text may have one.
    triggers: Vec<&'static str>,
    /// The fewest characters of a word in such a text.
    least_word: usize,
    /// What else each such text has, in small letters; most texts without a secret are recognised by that.
    condition: fn(&str) -> bool,
    /// Where such secrets may be.
    pub(super) matcher: ValueMatcher,
    /// The form that the secret must have.
    form: ValueForm,
}

/// Where a text may have a secret.
pub(super) enum ValueMatcher {
    /// Where a pattern finds it, in its first group.
    Pattern(LazyPattern),
    /// Each longest word of such characters with at least `least` of them.
    Word { is_part: fn(u8) -> bool, least: usize },
}

/// A pattern that is compiled for the first text that may match it, since that takes about a millisecond.
pub(super) struct LazyPattern {
    pub(super) source: String,
    compiled: OnceLock<Option<Regex>>,
}

impl LazyPattern {
    pub(super) fn new(source: impl Into<String>) -> Self {
        Self { source: source.into(), compiled: OnceLock::new() }
    }

    /// The pattern; none if it does not compile, which a test excludes.
    pub(super) fn get(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| compile(&self.source)).as_ref()
    }

    /// Adds the places where the pattern finds a value of this form: its first group, or all of it.
    pub(super) fn find(&self, text: &[u8], form: ValueForm, found: &mut Vec<Range<usize>>) {
        let Some(pattern) = self.get() else { return };
        for captures in pattern.captures_iter(text) {
            let group = captures.iter().skip(1).flatten().next().or_else(|| captures.get(0));
            found.extend(group.filter(|group| form.fits(group.as_bytes())).map(|group| group.range()));
        }
    }
}

impl ValueRule {
    /// Whether a text in small letters, whose longest word has `longest_word` characters, may have such a secret.
    pub(super) fn may_be_in(&self, folded: &str, longest_word: usize) -> bool {
        longest_word >= self.least_word
            && (self.triggers.is_empty() || self.triggers.iter().any(|word| folded.contains(word)))
            && (self.condition)(folded)
    }

    /// The rule, for texts with this property only.
    pub(super) fn where_text(self, condition: fn(&str) -> bool) -> Self {
        Self { condition, ..self }
    }

    /// Adds the places of such secrets in a text.
    pub(super) fn find(&self, text: &[u8], found: &mut Vec<Range<usize>>) {
        match &self.matcher {
            ValueMatcher::Pattern(pattern) => pattern.find(text, self.form, found),
            ValueMatcher::Word { is_part, least } => {
                let mut end = 0;
                for word in text.chunk_by(|one, next| is_part(*one) == is_part(*next)) {
                    end += word.len();
                    let is_word = word.first().is_some_and(|byte| is_part(*byte));
                    if is_word && word.len() >= *least && self.form.fits(word) {
                        found.push(end - word.len()..end);
                    }
                }
            }
        }
    }
}

/// The length of the longest word of characters that secrets consist of.
pub(super) fn longest_word(text: &str) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"._+/=-".contains(byte);
    text.as_bytes().split(|byte| !is_part(byte)).map(<[u8]>::len).max().unwrap_or(0)
}

pub(super) fn rule(
    triggers: &[&'static str],
    least_word: usize,
    source: impl Into<String>,
    form: ValueForm,
) -> ValueRule {
    let matcher = ValueMatcher::Pattern(LazyPattern::new(source));
    ValueRule { triggers: triggers.to_vec(), least_word, condition: |_| true, matcher, form }
}

/// A rule for long words that nobody writes by hand.
pub(super) fn word_rule(is_part: fn(u8) -> bool, least: usize, form: ValueForm) -> ValueRule {
    let matcher = ValueMatcher::Word { is_part, least };
    ValueRule { triggers: Vec::new(), least_word: least, condition: |_| true, matcher, form }
}

/// A value in quotation marks, which ends at the second one, or a word of at least `least` characters, which ends before one of
/// `ends`, too. With `has_blanks`, a quoted one may have several words.
pub(super) fn value(ends: &str, least: usize, has_blanks: bool) -> String {
    let end = if has_blanks { r"\n" } else { r"\s" };
    format!(
        r#"(?:\\"([^"\\{end}]{{{least},}})|"((?:[^"\\{end}]|\\.){{{least},}})"|'([^'{end}]{{{least},}})'|`([^`{end}]{{{least},}})`|(?:\\?["'`])?([^\s"'`{ends}]{{{least},}}))"#
    )
}

/// A pattern on bytes; none if it is not one, which a test excludes.
pub(super) fn compile(source: &str) -> Option<Regex> {
    RegexBuilder::new(source).unicode(false).size_limit(PATTERN_BYTES).build().ok()
}

/// The fewest digits of a password without letters.
const PASSWORD_DIGITS: usize = 6;

/// Whether a word behind `is` is a password and not a word of the sentence, which may end with a mark.
fn is_password(word: &[u8]) -> bool {
    let is_end = |byte: &u8| byte.is_ascii_punctuation();
    let end = word.iter().rposition(|byte| !is_end(byte)).map_or(0, |last| last + 1);
    let word = word.get(..end).unwrap_or_default();
    let letters = word.iter().filter(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii()).count();
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    let signs = word.iter().filter(|byte| b"!@#$%^*+=~&?".contains(byte)).count();
    if letters == 0 { digits >= PASSWORD_DIGITS } else { digits + signs > 0 }
}
