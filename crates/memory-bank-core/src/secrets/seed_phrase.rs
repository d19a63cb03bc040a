//! Seed phrases of wallets: twelve to twenty-four words of a fixed list. It must not know what happens to a secret.
//!
//! The lists have two thousand words each, so the words are recognised by their form: short, and none of those that every sentence
//! has and no list.

use std::ops::Range;

/// One of these is in each text with such a phrase, in small letters of ASCII.
const TRIGGERS: &[&str] = &[
    "seed",
    "mnemonic",
    "bip39",
    "bip-39",
    "wallet",
    "recovery phrase",
    "recovery words",
    "backup phrase",
    "secret phrase",
    "phrase secr",
    "phrase de r",
    "semilla",
    "semente",
    "de recuper",
    "wiederherstellung",
    "merkphrase",
    "mnemon",
    "mnémo",
    "мнемо",
    "сид-фраз",
    "сид фраз",
    "助记",
    "助記",
    "种子",
    "種子",
    "シード",
    "ニーモニック",
    "니모닉",
    "시드",
];
/// Words that stand before a phrase, and are not a part of it.
const NAMES: &[&str] = &["seed", "mnemonic", "wallet", "phrase", "recovery", "backup", "words"];
/// Frequent words of sentences that no list has.
const SENTENCE_WORDS: &[&str] = &[
    "also", "and", "are", "been", "but", "could", "data", "did", "does", "for", "from", "get", "had", "has",
    "her", "his", "how", "its", "may", "new", "not", "our", "out", "per", "see", "set", "should", "some",
    "such", "than", "the", "their", "them", "these", "those", "user", "users", "was", "were", "which",
    "while", "who", "why", "with", "would", "your", "auf", "das", "dem", "den", "der", "die", "ein", "eine",
    "ist", "mit", "nicht", "und", "von", "wird", "dans", "des", "est", "les", "pour", "que", "sur", "con",
    "del", "las", "los", "para", "por", "una", "che", "della", "com", "uma",
];
/// The fewest words of a phrase.
const LEAST_WORDS: usize = 12;
/// The most bytes between two of its words: a comma, the number of the word.
const GAP_BYTES: usize = 8;

/// Adds the places of such phrases in a text in small letters of ASCII.
pub(super) fn seed_phrases(folded: &str, found: &mut Vec<Range<usize>>) {
    if !TRIGGERS.iter().any(|word| folded.contains(word)) {
        return;
    }
    let mut phrase: Vec<Range<usize>> = Vec::new();
    for word in words(folded) {
        let follows = phrase.last().is_none_or(|last| word.start - last.end <= GAP_BYTES);
        let may_be_in_list = folded.get(word.clone()).is_some_and(may_be_in_list);
        if !(follows && may_be_in_list) {
            found.extend(whole(&phrase, folded));
            phrase.clear();
        }
        if may_be_in_list {
            phrase.push(word);
        }
    }
    found.extend(whole(&phrase, folded));
}

/// The places of the words of letters.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let after = text.get(rest..)?;
        let start = rest + after.find(char::is_alphabetic)?;
        let word = text.get(start..)?;
        let end = start + word.find(|character: char| !character.is_alphabetic()).unwrap_or(word.len());
        rest = end;
        Some(start..end)
    })
}

fn may_be_in_list(word: &str) -> bool {
    let characters = word.chars().count();
    let is_kana = |character| matches!(character, '\u{3041}'..='\u{30ff}');
    let is_han = |character| matches!(character, '\u{4e00}'..='\u{9fff}');
    let is_latin =
        |character: char| character.is_ascii_lowercase() || matches!(character, '\u{c0}'..='\u{17f}');
    match characters {
        1 => word.chars().all(is_han),
        2..=9 if word.chars().all(is_kana) => true,
        3..=9 => word.chars().all(is_latin) && !SENTENCE_WORDS.contains(&word),
        _ => false,
    }
}

/// The place of a phrase of these words, if they are enough. Few words of the lists are plurals or participles.
fn whole(words: &[Range<usize>], text: &str) -> Option<Range<usize>> {
    let texts: Vec<&str> = words.iter().filter_map(|word| text.get(word.clone())).collect();
    let begin = texts.iter().rposition(|word| NAMES.contains(word)).map_or(0, |at| at + 1);
    // A list has some of the names, too.
    let begin = if texts.len() - begin < LEAST_WORDS { 0 } else { begin };
    let (words, texts) = (words.get(begin..)?, texts.get(begin..)?);
    let is_inflected = |word: &&&str| {
        word.ends_with('s') && !word.ends_with("ss") || word.ends_with("ing") || word.ends_with("ed")
    };
    let is_phrase =
        texts.len() >= LEAST_WORDS && texts.iter().filter(is_inflected).count() * 3 <= texts.len();
    is_phrase.then_some(words.first()?.start..words.last()?.end)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::secrets::masked;

    const PHRASE: &str = "velvet orbit canyon hollow pepper ribbon sunset jungle marble fabric anchor tiger";
    const LONG_PHRASE: &str = "velvet orbit canyon hollow pepper ribbon sunset jungle marble fabric anchor tiger legal \
                               winner thank year wave sausage worth useful legal winner thank yellow";

    #[rstest]
    #[case("my seed phrase is PHRASE")]
    #[case("seed: PHRASE")]
    #[case("the recovery phrase PHRASE, keep it")]
    #[case("Mnemonic=\"PHRASE\"")]
    #[case("PHRASE is the mnemonic of the wallet")]
    #[case("die Wiederherstellungsphrase lautet PHRASE")]
    #[case("la frase semilla es PHRASE")]
    #[case("助记词是 PHRASE")]
    fn a_seed_phrase_is_masked(#[case] text: &str) {
        let words: Vec<&str> = PHRASE.split(' ').collect();
        let numbered: Vec<String> = words.iter().zip(1..).map(|(word, at)| format!("{at}. {word}")).collect();
        for phrase in [
            PHRASE.to_owned(),
            PHRASE.to_uppercase(),
            words.join(", "),
            words.join("\n"),
            numbered.join(" "),
            LONG_PHRASE.to_owned(),
            "的 一 是 在 不 了 有 和 人 这 中 大".to_owned(),
            "あいこくしん あいさつ あいだ あおぞら あかちゃん あきる あけがた あける あこがれる あさい あさひ あしあと".to_owned(),
        ] {
            let shown = masked(&text.replace("PHRASE", &phrase));
            assert!(shown.contains("[masked]"), "{shown}");
            let stays = |word: &str| shown.split(|c: char| !c.is_alphabetic()).any(|shown| shown == word);
            assert!(!phrase.split(|c: char| !c.is_alphabetic()).any(|word| !word.is_empty() && stays(word)), "{shown}");
        }
    }

    #[rstest]
    #[case("seed the database with three users, two roles and the orders of a week before each run")]
    #[case("the random seed makes every run give equal numbers, which the tests compare with older ones")]
    #[case(
        "seed users orders products invoices payments refunds sessions accounts roles groups teams tokens"
    )]
    #[case("the wallet shows balance and history of payments; refunds follow next week after review")]
    #[case("a seed phrase has twelve words")]
    #[case("velvet orbit canyon hollow pepper ribbon sunset jungle marble fabric anchor tiger")]
    #[case(
        "der Seed der Tests ist fest, damit jeder Lauf dieselben Zahlen liefert und Fehler sich wiederholen lassen"
    )]
    #[case("助记词功能已经完成，测试通过，下一步是更新文档")]
    fn sentences_stay(#[case] text: &str) {
        assert_eq!(masked(text), text);
    }
}
