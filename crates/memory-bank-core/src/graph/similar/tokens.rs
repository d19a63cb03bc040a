//! A fact as the words that count in a comparison: stems, numbers, names and negations, without function words.

use std::ops::Range;

use crate::search::{Language, dates_in, is_function_word};
use crate::unicode::{is_alphanumeric, nfkc};

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// A word in its stem.
    Word,
    /// A number, a date, a version.
    Number,
    /// The name of a person, place, product, file.
    Name,
    /// `not`, `never`, `without`. All are equal.
    Negation,
}

/// What precedes a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// A form of `be`, a colon or an equals sign: the token is the value of what precedes that.
    Copula,
    /// Something else.
    Other,
}

/// A word that counts.
#[derive(Debug, Clone)]
pub(super) struct Token {
    /// Equal for equal tokens.
    pub(super) key: String,
    /// The word in lower case.
    pub(super) word: String,
    pub(super) class: Class,
    before: Before,
    /// The next words of the text in lower case, function words included.
    next: [String; 2],
}

/// The tokens of a fact.
#[derive(Debug)]
pub(super) struct Sentence {
    pub(super) tokens: Vec<Token>,
    /// Whether it reports an event. An entity may have many events, which do not contradict each other.
    pub(super) is_event: bool,
}

const NEGATIONS: &[&str] = &[
    "not",
    "no",
    "never",
    "without",
    "cannot",
    "neither",
    "nor",
    "none",
    "isn't",
    "aren't",
    "wasn't",
    "weren't",
    "don't",
    "doesn't",
    "didn't",
    "won't",
    "can't",
    "couldn't",
    "shouldn't",
    "mustn't",
    "hasn't",
    "haven't",
    "nicht",
    "kein",
    "keine",
    "keinen",
    "keiner",
    "nie",
    "ohne",
    "pas",
    "jamais",
    "sans",
    "nunca",
    "sin",
    "sem",
    "não",
    "non",
    "mai",
    "senza",
    "не",
    "нет",
    "без",
    "никогда",
    "nigdy",
    "bez",
];
const COPULAS: &[&str] = &[
    "is", "are", "was", "were", "be", "equals", "=", "ist", "sind", "est", "sont", "es", "son", "é", "são",
    "è", "sono", "jest",
];
/// Numbers as words.
const NUMBER_WORDS: &[(&str, &str)] = &[
    ("zero", "0"),
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("ten", "10"),
    ("eleven", "11"),
    ("twelve", "12"),
    ("fifteen", "15"),
    ("twenty", "20"),
    ("thirty", "30"),
    ("forty", "40"),
    ("fifty", "50"),
    ("sixty", "60"),
    ("ninety", "90"),
    ("hundred", "100"),
    ("thousand", "1000"),
];
/// Words after a subject.
const AUXILIARIES: &[&str] = &[
    "is", "are", "was", "were", "has", "have", "had", "can", "could", "must", "may", "might", "will",
    "would", "should", "does", "did", "means", "ist", "sind", "hat", "kann", "muss", "est", "sont", "es",
    "son", "tiene", "a", "ha", "è",
];
/// Words before a number that is a name.
const LABELS: &[&str] = &[
    "adr",
    "appendix",
    "attempt",
    "batch",
    "bug",
    "build",
    "case",
    "chapter",
    "code",
    "commit",
    "day",
    "epic",
    "error",
    "example",
    "figure",
    "issue",
    "item",
    "iteration",
    "level",
    "line",
    "milestone",
    "option",
    "page",
    "part",
    "phase",
    "pr",
    "question",
    "release",
    "request",
    "requirement",
    "rfc",
    "round",
    "rule",
    "section",
    "sprint",
    "stage",
    "step",
    "story",
    "table",
    "task",
    "ticket",
    "tier",
    "week",
];
/// Verbs, as stems, of things of which there may be several, so that another object is not a contradiction.
const OF_MANY: &[&str] = &[
    "call", "connect", "consum", "contain", "depend", "emit", "expos", "has", "have", "handl", "import",
    "includ", "integr", "know", "like", "need", "provid", "publish", "read", "requir", "send", "subscrib",
    "support", "talk", "use", "write",
];
/// Verbs, as stems, whose subject is one.
const OF_ONE: &[&str] = &["own", "lead", "maintain", "manag"];
const UNITS: &[&str] = &[
    "byte", "day", "hour", "kilobyt", "megabyt", "gigabyt", "minut", "month", "percent", "second", "week",
    "year", "ms", "s", "min", "h", "kb", "mb", "gb", "tb", "kib", "mib", "gib", "%",
];
/// Pairs of antonyms, as stems.
const OPPOSITES: &[(&str, &str)] = &[
    ("enabl", "disabl"),
    ("on", "off"),
    ("true", "fals"),
    ("yes", "no"),
    ("allow", "forbid"),
    ("allow", "forbidden"),
    ("allow", "deni"),
    ("allow", "disallow"),
    ("permit", "forbid"),
    ("requir", "option"),
    ("mandatori", "option"),
    ("public", "privat"),
    ("open", "close"),
    ("synchron", "asynchron"),
    ("sync", "async"),
    ("stabl", "unstabl"),
    ("up", "down"),
    ("support", "unsupport"),
    ("intern", "extern"),
    ("possibl", "imposs"),
    ("safe", "unsaf"),
    ("encrypt", "unencrypt"),
    ("mutabl", "immut"),
    ("valid", "invalid"),
    ("accept", "reject"),
    ("succeed", "fail"),
    ("activ", "inact"),
    ("visibl", "hidden"),
    ("present", "absent"),
    ("includ", "exclud"),
    ("minimum", "maximum"),
    ("always", "rare"),
];
/// Past forms that begin a report and do not end in `ed`.
const IRREGULAR_PAST: &[&str] = &[
    "met", "sent", "built", "ran", "wrote", "went", "made", "began", "got", "took", "gave", "found", "broke",
    "saw", "did",
];
/// Words after a participle that is a state.
const AFTER_STATES: &[&str] = &["by", "in", "on", "with", "at", "from"];

/// Whether one stem denies the other.
pub(super) fn are_opposites(one: &str, other: &str) -> bool {
    OPPOSITES.iter().any(|pair| *pair == (one, other) || *pair == (other, one))
}

/// Whether a word says that something holds without exception, so that a negation in its place denies the rest.
pub(super) fn is_without_exception(word: &str) -> bool {
    matches!(word, "always" | "immer" | "toujours" | "siempre" | "sempre" | "всегда" | "zawsze")
}

/// Whether a stem is a unit of measure.
pub(super) fn is_unit(stem: &str) -> bool {
    UNITS.contains(&stem)
}

/// A word of the text with its position.
struct Spelt<'a> {
    text: &'a str,
    lower: String,
    after_colon: bool,
}

impl Sentence {
    pub(super) fn of(text: &str) -> Self {
        // Full-width digits and letters are the same as the others.
        let mut text = nfkc(text).replace('=', ": ");
        // In a text of capitals none marks a name.
        if !text.chars().any(char::is_lowercase) {
            text = text.to_lowercase();
        }
        let text = text.as_str();
        let words = spelt(text);
        let language = language_of(&words);
        let mut tokens: Vec<Token> = Vec::new();
        let mut at = 0;
        while let Some(word) = words.get(at) {
            let lower = word.lower.as_str();
            let next = |n: usize| words.get(at + n).map(|word| word.lower.clone()).unwrap_or_default();
            let class = class_of(word, tokens.is_empty(), &next(1), language);
            // `no longer` and `not any more` are one negation.
            let skip = usize::from(
                class == Class::Negation && matches!(next(1).as_str(), "longer" | "more" | "mehr" | "any"),
            );
            let is_last = at + 1 == words.len();
            let before = at.checked_sub(1).and_then(|before| words.get(before));
            let is_verb = lower == "own"
                && before.is_some_and(|word| {
                    let before = word.lower.as_str();
                    AUXILIARIES.contains(&before) || NEGATIONS.contains(&before)
                });
            let counts = class != Class::Word
                || !is_function_word(lower, language)
                || is_verb
                || is_meaningful(lower, is_last);
            if counts {
                let is_value =
                    word.after_colon || before.is_some_and(|word| COPULAS.contains(&word.lower.as_str()));
                tokens.push(Token {
                    key: key_of(lower, class, language),
                    word: lower.to_owned(),
                    class,
                    before: if is_value { Before::Copula } else { Before::Other },
                    next: [next(1 + skip), next(2 + skip)],
                });
            }
            at += 1 + skip;
        }
        Self { is_event: is_event(text, &words), tokens }
    }

    /// Whether the number at this index names a thing: `step 3`, `port 80 is open`.
    pub(super) fn is_label(&self, at: usize) -> bool {
        let Some(number) = self.tokens.get(at) else { return false };
        let before = at.checked_sub(1).and_then(|before| self.tokens.get(before));
        let is_labelled =
            before.is_some_and(|word| LABELS.contains(&word.key.as_str())) && number.before == Before::Other;
        let is_subject =
            at > 0 && number.before == Before::Other && AUXILIARIES.contains(&number.next[0].as_str());
        is_labelled || is_subject || number.key.starts_with('#')
    }

    /// Whether the name in this range is the value of a property that has only one: another name contradicts it.
    pub(super) fn is_value(&self, range: &Range<usize>, common: usize) -> bool {
        let (Some(first), Some(last)) =
            (self.tokens.get(range.start), self.tokens.get(range.end.saturating_sub(1)))
        else {
            return false;
        };
        let follows = self.tokens.get(range.end);
        if range.start == 0 && first.before == Before::Other {
            let is_role = AUXILIARIES.contains(&last.next[0].as_str())
                && matches!(
                    last.next[1].as_str(),
                    "the" | "our" | "its" | "der" | "die" | "das" | "le" | "la" | "el"
                );
            let is_of_one = follows.is_some_and(|verb| OF_ONE.contains(&verb.key.as_str()));
            return is_role || is_of_one;
        }
        if first.before == Before::Copula {
            return true;
        }
        // A verb behind it makes it a part of the subject.
        let next = last.next[0].as_str();
        let is_subject = AUXILIARIES.contains(&next)
            || (next.len() > 3
                && next.ends_with('s')
                && follows.is_some_and(|verb| verb.class == Class::Word && next.starts_with(&verb.key)));
        let verb = range.start.checked_sub(1).and_then(|before| self.tokens.get(before));
        let is_of_many = follows.is_none() && verb.is_some_and(|verb| OF_MANY.contains(&verb.key.as_str()));
        common >= 2 && !is_subject && !is_of_many
    }
}

/// Splits at white space, without the punctuation around words.
fn spelt(text: &str) -> Vec<Spelt<'_>> {
    let mut words: Vec<Spelt<'_>> = Vec::new();
    let mut after_colon = false;
    for piece in
        text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"' | '`' | '„' | '“' | '”'))
    {
        let is_in_word = |c: char| is_alphanumeric(c) || matches!(c, '#' | '%' | '/' | '_' | '@' | '+');
        let word = piece
            .trim_start_matches(|c: char| !is_in_word(c) && c != '-')
            .trim_end_matches(|c: char| !is_in_word(c));
        let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
        // An article or a particle before an apostrophe: `n'est`, `l'API`.
        let word = match word.split_once(['\'', '’']) {
            Some((particle, word)) if particle.chars().count() <= 2 && word.chars().count() > 1 => word,
            _ => word,
        };
        if word.chars().any(is_alphanumeric) {
            let lower = word.to_lowercase().replace('’', "'");
            words.push(Spelt { text: word, lower, after_colon });
            after_colon = false;
        }
        after_colon |= piece.ends_with(':');
    }
    words
}

fn language_of(words: &[Spelt<'_>]) -> Language {
    let count = |language| words.iter().filter(|word| is_function_word(&word.lower, language)).count();
    let mut best = (Language::English, count(Language::English));
    for language in Language::ALL {
        let found = count(language);
        if found > best.1 {
            best = (language, found);
        }
    }
    best.0
}

fn class_of(word: &Spelt<'_>, is_first: bool, next: &str, language: Language) -> Class {
    let lower = word.lower.as_str();
    if NEGATIONS.contains(&lower) || (lower == "n't") {
        return Class::Negation;
    }
    if number_of(lower).is_some() {
        return Class::Number;
    }
    let digits = lower.bytes().any(|byte| byte.is_ascii_digit());
    let begins = lower.trim_start_matches(['#', '-', '+', '~', '<', '>', 'v']);
    if digits && begins.starts_with(|c: char| c.is_ascii_digit()) {
        return Class::Number;
    }
    let has_inner = word.text.char_indices().skip(1).any(|(_, c)| c.is_uppercase());
    let is_identifier = digits
        || lower.contains(['_', '/', '@'])
        || lower.trim_end_matches('.').contains('.')
        || (has_inner && !word.text.contains('-'));
    if is_identifier {
        return Class::Name;
    }
    let is_capital = word.text.starts_with(char::is_uppercase) && language != Language::German;
    if !is_capital || is_function_word(lower, language) {
        return Class::Word;
    }
    // The first word has a capital anyway; before a verb it is a subject.
    let is_before_verb = AUXILIARIES.contains(&next)
        || OF_ONE.iter().any(|verb| next.starts_with(verb) && next.ends_with('s'));
    if is_first && !is_before_verb { Class::Word } else { Class::Name }
}

/// Function words that change the meaning of a sentence.
fn is_meaningful(lower: &str, is_last: bool) -> bool {
    (is_last && matches!(lower, "on" | "off" | "up" | "down"))
        || matches!(
            lower,
            "before" | "after" | "above" | "below" | "under" | "over" | "between" | "only" | "all"
        )
}

/// The digits of a number that is written as a word. "One" is not a number in most texts.
fn number_of(lower: &str) -> Option<&'static str> {
    NUMBER_WORDS.iter().find(|(word, _)| *word == lower).map(|(_, number)| *number)
}

/// A number without the signs that separate its thousands: `1,000,000`, `10_000`.
fn without_separators(number: &str) -> String {
    let groups: Vec<&str> = number.split([',', '_', '\'']).collect();
    let is_group = |group: &&str| group.len() == 3 && group.bytes().all(|byte| byte.is_ascii_digit());
    let is_head =
        |group: &&&str| (1..=3).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_digit());
    match groups.split_first() {
        Some((head, rest)) if is_head(&head) && rest.iter().all(is_group) => groups.concat(),
        _ => number.to_owned(),
    }
}

fn key_of(lower: &str, class: Class, language: Language) -> String {
    match class {
        Class::Negation => "\u{ac}".to_owned(),
        Class::Word => language.stem(lower).unwrap_or_else(|| lower.to_owned()),
        Class::Number => match number_of(lower) {
            Some(number) => number.to_owned(),
            None => without_separators(lower.trim_start_matches(['v', '+', '~'])),
        },
        Class::Name => lower.to_owned(),
    }
}

/// Whether the text reports what happened: it begins with a date, or with a verb in the past that is not a state.
fn is_event(text: &str, words: &[Spelt<'_>]) -> bool {
    if dates_in(text).iter().any(|date| date.start <= 3) {
        return true;
    }
    words.iter().enumerate().any(|(at, word)| {
        let lower = word.lower.as_str();
        // A name behind the first word is no verb.
        let may_be_verb = at == 0 || !word.text.starts_with(char::is_uppercase);
        let ends_as_past = lower.len() > 4 && lower.ends_with("ed");
        let is_past = may_be_verb && (ends_as_past || (at < 2 && IRREGULAR_PAST.contains(&lower)));
        let before = at.checked_sub(1).and_then(|before| words.get(before));
        let after = words.get(at + 1).map(|word| word.lower.as_str()).unwrap_or_default();
        let is_state = before
            .is_some_and(|word| AUXILIARIES.contains(&word.lower.as_str()) || word.lower == "be")
            || AFTER_STATES.contains(&after);
        // Later in the sentence it is a participle: `the supported versions`.
        is_past && !is_state && at < 2 && !after.is_empty()
    })
}
