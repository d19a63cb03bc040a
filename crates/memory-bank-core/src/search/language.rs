//! Languages: detection, function words, and inflection. It must not know units, the index, or weights.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};

use super::irregular;
use crate::unicode::is_alphabetic;

/// A supported language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Language {
    /// English, and texts of unknown language.
    #[default]
    English,
    /// German.
    German,
    /// French.
    French,
    /// Spanish.
    Spanish,
    /// Portuguese.
    Portuguese,
    /// Italian.
    Italian,
    /// Russian, and other languages in Cyrillic letters.
    Russian,
    /// Polish.
    Polish,
    /// Chinese.
    Chinese,
    /// Japanese.
    Japanese,
    /// Korean.
    Korean,
    /// Arabic.
    Arabic,
}

/// The function words, one language per line; the file names its sources.
const FUNCTION_WORDS: &str = include_str!("function-words.txt");

impl Language {
    /// The number of languages.
    pub const COUNT: usize = 12;

    /// All languages, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::English,
        Self::German,
        Self::French,
        Self::Spanish,
        Self::Portuguese,
        Self::Italian,
        Self::Russian,
        Self::Polish,
        Self::Chinese,
        Self::Japanese,
        Self::Korean,
        Self::Arabic,
    ];

    fn of_code(code: &str) -> Option<Self> {
        Some(match code {
            "en" => Self::English,
            "de" => Self::German,
            "fr" => Self::French,
            "es" => Self::Spanish,
            "pt" => Self::Portuguese,
            "it" => Self::Italian,
            "ru" => Self::Russian,
            "pl" => Self::Polish,
            "zh" => Self::Chinese,
            "ja" => Self::Japanese,
            "ko" => Self::Korean,
            _ => return None,
        })
    }

    fn bit(self) -> u16 {
        1 << (self as u16)
    }

    /// The stem of a word in lower case, if it differs from the word.
    #[must_use]
    pub fn stem(self, word: &str) -> Option<String> {
        if !word.chars().all(is_alphabetic) {
            return None;
        }
        let stem = match self {
            Self::English => match irregular::base_of(word) {
                Some(base) => stemmed(Algorithm::English, base),
                None if word.is_ascii() => stemmed(Algorithm::English, word),
                None => return None,
            },
            Self::German => stemmed(Algorithm::German, word),
            Self::French => stemmed(Algorithm::French, word),
            Self::Spanish => stemmed(Algorithm::Spanish, word),
            Self::Portuguese => {
                stemmed(Algorithm::Portuguese, &portuguese_singular(word)).into_owned().into()
            }
            Self::Italian => stemmed(Algorithm::Italian, word),
            Self::Russian => stemmed(Algorithm::Russian, word),
            Self::Arabic => stemmed(Algorithm::Arabic, word.strip_prefix("ال").unwrap_or(word)),
            Self::Polish => {
                let stem = polish_stem(word);
                // `serwer`, `serwerze`: some endings change the consonant before them.
                stem.strip_suffix("rz").map_or(Cow::Borrowed(stem), |hard| Cow::Owned(format!("{hard}r")))
            }
            Self::Korean => Cow::Borrowed(without_particle(word)),
            Self::Chinese | Self::Japanese => return None,
        };
        (!stem.is_empty() && stem != word).then(|| stem.into_owned())
    }
}

/// The languages of the words of one or more texts, counted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LanguageCounts {
    words: [u32; Language::COUNT],
    scripts: [u32; Language::COUNT],
}

impl LanguageCounts {
    /// Counts a word in lower case.
    pub(super) fn count(&mut self, word: &str) {
        if let Some(script) = script_of(word) {
            bump(&mut self.scripts, script);
        }
        let languages = function_languages(word);
        if languages != 0 {
            for language in Language::ALL.into_iter().filter(|language| languages & language.bit() != 0) {
                bump(&mut self.words, language);
            }
        }
    }

    /// Adds the counts of another text.
    pub(super) fn add(&mut self, other: &Self) {
        let all = self.words.iter_mut().chain(&mut self.scripts);
        for (mine, theirs) in all.zip(other.words.iter().chain(&other.scripts)) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// The language of the most frequent script, among scripts of one language.
    pub(super) fn script(&self) -> Option<Language> {
        let most = self.scripts.iter().copied().max().filter(|most| *most > 0)?;
        // Han characters are Japanese if the text has kana.
        let of = |language: Language| self.scripts.get(language as usize).copied().unwrap_or_default();
        if of(Language::Japanese) > 0 && of(Language::Chinese) == most {
            return Some(Language::Japanese);
        }
        Language::ALL.into_iter().find(|language| of(*language) == most)
    }

    /// The language with the most function words, and their number; of equals the first.
    pub(super) fn words(&self) -> (Language, u32) {
        let mut best = (Language::English, 0);
        for (language, count) in Language::ALL.into_iter().zip(self.words) {
            if count > best.1 {
                best = (language, count);
            }
        }
        best
    }

    /// The number of function words of a language.
    pub(super) fn of(&self, language: Language) -> u32 {
        self.words.get(language as usize).copied().unwrap_or_default()
    }

    /// The language of the text; `otherwise` if its words do not show it.
    pub(super) fn language(&self, otherwise: Language) -> Language {
        if let Some(script) = self.script() {
            return script;
        }
        let (best, count) = self.words();
        if count >= 2 && count > self.of(otherwise) { best } else { otherwise }
    }
}

fn bump(counts: &mut [u32; Language::COUNT], language: Language) {
    if let Some(count) = counts.get_mut(language as usize) {
        *count = count.saturating_add(1);
    }
}

/// Whether a word in lower case is a function word of this language, which a query does not search for.
#[must_use]
pub fn is_function_word(word: &str, language: Language) -> bool {
    function_languages(word) & language.bit() != 0
}

fn function_languages(word: &str) -> u16 {
    static WORDS: LazyLock<HashMap<&'static str, u16>> = LazyLock::new(|| {
        let mut words: HashMap<&'static str, u16> = HashMap::new();
        for line in FUNCTION_WORDS.lines().filter(|line| !line.starts_with('#')) {
            let mut parts = line.split(' ');
            let Some(language) = parts.next().and_then(Language::of_code) else { continue };
            for word in parts {
                *words.entry(word).or_default() |= language.bit();
            }
        }
        words
    });
    WORDS.get(word).copied().unwrap_or_default()
}

/// The language of a script; `None` for Latin letters, digits and signs.
fn script_of(word: &str) -> Option<Language> {
    if word.is_ascii() {
        return None;
    }
    word.chars().find_map(|c| match c {
        '\u{0400}'..='\u{052F}' => Some(Language::Russian),
        '\u{0600}'..='\u{06FF}' => Some(Language::Arabic),
        '\u{3040}'..='\u{30FF}' => Some(Language::Japanese),
        '\u{AC00}'..='\u{D7A3}' | '\u{1100}'..='\u{11FF}' => Some(Language::Korean),
        '\u{4E00}'..='\u{9FFF}' | '\u{3400}'..='\u{4DBF}' => Some(Language::Chinese),
        _ => None,
    })
}

fn stemmed(algorithm: Algorithm, word: &str) -> Cow<'_, str> {
    Stemmer::create(algorithm).stem(word)
}

/// `ções`, `ões` and `ães` are plurals of `ção` and `ão`, which the Snowball rules do not cover.
fn portuguese_singular(word: &str) -> Cow<'_, str> {
    match word.strip_suffix("ões").or_else(|| word.strip_suffix("ães")) {
        Some(stem) => Cow::Owned(format!("{stem}ão")),
        None => Cow::Borrowed(word),
    }
}

/// Removes the ending of a Polish word, without a dictionary: the longest that leaves three letters.
fn polish_stem(word: &str) -> &str {
    const ENDINGS: [&str; 64] = [
        "owaniach", "owaniami", "owaniem", "owaniom", "owania", "owaniu", "owanie", "owanych", "owanymi",
        "owany", "owana", "owane", "owano", "acjami", "acjach", "acjom", "acją", "acjo", "acji", "acje",
        "acja", "ację", "iami", "iach", "iego", "iemu", "ymi", "ych", "ego", "emu", "imi", "ich", "ach",
        "ami", "owi", "owie", "ów", "om", "em", "ie", "ia", "ią", "ię", "iu", "ym", "im", "ej", "ją", "ję",
        "ji", "ja", "je", "ły", "ła", "ło", "li", "ać", "eć", "ić", "yć", "ąć", "cie", "my", "sz",
    ];
    let longest = ENDINGS
        .iter()
        .filter_map(|ending| word.strip_suffix(ending))
        .filter(|stem| stem.chars().count() >= 3)
        .min_by_key(|stem| stem.len());
    let stem = longest.unwrap_or(word);
    if stem.len() < word.len() {
        return stem;
    }
    let cut = word.strip_suffix(['a', 'ą', 'e', 'ę', 'i', 'o', 'u', 'y', 'ó']);
    cut.filter(|stem| stem.chars().count() >= 3).unwrap_or(word)
}

/// Particles and endings of Korean nouns.
const PARTICLES: [&str; 44] = [
    "에서부터",
    "으로부터",
    "이라는",
    "에게서",
    "으로써",
    "으로서",
    "까지는",
    "에서는",
    "에서도",
    "이라고",
    "에는",
    "에서",
    "에게",
    "한테",
    "부터",
    "까지",
    "으로",
    "라는",
    "라고",
    "처럼",
    "보다",
    "마다",
    "조차",
    "밖에",
    "이나",
    "이란",
    "과는",
    "와는",
    "로는",
    "은",
    "는",
    "이",
    "가",
    "을",
    "를",
    "에",
    "로",
    "와",
    "과",
    "도",
    "만",
    "의",
    "나",
    "들",
];

/// Endings of Korean verbs.
const VERBS: [&str; 26] = [
    "하였습니다",
    "했습니다",
    "됩니다",
    "되었다",
    "됐습니다",
    "합니다",
    "하였다",
    "한다",
    "했다",
    "된다",
    "됐다",
    "하는",
    "되는",
    "하기",
    "하고",
    "하면",
    "해야",
    "하다",
    "되다",
    "했던",
    "하자",
    "하세요",
    "해요",
    "했어",
    "된",
    "할",
];

/// Removes the particle or the ending of a Korean word: the longest that leaves one syllable, of verbs two.
fn without_particle(word: &str) -> &str {
    let strip = |endings: &[&str], least: usize| {
        endings
            .iter()
            .filter_map(|ending| word.strip_suffix(ending))
            .filter(|stem| stem.chars().count() >= least)
            .min_by_key(|stem| stem.len())
    };
    strip(&VERBS, 2).or_else(|| strip(&PARTICLES, 2)).or_else(|| strip(&PARTICLES, 1)).unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Language::English, &["migrations", "migrated", "migrating"])]
    #[case(Language::English, &["bought", "buy", "buying"])]
    #[case(Language::German, &["Verbindungen", "Verbindung"])]
    #[case(Language::French, &["migrations", "migration"])]
    #[case(Language::Spanish, &["migración", "migraciones"])]
    #[case(Language::Portuguese, &["migração", "migrações"])]
    #[case(Language::Italian, &["migrazione", "migrazioni"])]
    #[case(Language::Russian, &["миграция", "миграции", "миграций", "миграцию"])]
    #[case(Language::Polish, &["migracja", "migracji", "migrację", "migracjami"])]
    #[case(Language::Polish, &["serwera", "serwerze", "serwery", "serwerów"])]
    #[case(Language::Korean, &["배포", "배포는", "배포를", "배포한다", "배포했습니다"])]
    #[case(Language::Arabic, &["بيانات", "البيانات"])]
    fn forms_of_a_word_have_one_stem(#[case] language: Language, #[case] forms: &[&str]) {
        let stem = |word: &&str| {
            let word = word.to_lowercase();
            language.stem(&word).unwrap_or(word)
        };
        let stems: Vec<String> = forms.iter().map(stem).collect();
        assert!(stems.iter().all(|one| *one == stems[0]), "{stems:?}");
    }

    #[rstest]
    #[case("why did we choose this for the cache", Language::English)]
    #[case("warum haben wir das für den Cache gewählt", Language::German)]
    #[case("pourquoi avons nous choisi cela pour le cache", Language::French)]
    #[case("por qué lo elegimos para la caché y no el otro", Language::Spanish)]
    #[case("почему мы выбрали это", Language::Russian)]
    #[case("dlaczego tego nie ma na serwerze", Language::Polish)]
    #[case("数据库怎么迁移", Language::Chinese)]
    #[case("データベースの接続", Language::Japanese)]
    #[case("배포를 언제 하나", Language::Korean)]
    #[case("war crimes", Language::English)]
    #[case("redis queue", Language::English)]
    fn a_text_shows_its_language(#[case] text: &str, #[case] language: Language) {
        let mut counts = LanguageCounts::default();
        text.to_lowercase().split_whitespace().for_each(|word| counts.count(word));
        assert_eq!(counts.language(Language::English), language);
    }

    #[test]
    fn every_language_of_the_list_has_function_words() {
        for (word, language) in [
            ("the", Language::English),
            ("der", Language::German),
            ("les", Language::French),
            ("los", Language::Spanish),
            ("não", Language::Portuguese),
            ("della", Language::Italian),
            ("что", Language::Russian),
            ("dlaczego", Language::Polish),
            ("怎么", Language::Chinese),
            ("です", Language::Japanese),
            ("언제", Language::Korean),
        ] {
            assert!(is_function_word(word, language), "{word}");
        }
        assert!(!is_function_word("war", Language::English));
    }
}
