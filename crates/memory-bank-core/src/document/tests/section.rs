//! Headings, sections and items, and edits that change nothing else.

use proptest::prelude::*;
use rstest::rstest;

use crate::document::list::take_items;
use crate::document::placement::{insert_block, insert_item};
use crate::document::progress::contained;
use crate::document::section::Section;
use crate::document::section::{LineEnding, Marker, Outline};
use crate::document::splice::{append_items, append_section, bullets, replace_body};
use crate::error::EditError;

const TEXT: &str = "\
# Title

Prose with ## no heading.

## One
- a
  wrapped
  - nested
* b ## not a heading
1. c

```
## In a fence
- not an item
```

### Sub
- d

Two
---
> ## quoted
> - quoted item

- ## in an item
";

#[test]
fn headings_are_those_of_the_document_itself() {
    let outline = Outline::of(TEXT);
    let seen: Vec<_> = outline.headings().iter().map(|h| (h.level, &*h.title, h.line)).collect();
    assert_eq!(seen, [(1, "Title", 1), (2, "One", 5), (3, "Sub", 17), (2, "Two", 20)]);
}

#[test]
fn a_section_reaches_to_the_next_heading_of_its_rank() {
    let outline = Outline::of(TEXT);
    let one = outline.find(&["one"]).unwrap();
    assert!(outline.slice(&one.body).ends_with("### Sub\n- d\n\n"));
    assert!(outline.slice(&one.own).ends_with("```\n\n"));
    assert!(outline.slice(&outline.find(&["Two"]).unwrap().body).starts_with("> ## quoted"));
}

#[test]
fn items_know_their_own_words_and_their_lines() {
    let outline = Outline::of(TEXT);
    let seen: Vec<_> = outline.items().iter().map(|item| (&*item.text, item.depth)).collect();
    assert_eq!(
        seen,
        [
            ("a wrapped", 0),
            ("nested", 1),
            ("b ## not a heading", 0),
            ("c", 0),
            ("d", 0),
            ("## in an item", 0)
        ]
    );
    assert_eq!(outline.slice(&outline.items()[0].range), "- a\n  wrapped\n  - nested\n");
    assert_eq!(outline.items()[3].marker, Marker::Number(1, '.'));
}

#[rstest]
#[case("---\ntitle: x\n---\n# A\n", &["A"])]
#[case("\u{feff}# A\n", &["A"])]
#[case("# A\r\n\r\n## B\r\n", &["A", "B"])]
#[case("---\n\n# A\n\n---\n", &["A"])]
#[case("## A ##", &["A"])]
#[case("#\n\n##x\n", &[""])]
fn odd_documents_have_their_headings(#[case] text: &str, #[case] titles: &[&str]) {
    let outline = Outline::of(text);
    let seen: Vec<_> = outline.headings().iter().map(|heading| &*heading.title).collect();
    assert_eq!(seen, titles);
}

#[test]
fn removing_an_item_keeps_the_rest_of_the_list() {
    let text = "- a\n\n- b\n  more\n\n- c\n\ntext\n";
    let outline = Outline::of(text);
    let b = &outline.items()[1];
    assert_eq!(take_items(&outline, &[(b, true)]).unwrap().0, "- a\n\n- c\n\ntext\n");
}

/// The index of the section `L`.
fn section_l(outline: &Outline<'_>) -> Option<usize> {
    let found: Option<Section<'_>> = outline.find(&["L"]);
    found.and_then(|found| outline.headings().iter().position(|heading| heading == found.heading))
}

fn append(text: &str, items: &[&str]) -> Result<String, EditError> {
    let outline = Outline::of(text);
    let items: Vec<String> = items.iter().map(|&item| item.to_owned()).collect();
    match outline.find(&["L"]) {
        Some(section) => append_items(&outline, &section, &items),
        None => append_section(&outline, "L", &bullets(&items)),
    }
}

#[test]
fn appended_items_take_the_marker_of_the_list() {
    assert_eq!(append("## L\n* a\n", &["b"]).unwrap(), "## L\n* a\n* b\n");
    assert_eq!(append("## L\n3. a\n", &["b"]).unwrap(), "## L\n3. a\n4. b\n");
    assert_eq!(append("## L\n### S\n- x", &["b"]).unwrap(), "## L\n- b\n\n### S\n- x");
}

#[test]
fn a_text_that_would_break_out_of_its_entry_is_quoted() {
    assert_eq!(contained("plain\n\n- list"), "plain\n\n- list");
    assert_eq!(contained("```\nclosed\n```"), "```\nclosed\n```");
    assert_eq!(contained("## x\n\ny"), "> ## x\n>\n> y");
    assert_eq!(contained("```\nopen"), "> ```\n> open");
    assert_eq!(contained("<!-- open"), "> <!-- open");
}

/// Documents of unusual lines in any order.
fn documents() -> impl Strategy<Value = String> {
    let lines = prop::sample::select(vec![
        "## L",
        "# T",
        "### S",
        "- a",
        "* b",
        "  - c",
        "1. d",
        "",
        "",
        "text",
        "---",
        "```",
        "> q",
        "<!-- x -->",
        "    code",
        "| a |",
        "$& $1",
        "## L archive",
        "größe",
    ]);
    (prop::collection::vec(lines, 0..14), prop::bool::ANY, prop::bool::ANY).prop_map(
        |(lines, crlf, ended)| {
            let ending = if crlf { "\r\n" } else { "\n" };
            let mut text = lines.join(ending);
            if ended {
                text.push_str(ending);
            }
            text
        },
    )
}

/// Whether `new` is `old` with one insertion and no deletion.
fn only_inserts(old: &str, new: &str) -> bool {
    let head = old.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
    let tail = old.bytes().rev().zip(new.bytes().rev()).take_while(|(a, b)| a == b).count();
    new.len() >= old.len() && head + tail >= old.len()
}

fn one_kind_of_line_ending(old: &str, new: &str) -> bool {
    match LineEnding::of(old) {
        LineEnding::CrLf => new.matches('\n').count() == new.matches("\r\n").count(),
        LineEnding::Lf => !new.contains('\r'),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn an_insertion_changes_nothing_else_and_keeps_the_line_ending(text in documents()) {
        for new in [
            insert_item(&text, section_l, "L", "new $& item").unwrap(),
            insert_block(&text, section_l, "L", "### new $1\n\ntext\n\n***").unwrap(),
            append(&text, &["new $$"]).unwrap(),
        ] {
            prop_assert!(only_inserts(&text, &new), "{new:?}");
            prop_assert!(one_kind_of_line_ending(&text, &new), "{new:?}");
        }
    }

    #[test]
    fn an_inserted_item_is_found_in_its_section(text in documents()) {
        if Outline::of(&text).find(&["L"]).is_some() {
            let new = insert_item(&text, section_l, "L", "the new one").unwrap();
            let outline = Outline::of(&new);
            let section = outline.find(&["L"]).unwrap();
            let first = outline.items_in(&section.body).first().unwrap();
            prop_assert!(first.text.starts_with("the new one"), "{first:?} in {new:?}");
        }
    }

    #[test]
    fn replacing_a_section_changes_nothing_outside_and_is_idempotent(text in documents()) {
        let outline = Outline::of(&text);
        if let Some(section) = outline.find(&["L"]) {
            let new = replace_body(&text, &section, "\n- one\n- two");
            prop_assert!(new.starts_with(text.get(..section.heading.range.end).unwrap()));
            prop_assert!(new.ends_with(text.get(section.body.end..).unwrap()));
            prop_assert!(one_kind_of_line_ending(&text, &new), "{new:?}");
            let again = Outline::of(&new);
            prop_assert_eq!(replace_body(&new, &again.find(&["L"]).unwrap(), "\n- one\n- two"), new.clone());
        }
    }

    #[test]
    fn ranges_are_whole_lines_in_order(text in documents()) {
        let outline = Outline::of(&text);
        let mut last = 0;
        for heading in outline.headings() {
            prop_assert!(heading.range.start >= last);
            last = heading.range.end;
            prop_assert!(last == text.len() || text.get(..last).unwrap().ends_with('\n'));
            prop_assert_eq!(text.get(..heading.range.start).unwrap().matches('\n').count() + 1, heading.line);
        }
        for item in outline.items() {
            prop_assert!(item.range.start == 0 || text.get(..item.range.start).unwrap().ends_with('\n'));
            prop_assert!(item.range.end == text.len() || text.get(..item.range.end).unwrap().ends_with('\n'));
        }
    }

    #[test]
    fn any_text_has_an_outline(text in "\\PC{0,40}(\n[-#*>`0-9. |=a]{0,9}){0,8}") {
        let _ = Outline::of(&text);
    }
}

/// A document at the bound must not cost more than its length: the time is generous, a quadratic parse takes minutes.
#[rstest]
#[case("- ")]
#[case("> ")]
#[case("- a\n")]
#[case("## L\n- a\n")]
#[case("[")]
#[case("#### x\n")]
#[case("1. - * ")]
#[case("<!-- ")]
#[case("  - a\n- ")]
fn reading_a_repetitive_document_takes_linear_time(#[case] unit: &str) {
    let best = |bytes: usize| {
        let once = |round: usize| {
            // A text that was parsed before is not parsed again.
            let text = format!("{round} {bytes}\n{}", unit.repeat(bytes / unit.len()));
            let started = cpu_time::ThreadTime::now();
            let outline = Outline::of(&text);
            let all: Vec<_> = outline.items_below(&["L"]);
            let all: Vec<_> = all.into_iter().map(|item| (item, true)).collect();
            let removed = take_items(&outline, &all).unwrap().0;
            assert!(removed.len() <= text.len());
            started.elapsed()
        };
        (0..3).map(once).min().unwrap().max(super::CLOCK_STEP)
    };
    // 32 times the size takes 32 times as long, some hundred times where it leaves the processor's caches, and 1,024
    // times when it grows with the square. The processor's time counts: a busy machine does not add to it.
    let small = best(crate::limits::DOCUMENT_BYTES / 32);
    let large = best(crate::limits::DOCUMENT_BYTES);
    assert!(large < small * 400, "{unit:?}: {small:?}, then {large:?}");
}
