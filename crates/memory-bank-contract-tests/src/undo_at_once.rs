//! Taking changes back while others erase, rename or take back the same.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use memory_bank_core::caller::Caller;
use memory_bank_core::document::{DocumentPath, Etag};
use memory_bank_core::error::{EditError, StoreError};
use memory_bank_core::history::{ChainQuery, ChangeContext, HistorySource, Version};
use memory_bank_core::store::{Bank, Drafts, Reason, UndoReport, undo};

use crate::undo::{context, delete, request, run, versions, write};
use crate::{Project, path};

/// How often each pair of calls meets.
const ROUNDS: u128 = 8;

/// A document that session 1 of a round created and session 2 of it changed.
async fn changed(p: &Project, round: u128) -> (String, u128) {
    let (name, second) = (format!("{round}.md"), 1000 + round);
    write(p, &p.caller, 2000 + round, &name, "one\n").await;
    write(p, &p.caller, second, &name, "one\ntwo\n").await;
    (name, second)
}

/// Every version that is listed reads back.
async fn all_read_back(p: &Project, name: &str) -> Vec<Version> {
    let listed = versions(p, name).await;
    for version in &listed {
        let read = p.bank.read_version(&p.caller, &path(name), version.number).await.unwrap();
        assert_eq!(read.text.is_some(), version.etag.is_some(), "{version:?}");
    }
    listed
}

/// Brings the second version of a document back as the tool does: the text is read first, and written by an edit that names it.
async fn restore_second(p: &Project, name: &str) -> Result<(), EditError> {
    let document = path(name);
    let Ok(found) = p.bank.read_version(&p.caller, &document, 2).await else {
        return Err(StoreError::HistoryErased.into());
    };
    let text = found.text.unwrap();
    let (of, etag) = (found.version.document, Etag::of(&text));
    let made_of = vec![HistorySource::Text { document: of, path: document.clone(), etag }];
    let context = ChangeContext { restores: true, made_of, ..context(9000, "history") };
    let mut editor = |drafts: &mut Drafts| {
        drafts.set_context(&context);
        drafts.set(&document, text.clone())
    };
    p.bank.edit(&p.caller, std::slice::from_ref(&document), &mut editor).await.map(drop)
}

/// A document without the secret that its second version has; its second session wrote the secret, its third one removed it.
async fn cleaned(p: &Project, round: u128) -> String {
    let name = format!("{round}.md");
    for (session, text) in [(100 + round, "one\n"), (200 + round, "one\nsecret\n"), (300 + round, "one\n")] {
        write(p, &p.caller, session, &name, text).await;
    }
    name
}

pub async fn nothing_brings_an_erased_text_back(p: Project) {
    let name = cleaned(&p, 0).await;
    let document = path(&name);
    let found = p.bank.read_version(&p.caller, &document, 2).await.unwrap();
    let query =
        ChainQuery { document: found.version.document.clone(), path: document.clone(), from: 3, most: 10 };
    let chain = p.bank.chain(&p.caller, &query).await.unwrap();
    p.other.erase(&p.caller, &document).await.unwrap();
    let (of, etag) = (found.version.document, Etag::of(&found.text.unwrap()));
    let source = chain.source(&of, &document);
    for source in [HistorySource::Text { document: of, path: document.clone(), etag }, source] {
        let mut editor = |drafts: &mut Drafts| {
            drafts.set_context(&ChangeContext { made_of: vec![source.clone()], ..context(9000, "history") });
            drafts.set(&document, "one\nsecret\n".to_owned())
        };
        let refused = p.bank.edit(&p.caller, std::slice::from_ref(&document), &mut editor).await;
        assert!(matches!(refused, Err(EditError::Store(StoreError::HistoryErased))), "{refused:?}");
    }
    assert_eq!(p.text(&name).await.as_deref(), Some("one\n"));
}

pub async fn nothing_brings_the_erased_text_of_a_deleted_document_back(p: Project) {
    let (name, _) = changed(&p, 0).await;
    let document = path(&name);
    let mut delete = |drafts: &mut Drafts| drafts.delete(&document);
    p.bank.edit(&p.caller, std::slice::from_ref(&document), &mut delete).await.unwrap();
    let last = versions(&p, &name).await.remove(0);
    let query =
        ChainQuery { document: last.document.clone(), path: document.clone(), from: last.number, most: 10 };
    let chain = p.bank.chain(&p.caller, &query).await.unwrap();
    p.other.erase(&p.caller, &document).await.unwrap();
    let source = chain.source(&last.document, &document);
    let mut editor = |drafts: &mut Drafts| {
        drafts.set_context(&ChangeContext { made_of: vec![source.clone()], ..context(9000, "history") });
        drafts.revive(&document, "one\ntwo\n".to_owned(), &last.document, last.number)
    };
    let refused = p.bank.edit(&p.caller, std::slice::from_ref(&document), &mut editor).await;
    assert!(matches!(refused, Err(EditError::Store(StoreError::HistoryErased))), "{refused:?}");
    assert_eq!(p.text(&name).await, None);
}

pub async fn a_restore_or_an_undo_at_once_with_an_erasure_comes_before_it_or_not_at_all(p: Project) {
    for round in 0..4 * ROUNDS {
        let name = cleaned(&p, round).await;
        let document = path(&name);
        let again = async {
            if round % 2 == 0 {
                return restore_second(&p, &name).await.is_ok();
            }
            let undone = undo(p.bank.as_ref(), &p.caller, &request(300 + round, 3)).await;
            undone.is_ok_and(|report| report.is_written)
        };
        let erase = async {
            for _ in 0..round % 8 {
                p.other.list(&p.caller).await.unwrap();
            }
            p.other.erase(&p.caller, &document).await
        };
        let (is_back, erased) = futures::join!(again, erase);
        erased.unwrap();
        let text = p.text(&name).await.unwrap();
        assert_eq!(text, if is_back { "one\nsecret\n" } else { "one\n" }, "{name}");
        // What came back is erased, too.
        let known = p.other.content_at(&p.caller, &document, &Etag::of("one\nsecret\n")).await.unwrap();
        assert_eq!(known, None, "{name}");
        assert_eq!(all_read_back(&p, &name).await, [], "{name}");
    }
}

fn takes_one_back(report: &UndoReport) -> bool {
    assert!(report.left.is_empty(), "{report:?}");
    assert_eq!(report.undone.len(), usize::from(report.is_written), "{report:?}");
    report.is_written
}

pub async fn an_undo_and_an_erasure_at_once_leave_a_whole_text_and_readable_versions(p: Project) {
    for round in 0..ROUNDS {
        let (name, second) = changed(&p, round).await;
        let (request, document) = (request(second, 3), path(&name));
        let (undone, erased) =
            futures::join!(undo(p.bank.as_ref(), &p.caller, &request), p.other.erase(&p.caller, &document),);
        assert!(erased.unwrap() >= 2, "{name}");
        let text = p.text(&name).await.unwrap();
        let undone = undone.unwrap();
        // If the erasure comes first, the undo has nothing to take back and names the document.
        let is_left = undone.left.iter().any(|left| left.reason == Reason::NoHistory);
        let is_undone = !is_left && takes_one_back(&undone);
        assert!(!is_left || !undone.is_written, "{undone:?}");
        assert_eq!(text, if is_undone { "one\n" } else { "one\ntwo\n" }, "{name}");
        // What follows goes on from there.
        write(&p, &p.caller, 4000 + round, &name, "three\n").await;
        let listed = all_read_back(&p, &name).await;
        let numbers: Vec<i64> = listed.iter().map(|version| version.number).collect();
        assert!(numbers.windows(2).all(|two| two[0] > two[1]), "{numbers:?}");
    }
}

pub async fn of_two_undos_at_once_one_takes_back_and_the_other_finds_nothing(p: Project) {
    for round in 0..ROUNDS {
        let (name, second) = changed(&p, round).await;
        let requests = [request(second, 5000 + round), request(second, 6000 + round)];
        let (one, other) = futures::join!(
            undo(p.bank.as_ref(), &p.caller, &requests[0]),
            undo(p.other.as_ref(), &p.caller, &requests[1]),
        );
        let written = [one.unwrap(), other.unwrap()].iter().filter(|report| takes_one_back(report)).count();
        assert_eq!(written, 1, "{name}");
        assert_eq!(p.text(&name).await.as_deref(), Some("one\n"), "{name}");
        assert_eq!(all_read_back(&p, &name).await.len(), 3, "{name}");
    }
}

async fn rename(
    bank: &dyn Bank,
    caller: &Caller,
    from: &DocumentPath,
    to: &DocumentPath,
) -> Result<(), EditError> {
    let mut editor = |drafts: &mut Drafts| {
        drafts.set_context(&context(7000, "rename"));
        let text = drafts.text(from).map(str::to_owned);
        let text = text.ok_or_else(|| EditError::Refused("it is gone".to_owned()))?;
        drafts.delete(from)?;
        drafts.set(to, text)
    };
    bank.edit(caller, &[from.clone(), to.clone()], &mut editor).await.map(drop)
}

pub async fn an_undo_while_another_renames_the_document_keeps_both(p: Project) {
    for round in 0..ROUNDS {
        let (name, second) = changed(&p, round).await;
        let (request, from, to) =
            (request(second, 8000 + round), path(&name), path(&format!("{round}-new.md")));
        let (undone, renamed) = futures::join!(
            undo(p.bank.as_ref(), &p.caller, &request),
            rename(p.other.as_ref(), &p.caller, &from, &to),
        );
        renamed.unwrap();
        assert!(takes_one_back(&undone.unwrap()), "{name}");
        assert_eq!(p.text(&name).await, None, "{name}");
        assert_eq!(p.text(to.as_str()).await.as_deref(), Some("one\n"), "{name}");
        assert_eq!(all_read_back(&p, to.as_str()).await.len(), 4, "{name}");
    }
}

pub async fn a_deletion_whose_text_was_erased_does_not_count_as_undone(p: Project) {
    write(&p, &p.caller, 1, "a.md", "secret\n").await;
    delete(&p, &p.caller, 2, "a.md").await;
    write(&p, &p.caller, 2, "b.md", "b\n").await;
    assert!(p.bank.erase(&p.caller, &path("a.md")).await.unwrap() > 0);
    let report = run(&p, &p.caller, &request(2, 3)).await;
    assert_eq!((report.undone.len(), report.unchanged), (1, 0), "{report:?}");
    // A database still lists the deletion, a folder does not.
    assert!(report.left.iter().all(|left| left.reason == Reason::NoHistory), "{report:?}");
    assert_eq!((p.text("a.md").await, p.text("b.md").await), (None, None));
}
