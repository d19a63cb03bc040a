//! The digests of many generated banks.

use crate::document::{Digest, DigestBounds, DigestExtras, DigestSource, digest};

/// Lines of banks, with all that the digest recognises, and what it must not.
const LINES: &[&str] = &[
    "# Active Context",
    "# Progress",
    "# Decision Log",
    "# Product Context",
    "# Aufgaben",
    "# 进度",
    "## Current Focus",
    "## Current Tasks",
    "## Known Issues",
    "## Next Steps",
    "## Update History",
    "## Notes",
    "## Session Notes",
    "## Recent Changes",
    "## Done",
    "## Open Questions",
    "## Status",
    "## Decisions",
    "## Phase 2 (COMPLETED)",
    "## 2026-05-04",
    "### Session 3",
    "### Nov 22, 2026: the export",
    "### Rationale",
    "### [2026-11-20] Use nom",
    "## Nächste Schritte",
    "## 下一步",
    "## Проблемы",
    "## Session of 2026-03-02",
    "## Earlier session",
    "### Current Task: Offline mode",
    "## Success Criteria",
    "- [2026-11-22 09:30:07] [a] - Did: the thing",
    "- [2026-11-21 08:00:00 UTC] [jo] - Implemented: the parser reads the cache",
    "- [2026-11-19] Fixed: [the bug](https://example.org/1) in `x`",
    "- 22.10.2026: wrote the report",
    "- Nov 3, 2026, 9:30 AM - moved it",
    "- 2026年11月26日 完成了退款",
    "- 03/04/2026 ambiguous",
    "- 13/04/2026 not ambiguous",
    "- [ ] write the tests",
    "- [x] write the docs",
    "- ✅ Login",
    "- ~~old~~ new",
    "- the export works ✅",
    "- TBD",
    "- none",
    "- No known issues at this time",
    "- [Task 1]",
    "- [Date] - [Update]",
    "- keine bekannten Probleme",
    "- 暂无",
    "- **Next step:** deploy the gateway",
    "- Blockers: the disk is full",
    "- Next: measure it again",
    "- Status: beta",
    "- TODO: something open",
    "- Decision Made: Use nom",
    "- [fixed] the crash",
    "- ❓ why is it slow?",
    "- [a] 🚧 the lock hangs",
    "  - a nested point",
    "  - [ ] a nested task",
    "  continued words",
    "- Parent:",
    "**Blocked by:**",
    "**2026-10-10**",
    "**Focus:** refunds",
    "Working on the refunds of the gateway, which is the largest part.",
    "This file tracks the work.",
    "_Add tasks here_",
    "(Describe the current focus here)",
    "2026-09-01 a line of a log",
    "[2026-09-02] another line",
    "Prose that explains: the following",
    "> a quote",
    "---",
    "====",
    "",
    "",
    "",
    "```",
    "<!-- a comment -->",
    "<!-- open",
    "-->",
    "| Task | Status |",
    "|---|---|",
    "| refunds | open |",
    "| export | ✅ |",
    "| Decision | Rationale |",
    "| Use nom | it is fast |",
    "**Decision:** use nom for the parser",
    "**Rationale:** it is fast",
    "**Date:** 2026-08-08",
    "- Use PostgreSQL: it has row-level security",
    "1. first point",
    "2. second point",
    "12) twelfth",
    "- Update: jan 5th, 2026",
    "- 5 de enero de 2026: hecho",
    "- 26 ноября 2026 г. готово",
    "- at 10:30 it was done on 2026-07-07 10:30+02:00",
    "- Session 12: finished the export 2026-02-03",
    "- the 2026 plan with 3 numbers 12 and 14.5 of many words that go on and on until the line is longer than all of the bounds that the reader has, so that it must be cut somewhere 2026-01-02",
    "- Monday, 2026-06-01: planned",
    "- Date: 2026-06-02 planned",
    "- Done by 2026-11-30 (done)",
    "- Resolved (fixed) 12",
    "- A long label that has more than forty-eight characters in it: rest",
    "- <b>html</b> [x]",
    "- {{task}}",
    "- [What are you working on right now?]",
    "- None currently identified",
    "- n/a",
    "- -",
    "- 1.",
    "- https://example.org: a link",
];

const NAMES: &[&str] = &[
    "active-context.md",
    "progress.md",
    "decision-log.md",
    "tasks.md",
    "notes.md",
    "product-context.md",
    "system-patterns.md",
    "adr/0001-x.md",
    "adr/0002-y.md",
    "archive/old.md",
    "当前任务.md",
    "session-records.md",
];

struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % most as u64).unwrap()
    }
}

/// A bank of random lines, and bounds.
fn digest_of_bank(seed: u64) -> Digest {
    let mut numbers = Numbers(seed * 7919);
    let mut documents: Vec<(&str, String)> = Vec::new();
    for name in NAMES {
        if numbers.below(3) == 0 {
            continue;
        }
        let lines = if numbers.below(40) == 0 { 400 } else { numbers.below(40) };
        let text: Vec<&str> = (0..lines).map(|_| LINES[numbers.below(LINES.len())]).collect();
        documents.push((name, text.join("\n")));
    }
    let sources: Vec<DigestSource<'_>> =
        documents.iter().map(|(name, text)| DigestSource { name, text }).collect();
    let bounds = DigestBounds {
        progress_entries: [10, 0, 1, 3, 50, 1000][numbers.below(6)],
        decisions: [5, 0, 1, 40][numbers.below(4)],
        system_patterns: numbers.below(2) == 0,
        tokens: [600, 200, 3000, 20000][numbers.below(4)],
    };
    digest(&sources, &DigestExtras::default(), bounds)
}

#[test]
fn a_digest_does_not_depend_on_what_the_thread_has_read_before() {
    // Each thread has its own memory of headings and labels.
    for seed in 0..60 {
        let warm = digest_of_bank(seed);
        let cold = std::thread::spawn(move || digest_of_bank(seed)).join().unwrap();
        assert_eq!(warm, cold, "bank {seed}");
    }
}

#[test]
fn fewer_lines_of_progress_are_the_first_of_more() {
    let entries: String = (1..=400)
        .map(|n| format!("- [2026-{:02}-{:02}] Did: part {n} of {}\n", n % 12 + 1, n % 28 + 1, n % 50))
        .collect();
    let text = format!("# Progress\n\n## Update History\n{entries}");
    let sources = [DigestSource { name: "progress.md", text: &text }];
    let shown = |progress_entries| {
        let bounds = DigestBounds { progress_entries, tokens: 100_000, ..DigestBounds::default() };
        digest(&sources, &DigestExtras::default(), bounds).recent_progress
    };
    let all = shown(usize::MAX);
    assert_eq!(all.len(), 400);
    for most in [0, 1, 4, 5, 6, 50, 399, 400, 1000] {
        assert_eq!(shown(most), all[..most.min(400)], "{most}");
    }
}
