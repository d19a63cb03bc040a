//! Questions on long banks: talks of two people, chats with an assistant, and a project's year with boilerplate. Banks and
//! questions are synthetic; nothing is taken from a public set. A checksum of its text assigns each question either to the part
//! that may be used for tuning or to the part that is only reported.

use std::collections::BTreeMap;
use std::fmt::Write as _;

const EXCHANGES: &str = include_str!("talks/exchanges.txt");
const LONG: &str = include_str!("talks/long.txt");
const FILLERS: &str = include_str!("talks/fillers.txt");
const CHATS: &str = include_str!("talks/chats.txt");
const ADVICE: &str = include_str!("talks/advice.txt");
const FACTS: &str = include_str!("talks/facts.txt");

/// A bank with questions on it.
#[derive(Debug, Default)]
pub struct Bank {
    /// Its kind.
    pub name: String,
    /// Its documents, by name.
    pub documents: BTreeMap<String, String>,
    /// The questions.
    pub questions: Vec<Question>,
}

/// A question with the lines that answer it.
#[derive(Debug, Clone)]
pub struct Question {
    /// Its text.
    pub ask: String,
    /// Document and line, from 1, of each part of the answer.
    pub answers: Vec<(String, usize)>,
}

impl Question {
    /// Whether weights may be tuned on it; else it is only reported.
    pub fn is_for_tuning(&self) -> bool {
        let sum =
            self.ask.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
        (sum >> 7) % 2 == 0
    }
}

/// How talks are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A document a session, a list item a turn.
    Items,
    /// One document, a section a session, a paragraph a turn with the name in bold.
    Paragraphs,
    /// One document, a line a turn without anything between.
    Lines,
}

/// SplitMix64: the same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }
}

/// A document while it is written.
#[derive(Default)]
struct Page {
    text: String,
    lines: usize,
}

impl Page {
    /// Adds a line and returns its number.
    fn line(&mut self, text: &str) -> usize {
        self.text.push_str(text);
        self.text.push('\n');
        self.lines += 1;
        self.lines
    }
}

/// All banks.
pub fn banks() -> Vec<Bank> {
    vec![talks(Form::Items), talks(Form::Paragraphs), talks(Form::Lines), chats(), year(), long_talk()]
}

struct Exchange {
    turns: Vec<(char, String)>,
    questions: Vec<(String, Vec<usize>)>,
}

fn exchanges(text: &str) -> Vec<Exchange> {
    let mut all = Vec::new();
    for block in text.split("\n\n") {
        let mut one = Exchange { turns: Vec::new(), questions: Vec::new() };
        for line in block.lines().filter(|line| !line.starts_with('#')) {
            if let Some(question) = line.strip_prefix("? ") {
                let (ask, turns) = question.split_once(" = ").unwrap();
                let turns = turns.split(',').map(|turn| turn.trim().parse().unwrap()).collect();
                one.questions.push((ask.to_owned(), turns));
            } else {
                let (who, text) = line.split_once(": ").unwrap();
                one.turns.push((who.chars().next().unwrap(), text.to_owned()));
            }
        }
        all.push(one);
    }
    all
}

/// Talks of two pairs over a year: exchanges in sessions, with small talk before, between and behind.
pub fn talks(form: Form) -> Bank {
    let mut random = Random(41);
    let fillers: Vec<&str> = FILLERS.lines().collect();
    let mut bank = Bank { name: format!("talks, {form:?}").to_lowercase(), ..Bank::default() };
    for (place, (a, b)) in [("Nora", "Elias"), ("Mateo", "Jule")].into_iter().enumerate() {
        let mut left: Vec<Exchange> = exchanges(EXCHANGES)
            .into_iter()
            .enumerate()
            .filter(|(at, _)| at % 2 == place)
            .map(|(_, one)| one)
            .collect();
        let names = |text: &str| text.replace("{A}", a).replace("{B}", b);
        let mut page = Page::default();
        let mut session = 0;
        let whole = format!("{}-and-{}.md", a.to_lowercase(), b.to_lowercase());
        let mut asked: Vec<(String, Vec<(String, usize)>)> = Vec::new();
        while !left.is_empty() {
            session += 1;
            let when = format!(
                "{}:{:02} pm on {} {}, 2025",
                1 + random.below(8),
                random.below(60),
                1 + random.below(28),
                ["January", "March", "April", "June", "July", "September", "October", "November"]
                    [session % 8]
            );
            let name = if form == Form::Items {
                format!("{}-session-{session}.md", whole.trim_end_matches(".md"))
            } else {
                whole.clone()
            };
            if form == Form::Items {
                page = Page::default();
                page.line(&format!("# Session {session}: {when}"));
                page.line("");
            } else {
                page.line(&format!("## Session {session}, {when}"));
                page.line("");
            }
            let mut speaker = 'A';
            let say = |page: &mut Page, who: char, text: &str| {
                let name = if who == 'A' { a } else { b };
                let text = names(text);
                match form {
                    Form::Items => page.line(&format!("- {name}: {text}")),
                    Form::Paragraphs => {
                        let line = page.line(&format!("**{name}**: {text}"));
                        page.line("");
                        line
                    }
                    Form::Lines => page.line(&format!("{name}: {text}")),
                }
            };
            for _ in 0..3 {
                for _ in 0..2 + random.below(4) {
                    say(&mut page, speaker, fillers[random.below(fillers.len())]);
                    speaker = if speaker == 'A' { 'B' } else { 'A' };
                }
                if left.is_empty() {
                    continue;
                }
                let one = left.remove(random.below(left.len()));
                let mut lines = Vec::new();
                for (who, text) in &one.turns {
                    lines.push(say(&mut page, *who, text));
                    speaker = if *who == 'A' { 'B' } else { 'A' };
                }
                for (ask, turns) in one.questions {
                    let answers = turns.into_iter().map(|turn| (name.clone(), lines[turn - 1])).collect();
                    asked.push((names(&ask), answers));
                }
            }
            if form == Form::Lines {
                page.line("");
            }
            bank.documents.insert(name, page.text.clone());
        }
        bank.questions.extend(asked.into_iter().map(|(ask, answers)| Question { ask, answers }));
    }
    bank
}

/// One long talk of two people over a year, a document a session: short turns with names below the day of the session. The exchanges
/// of the other talks stand between, without their questions, so that much of it is alike.
pub fn long_talk() -> Bank {
    let mut random = Random(1913);
    let fillers: Vec<&str> = FILLERS.lines().collect();
    let mut others = exchanges(EXCHANGES);
    let mut bank = Bank { name: "one long talk".to_owned(), ..Bank::default() };
    let (a, b) = ("Priya", "Tomas");
    let names = |text: &str| text.replace("{A}", a).replace("{B}", b);
    let (mut page, mut session, mut name) = (Page::default(), 0, String::new());
    for (at, one) in exchanges(LONG).into_iter().enumerate() {
        if at % 2 == 0 {
            session += 1;
            let (month, day) = (1 + session / 2, 1 + random.below(28));
            page = Page::default();
            name = format!("session-{session:02}.md");
            page.line(&format!(
                "# Session {session}, 2025-{month:02}-{day:02} {:02}:{:02}",
                9 + random.below(12),
                random.below(60)
            ));
            page.line("");
        }
        let say = |page: &mut Page, who: char, text: &str| {
            page.line(&format!("- {}: {}", if who == 'A' { a } else { b }, names(text)))
        };
        for who in ['A', 'B'].into_iter().cycle().take(random.below(4)) {
            say(&mut page, who, fillers[random.below(fillers.len())]);
        }
        let lines: Vec<usize> = one.turns.iter().map(|(who, text)| say(&mut page, *who, text)).collect();
        for (ask, turns) in one.questions {
            let answers = turns.into_iter().map(|turn| (name.clone(), lines[turn - 1])).collect();
            bank.questions.push(Question { ask: names(&ask), answers });
        }
        if !others.is_empty() {
            for (who, text) in others.remove(random.below(others.len())).turns {
                say(&mut page, who, &text);
            }
        }
        bank.documents.insert(name.clone(), page.text.clone());
    }
    bank
}

/// Chats with an assistant: one long line per message. The assistant's answers are long and contain little.
pub fn chats() -> Bank {
    let mut random = Random(97);
    let advice: Vec<&str> = ADVICE.lines().collect();
    let mut bank = Bank { name: "chats".to_owned(), ..Bank::default() };
    let (mut number, mut last) = (0, None::<(String, usize)>);
    let small = |random: &mut Random| -> String {
        let words = [
            "bread",
            "shoes",
            "guitar",
            "budget",
            "letters",
            "window plants",
            "sleep",
            "maps",
            "soup",
            "bicycles",
        ];
        let word = words[random.below(words.len())];
        format!(
            "Can you tell me more about {word}? I want to understand it better before I decide, and I have some time this week."
        )
    };
    let reply = |random: &mut Random| -> String {
        let count = 8 + random.below(10);
        (0..count).map(|_| advice[random.below(advice.len())]).collect::<Vec<_>>().join(" ")
    };
    for line in CHATS.lines().filter(|line| !line.starts_with('#')) {
        if let Some(ask) = line.strip_prefix("? ") {
            let answers = last.clone().into_iter().collect();
            bank.questions.push(Question { ask: ask.trim().to_owned(), answers });
            continue;
        }
        // Some chats without any fact come in between.
        for with_fact in [false, false, true] {
            number += 1;
            let name = format!("chat-{number:03}.md");
            let mut page = Page::default();
            page.line(&format!("# Chat of 2025-{:02}-{:02}", 1 + number / 12, 1 + random.below(28)));
            let fact_at = random.below(3);
            for message in 0..3 {
                page.line("");
                let text = if with_fact && message == fact_at { line.to_owned() } else { small(&mut random) };
                let at = page.line(&format!("**user:** {text}"));
                if with_fact && message == fact_at {
                    last = Some((name.clone(), at));
                }
                page.line("");
                page.line(&format!("**assistant:** {}", reply(&mut random)));
            }
            bank.documents.insert(name, page.text);
        }
    }
    bank
}

const AREAS: [&str; 24] = [
    "billing", "refunds", "checkout", "search", "catalog", "login", "mail", "export", "import", "webhooks",
    "invoices", "reports", "tenants", "images", "uploads", "queue", "retries", "sessions", "pricing",
    "shipping", "coupons", "audit", "backup", "metrics",
];
const KINDS: [(&str, &str); 6] = [
    ("feature", "✨ Feature"),
    ("fix", "🐛 Fix"),
    ("refactor", "♻️ Refactor"),
    ("docs", "📚 Docs"),
    ("test", "🧪 Test"),
    ("chore", "🔧 Chore"),
];
const WORK: [&str; 12] = [
    "cleaned up the handlers",
    "added tests for the edge cases",
    "moved the settings to the config",
    "fixed a flaky test",
    "reviewed the pull request",
    "updated the dependencies",
    "improved the error texts",
    "split the module in two",
    "measured the latency again",
    "wrote the notes for the release",
    "removed dead code",
    "answered questions of support",
];

/// A project's year: progress with its boilerplate, decisions, and documents in several languages.
pub fn year() -> Bank {
    let mut random = Random(2026);
    let mut bank = Bank { name: "a project's year".to_owned(), ..Bank::default() };
    let mut progress = Page::default();
    progress.line("# Progress");
    progress.line("");
    progress.line("## Update History");
    progress.line("");
    let mut asked: Vec<(String, String, usize)> = Vec::new();
    for day in (0..230).rev() {
        let (month, date) = (1 + day / 20, 1 + day % 20);
        let month_name =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][month - 1];
        for entry in 0..4 {
            let (area, other) = (AREAS[random.below(24)], AREAS[random.below(24)]);
            let work = WORK[random.below(12)];
            let hour = 9 + entry;
            if entry % 2 == 0 {
                let (kind, label) = KINDS[random.below(6)];
                progress
                    .line(&format!("### [{month_name} {date}, 2026, {hour}:30 AM] {label}: {area}: {work}"));
                progress.line(&format!("<!-- ID: p_2026-{month:02}-{date:02}_k{day}{entry} -->"));
                progress.line("");
                progress.line(&format!("Work on {area}, see the {other} board. Type: {kind}."));
                progress.line("");
                progress.line("**Affected files:**");
                progress.line(&format!("- `src/{area}/mod.rs`"));
                progress.line(&format!("- `src/{area}/tests.rs`"));
                progress.line("");
                progress.line(&format!("**Tags:** `{area}`, `{kind}`"));
                progress.line("");
                progress.line("---");
            } else {
                let line = progress
                    .line(&format!("- [2026-{month:02}-{date:02} {hour:02}:10:00] [alice] - {area}: {work}"));
                if day % 8 == 3 && entry == 1 {
                    asked.push((
                        format!("what did we do for {area} on 2026-{month:02}-{date:02}"),
                        "progress.md".to_owned(),
                        line,
                    ));
                }
            }
        }
        progress.line("");
    }
    bank.documents.insert("progress.md".to_owned(), progress.text);
    let facts: Vec<Vec<&str>> =
        FACTS.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('|').collect()).collect();
    let mut names: Vec<&str> = facts.iter().map(|fact| fact[0]).collect();
    names.dedup();
    for name in names {
        let mut page = Page::default();
        page.line(&format!("# {}", name.trim_end_matches(".md")));
        page.line("");
        let mut last = ("", 0);
        for (at, fact) in facts.iter().filter(|fact| fact[0] == name).enumerate() {
            if last.0 != fact[1] {
                // Text that every bank contains is in between.
                if name == "decisions-en.md" {
                    let area = AREAS[random.below(24)];
                    page.line(&format!("## Decision {at}: {area}"));
                    page.line(&format!("- **Date:** 2026-{:02}-11", 1 + at % 11));
                    page.line(&format!("- **Context:** {area} came up in the weekly meeting."));
                    last = (fact[1], page.line(&format!("- **Decision:** {}", fact[1])));
                    page.line("- **Alternatives:** none that anybody wanted.");
                    page.line("- **Consequences:** the team writes it down and tells support.");
                    page.line("");
                } else {
                    last = (fact[1], page.line(&format!("- {}", fact[1])));
                }
            }
            asked.push((fact[2].to_owned(), name.to_owned(), last.1));
        }
        bank.documents.insert(name.to_owned(), page.text);
    }
    let mut patterns = String::from("# System Patterns\n\n");
    for area in AREAS {
        let _ = writeln!(
            patterns,
            "## {area}\n\nThe {area} module has handlers, a service and a store. It follows the same pattern as all others.\n"
        );
    }
    bank.documents.insert("system-patterns.md".to_owned(), patterns);
    bank.questions =
        asked.into_iter().map(|(ask, file, line)| Question { ask, answers: vec![(file, line)] }).collect();
    bank
}
