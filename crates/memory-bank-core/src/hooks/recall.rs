//! The passages of a bank that match a prompt: at most three, or none.
//!
//! A hook is a process of its own, so there is no index: the texts are scanned for the words of the prompt. A passage is
//! shown if it has several of them, and rare ones, measured by the bank itself; words that are on many lines do not count.
//! Most prompts get none, since a text that is added to a prompt costs room and attention in every later turn.

use super::line::{masked_beginning, scanned, without_bullet, without_label};
use super::terms::{PromptTerms, fingerprint};
use crate::compact_sort::CompactSort as _;
use crate::document::roles::is_placeholder;
use crate::search::clip;
use crate::unicode::is_alphanumeric;

/// The most passages of one prompt.
pub const MAX_PASSAGES: usize = 3;
/// The least sum of the rarities of the words of a passage.
const MIN_SCORE: f64 = 1.1;
/// The least rarity of a word that counts alone, if the prompt has one or two.
const MIN_SINGLE_RARITY: f64 = 0.8;
/// The least number of lines that a bank counts as having: a word on each of a few lines is not a frequent word.
const FEWEST_LINES: usize = 50;
/// The rarity of a word where the bank's own lines are not known.
const UNKNOWN_RARITY: f64 = 0.6;
/// Characters of a passage that are shown.
const PASSAGE_CHARS: usize = 220;
/// Characters of its document's name and of its heading.
const PLACE_CHARS: usize = 80;

/// A text in which passages are found: a document, or a hit that another search found.
#[derive(Debug, Clone, Copy)]
pub struct PassageText<'t> {
    /// The document.
    pub document: &'t str,
    /// Its text.
    pub text: &'t str,
}

/// A passage that answers a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct RecalledPassage {
    /// The document.
    pub document: String,
    /// The heading above it, if there is one.
    pub heading: String,
    /// The line.
    pub text: String,
    /// Its [`fingerprint`].
    pub fingerprint: u64,
    score: f64,
}

/// The passages that match the prompt and were not shown before.
///
/// With `is_whole`, the texts are the bank's documents, and a word's rarity is counted in them; without, they are hits
/// of another search.
#[must_use]
pub fn matching_passages(
    terms: &PromptTerms,
    texts: &[PassageText<'_>],
    is_whole: bool,
    is_shown: impl Fn(u64) -> bool,
) -> Vec<RecalledPassage> {
    let words = terms.words();
    if words.is_empty() {
        return Vec::new();
    }
    let mut lines = 0_usize;
    let mut counts = vec![0_usize; words.len()];
    let mut candidates: Vec<Candidate<'_>> = Vec::new();
    for text in texts {
        scan(*text, words, &mut lines, &mut counts, &mut candidates);
    }
    let rarities: Vec<f64> =
        counts.iter().map(|count| if is_whole { rarity(*count, lines) } else { UNKNOWN_RARITY }).collect();
    let mut found: Vec<RecalledPassage> = Vec::new();
    let mut best: Vec<(f64, usize, &Candidate<'_>)> = candidates
        .iter()
        .enumerate()
        .filter_map(|(order, candidate)| Some((candidate.score(&rarities, words.len())?, order, candidate)))
        .collect();
    best.compact_sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    for (score, _, candidate) in best {
        let fingerprint = fingerprint(candidate.line);
        let is_known = is_shown(fingerprint)
            || is_shown(super::fingerprint(without_label(candidate.line)))
            || echoed_decision(candidate.line).is_some_and(|title| is_shown(super::fingerprint(title)));
        if is_known || found.iter().any(|passage| passage.fingerprint == fingerprint) {
            continue;
        }
        found.push(RecalledPassage {
            document: clip(candidate.document, 0, PLACE_CHARS),
            heading: masked_beginning(candidate.heading, PLACE_CHARS),
            text: masked_beginning(without_bullet(candidate.line), PASSAGE_CHARS),
            fingerprint,
            score,
        });
        if found.len() == MAX_PASSAGES {
            break;
        }
    }
    found
}

/// The title of a decision in the line that `log_decision` adds to the progress.
fn echoed_decision(line: &str) -> Option<&str> {
    let (before, title) = line.split_once("Decision Made: ")?;
    without_bullet(before).starts_with('[').then_some(title.trim()).filter(|title| !title.is_empty())
}

/// The passages as lines, for the frame.
#[must_use]
pub fn passages_text(found: &[RecalledPassage]) -> String {
    let lines: Vec<String> = found
        .iter()
        .map(|passage| {
            let place = if passage.heading.is_empty() {
                passage.document.clone()
            } else {
                format!("{}, {}", passage.document, passage.heading)
            };
            format!("- {} ({place})", passage.text)
        })
        .collect();
    lines.join("\n")
}

struct Candidate<'t> {
    document: &'t str,
    heading: &'t str,
    line: &'t str,
    /// Which words it has; bit by bit.
    words: u32,
}

impl Candidate<'_> {
    /// How well it matches the prompt; none if too little.
    fn score(&self, rarities: &[f64], prompt_words: usize) -> Option<f64> {
        let present = || {
            rarities
                .iter()
                .enumerate()
                .filter(|(at, _)| self.words & (1 << at) != 0)
                .map(|(_, rarity)| *rarity)
        };
        let sum: f64 = present().sum();
        let several = present().count() > 1 && sum >= MIN_SCORE;
        let alone = prompt_words <= 2 && present().any(|rarity| rarity >= MIN_SINGLE_RARITY);
        (several || alone).then_some(sum)
    }
}

/// 1 for a word on a single line, 0 for one on all.
#[expect(clippy::cast_precision_loss, reason = "counts of lines are small")]
fn rarity(count: usize, lines: usize) -> f64 {
    let all = (lines.max(FEWEST_LINES) + 1) as f64;
    ((all / count.max(1) as f64).ln() / all.ln()).clamp(0.0, 1.0)
}

fn scan<'t>(
    text: PassageText<'t>,
    words: &[String],
    lines: &mut usize,
    counts: &mut [usize],
    found: &mut Vec<Candidate<'t>>,
) {
    let mut heading = "";
    let mut is_code = false;
    let mut is_comment = false;
    for line in text.text.lines() {
        let bare = line.trim();
        if bare.starts_with("```") || bare.starts_with("~~~") {
            is_code = !is_code;
            continue;
        }
        let began = bare.starts_with("<!--");
        is_comment = (is_comment || began) && !bare.contains("-->");
        if bare.is_empty() || is_code || is_comment || began {
            continue;
        }
        if bare.starts_with('#') {
            heading = bare.trim_start_matches('#').trim();
            continue;
        }
        *lines += 1;
        let (bare, _) = scanned(bare);
        let folded = bare.to_lowercase();
        let mut has = 0_u32;
        for ((at, word), count) in words.iter().enumerate().zip(counts.iter_mut()) {
            if begins_a_word(&folded, word) {
                *count += 1;
                has |= 1 << at;
            }
        }
        if has != 0 && !is_placeholder(bare) {
            found.push(Candidate { document: text.document, heading, line: bare, words: has });
        }
    }
}

/// Whether a word of the text begins so. Scripts without blanks have no beginnings.
fn begins_a_word(text: &str, word: &str) -> bool {
    let has_blanks = word.chars().next().is_some_and(|first| first < '\u{2e80}');
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find(word)) {
        let start = from + at;
        let before = text.get(..start).and_then(|before| before.chars().next_back());
        if !has_blanks || before.is_none_or(|character| !is_alphanumeric(character)) {
            return true;
        }
        from = start + word.len();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bank() -> String {
        let mut text = String::from("# Progress\n\n## Done\n\n");
        for number in 0..200 {
            text.push_str(&format!("- [2026-01-02] fixed the test number {number} of the module\n"));
        }
        text.push_str(
            "- [2026-01-03] invoices are rounded half-even, because the ledger of the bank rounds so\n",
        );
        text.push_str("- [2026-01-04] the module for refunds waits for the payment provider\n");
        text
    }

    fn ask(prompt: &str, text: &str, shown: &[u64]) -> Vec<RecalledPassage> {
        let texts = [PassageText { document: "progress.md", text }];
        matching_passages(&PromptTerms::of(prompt), &texts, true, |fingerprint| shown.contains(&fingerprint))
    }

    #[test]
    fn a_prompt_gets_the_line_that_answers_it_once() {
        let text = bank();
        let found = ask("How should invoices be rounded in the ledger?", &text, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].text.contains("half-even") && found[0].heading == "Done", "{found:?}");
        assert!(
            ask("How should invoices be rounded in the ledger?", &text, &[found[0].fingerprint]).is_empty()
        );
        assert!(passages_text(&found).starts_with("- [2026-01-03] invoices"));
    }

    #[test]
    fn a_prompt_of_frequent_or_absent_words_gets_nothing() {
        let text = bank();
        for prompt in
            ["fix the test of the module", "go on", "what about kubernetes ingress?", "module module", ""]
        {
            let found = ask(prompt, &text, &[]);
            assert!(found.is_empty(), "{prompt}: {found:?}");
        }
    }

    #[test]
    fn in_a_short_bank_of_similar_lines_the_one_on_the_subject_is_found_and_no_others() {
        let text: String =
            ["invoices", "refunds", "webhooks", "ledger", "receipts", "vouchers", "taxes", "exports"]
                .map(|topic| {
                    format!("- [2026-01-02] the {topic} module rounds half-even and has its own tests\n")
                })
                .concat();
        let found =
            ask("build the alerts module; how did we handle rounding in the refunds module?", &text, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].text.contains("refunds"), "{found:?}");
        for prompt in
            ["which module rounds?", "does the module have its own rounding?", "go on with the module"]
        {
            assert!(ask(prompt, &text, &[]).is_empty(), "{prompt}");
        }
    }

    #[test]
    fn at_most_three_different_lines_are_shown() {
        let mut text = bank();
        for variant in ["for invoices", "for refunds", "in the ledger", "of receipts", "on staging"] {
            text.push_str(&format!("- webhook retries use exponential backoff {variant}\n"));
            text.push_str("- Webhook retries: exponential backoff!\n");
        }
        let found = ask("webhook retries with exponential backoff", &text, &[]);
        assert_eq!(found.len(), MAX_PASSAGES, "{found:?}");
        let fingerprints: std::collections::BTreeSet<u64> =
            found.iter().map(|passage| passage.fingerprint).collect();
        assert_eq!(fingerprints.len(), MAX_PASSAGES);
    }

    #[test]
    fn a_line_that_the_digest_showed_cut_or_without_its_label_is_not_shown_again() {
        let line =
            format!("- **Decision:** webhook retries use exponential backoff{}", " with jitter".repeat(30));
        let text = format!("# X\n{line}\n");
        let shown = without_label(&line).chars().take(240).chain(['…']).collect::<String>();
        assert_eq!(ask("webhook exponential backoff", &text, &[]).len(), 1);
        assert!(ask("webhook exponential backoff", &text, &[fingerprint(&shown)]).is_empty());
    }

    #[test]
    fn the_echo_of_a_decision_that_was_shown_is_not_shown() {
        let text = "# X\n- [2026-01-02 10:00:00 UTC] [alice] - Decision Made: webhook retries use exponential backoff\n";
        let shown = fingerprint("webhook retries use exponential backoff");
        assert_eq!(ask("webhook exponential backoff", text, &[]).len(), 1);
        assert!(ask("webhook exponential backoff", text, &[shown]).is_empty());
    }

    #[test]
    fn a_secret_is_masked_and_long_places_are_cut() {
        let text = format!("# {}\n- the webhook backoff key is password=hunter2hunter2\n", "h".repeat(5000));
        let found = passages_text(&ask("webhook backoff", &text, &[]));
        assert!(!found.contains("hunter2") && found.contains("webhook"), "{found}");
        assert!(found.chars().count() < 500, "{found}");
    }

    #[test]
    fn bold_words_keep_their_marks() {
        let found = passages_text(&ask("webhook backoff", "# X\n- **Webhook:** backoff\n", &[]));
        assert!(found.starts_with("- **Webhook:** backoff"), "{found}");
    }

    #[test]
    fn code_and_comments_are_not_shown() {
        let text = "# X\n<!-- webhook backoff -->\n```\nwebhook backoff\n```\n";
        assert!(ask("webhook backoff", text, &[]).is_empty());
    }

    #[test]
    fn scripts_without_blanks_are_searched() {
        let text = "# 进度\n- 支付模块的退款功能等待对账\n- 修复登录\n- 修复注册\n- 修复样式\n";
        let found = ask("退款功能什么时候对账？", text, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
    }
}
