//! Taking changes back.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use memory_bank_core::caller::Caller;
use memory_bank_core::history::{ChangeContext, Obstacle, Subject, Version, VersionKind, VersionQuery};
use memory_bank_core::limits;
use memory_bank_core::store::{Drafts, Reason, UndoError, UndoReport, UndoRequest, undo};
use uuid::Uuid;

use crate::{Project, path};

/// The id of a session.
pub(crate) fn session(number: u128) -> String {
    Uuid::from_u128((7 << 76) | (2 << 62) | number).to_string()
}

pub(crate) fn context(number: u128, tool: &str) -> ChangeContext {
    ChangeContext { session: Some(session(number)), ..ChangeContext::of_tool(tool) }
}

async fn edit(
    p: &Project,
    caller: &Caller,
    number: u128,
    names: &[&str],
    mut rule: impl FnMut(&mut Drafts) + Send,
) {
    let paths: Vec<_> = names.iter().map(|name| path(name)).collect();
    let context = context(number, "edit");
    let mut editor = |drafts: &mut Drafts| {
        drafts.set_context(&context);
        rule(drafts);
        Ok(())
    };
    p.bank.edit(caller, &paths, &mut editor).await.unwrap();
}

pub(crate) async fn write(p: &Project, caller: &Caller, number: u128, name: &str, text: &str) {
    edit(p, caller, number, &[name], |drafts| drafts.set(&path(name), text.to_owned()).unwrap()).await;
}

/// Brings a former text back, as `history` does.
pub(crate) async fn restore(p: &Project, caller: &Caller, number: u128, name: &str, text: &str) {
    let context = ChangeContext { restores: true, ..context(number, "history") };
    let mut editor = |drafts: &mut Drafts| {
        drafts.set_context(&context);
        drafts.set(&path(name), text.to_owned()).unwrap();
        Ok(())
    };
    p.bank.edit(caller, &[path(name)], &mut editor).await.unwrap();
}

pub(crate) async fn delete(p: &Project, caller: &Caller, number: u128, name: &str) {
    edit(p, caller, number, &[name], |drafts| drafts.delete(&path(name)).unwrap()).await;
}

pub(crate) async fn rename(p: &Project, caller: &Caller, number: u128, from: &str, to: &str) {
    edit(p, caller, number, &[from, to], |drafts| {
        let text = drafts.text(&path(from)).unwrap().to_owned();
        drafts.delete(&path(from)).unwrap();
        drafts.set(&path(to), text).unwrap();
    })
    .await;
}

/// The request to take back a session, in a session of its own.
pub(crate) fn request(of: u128, by: u128) -> UndoRequest {
    let context = ChangeContext { restores: true, ..context(by, "history") };
    UndoRequest { session: Some(session(of)), context, ..UndoRequest::default() }
}

pub(crate) async fn run(p: &Project, caller: &Caller, request: &UndoRequest) -> UndoReport {
    undo(p.other.as_ref(), caller, request).await.unwrap()
}

pub(crate) async fn undo_session(p: &Project, of: u128, by: u128) -> UndoReport {
    run(p, &p.caller, &request(of, by)).await
}

pub(crate) async fn versions(p: &Project, name: &str) -> Vec<Version> {
    let query = VersionQuery {
        subject: Subject::Document(path(name)),
        since: None,
        until: None,
        by: None,
        after: None,
        limit: limits::VERSIONS_LISTED,
    };
    p.other.list_versions(&p.caller, &query).await.unwrap().versions
}

pub async fn all_that_one_session_changed_is_taken_back(p: Project) {
    for (name, text) in [("a.md", "a\n"), ("b.md", "b\n"), ("c.md", "c\n"), ("d.md", "d\n")] {
        write(&p, &p.caller, 1, name, text).await;
    }
    write(&p, &p.caller, 2, "a.md", "a\nmore\n").await;
    write(&p, &p.caller, 2, "a.md", "a\nmore\nand more\n").await;
    delete(&p, &p.caller, 2, "b.md").await;
    rename(&p, &p.caller, 2, "c.md", "sub/c.md").await;
    write(&p, &p.caller, 2, "new.md", "new\n").await;
    let report = undo_session(&p, 2, 3).await;
    assert!(report.is_written && report.left.is_empty(), "{report:?}");
    assert_eq!(report.undone.len(), 4);
    for (name, text) in [
        ("a.md", Some("a\n")),
        ("b.md", Some("b\n")),
        ("c.md", Some("c\n")),
        ("d.md", Some("d\n")),
        ("sub/c.md", None),
        ("new.md", None),
    ] {
        assert_eq!(p.text(name).await.as_deref(), text, "{name}");
    }
    for (name, kind) in
        [("a.md", VersionKind::Restored), ("b.md", VersionKind::Restored), ("new.md", VersionKind::Deleted)]
    {
        let newest = versions(&p, name).await.swap_remove(0);
        assert_eq!((newest.kind, newest.tool.as_deref()), (kind, Some("history")), "{name}");
        assert_eq!(newest.session, Some(session(3)));
    }
    let kinds: Vec<VersionKind> = versions(&p, "c.md").await.iter().map(|version| version.kind).collect();
    assert_eq!(kinds, [VersionKind::Renamed, VersionKind::Renamed, VersionKind::Created]);
    assert_eq!(versions(&p, "d.md").await.len(), 1);
}

pub async fn an_undo_that_no_tool_made_names_none_and_is_an_undo_all_the_same(p: Project) {
    write(&p, &p.caller, 1, "a.md", "a\n").await;
    write(&p, &p.caller, 2, "a.md", "a\nmore\n").await;
    let without_tool = |request: UndoRequest| UndoRequest {
        context: ChangeContext { restores: true, ..ChangeContext::default() },
        ..request
    };
    let request = without_tool(request(2, 3));
    assert!(run(&p, &p.caller, &request).await.is_written);
    assert_eq!(p.text("a.md").await.as_deref(), Some("a\n"));
    let newest = versions(&p, "a.md").await.swap_remove(0);
    assert_eq!((newest.tool, newest.session, newest.undoes.is_some()), (None, None, true));
    let again = run(&p, &p.caller, &request).await;
    assert_eq!((again.undone.len(), again.unchanged, again.is_written), (0, 1, false), "{again:?}");
    let (by, since) = (Some(p.caller.user_name.clone()), Some(newest.at));
    let back = without_tool(UndoRequest { by, since, ..UndoRequest::default() });
    assert!(run(&p, &p.caller, &back).await.is_written);
    assert_eq!(p.text("a.md").await.as_deref(), Some("a\nmore\n"));
}

pub async fn a_renamed_and_changed_document_returns_to_its_former_name_and_text(p: Project) {
    write(&p, &p.caller, 1, "a.md", "one\ntwo\n").await;
    rename(&p, &p.caller, 2, "a.md", "b.md").await;
    write(&p, &p.caller, 2, "b.md", "one\n2\n").await;
    let report = undo_session(&p, 2, 3).await;
    assert_eq!(report.undone[0].to, Some(path("a.md")));
    assert_eq!(p.text("a.md").await.as_deref(), Some("one\ntwo\n"));
    assert_eq!(p.text("b.md").await, None);
    // It is one document: its history has everything.
    let history = versions(&p, "a.md").await;
    assert_eq!(history.last().unwrap().kind, VersionKind::Created);
    for version in &history {
        let read = p.other.read_version(&p.caller, &path("a.md"), version.number).await.unwrap();
        assert!(read.text.is_some(), "{version:?}");
    }
    assert!(history.iter().all(|version| version.document == history[0].document));
    // And back, and again.
    undo_session(&p, 3, 4).await;
    assert_eq!(p.text("b.md").await.as_deref(), Some("one\n2\n"));
    assert_eq!(p.text("a.md").await, None);
    undo_session(&p, 2, 5).await;
    assert_eq!(p.text("a.md").await.as_deref(), Some("one\ntwo\n"));
}

pub async fn changes_of_others_in_other_lines_stay_and_touched_lines_are_left(p: Project) {
    write(&p, &p.caller, 1, "log.md", "# Log\n- one\n").await;
    write(&p, &p.caller, 1, "plan.md", "# Plan\n\nfirst\n").await;
    write(&p, &p.caller, 2, "log.md", "# Log\n- one\n- mine\n").await;
    write(&p, &p.caller, 2, "plan.md", "# Plan\n\nmine\n").await;
    write(&p, &p.colleague, 5, "log.md", "# Log\n- zero\n- one\n- mine\n- theirs\n").await;
    write(&p, &p.colleague, 5, "plan.md", "# Plan\n\nnew\ntheirs\n").await;
    let report = undo_session(&p, 2, 3).await;
    assert_eq!(p.text("log.md").await.as_deref(), Some("# Log\n- zero\n- one\n- theirs\n"));
    assert_eq!(p.text("plan.md").await.as_deref(), Some("# Plan\n\nnew\ntheirs\n"));
    assert!(report.undone[0].is_merged, "{report:?}");
    let left = &report.left[0];
    assert_eq!(
        (&left.path, left.others[0].author.as_ref()),
        (&path("plan.md"), Some(&p.colleague.user_name))
    );
    assert!(matches!(left.reason, Reason::Obstacle(Obstacle::Lines(_))), "{left:?}");
    // A merged change is recognised, too.
    let again = undo_session(&p, 2, 4).await;
    assert_eq!((again.undone.len(), again.unchanged, again.is_written), (0, 1, false), "{again:?}");
    // Documents that others created anew, renamed or deleted are left.
    write(&p, &p.caller, 6, "x.md", "x\n").await;
    write(&p, &p.caller, 6, "y.md", "y\n").await;
    write(&p, &p.caller, 6, "z.md", "z\n").await;
    write(&p, &p.colleague, 7, "x.md", "x\nmore\n").await;
    rename(&p, &p.colleague, 7, "y.md", "yy.md").await;
    delete(&p, &p.caller, 7, "z.md").await;
    let report = undo_session(&p, 6, 8).await;
    assert_eq!((report.left.len(), report.unchanged), (2, 1), "{report:?}");
    assert_eq!(p.text("yy.md").await.as_deref(), Some("y\n"));
}

pub async fn nothing_is_written_by_a_dry_run_or_if_one_must_be_left(p: Project) {
    write(&p, &p.caller, 1, "a.md", "a\n").await;
    write(&p, &p.caller, 2, "a.md", "mine\n").await;
    write(&p, &p.caller, 2, "b.md", "b\n").await;
    write(&p, &p.colleague, 3, "a.md", "theirs\n").await;
    let whole = UndoRequest { all_or_nothing: true, ..request(2, 4) };
    for request in [UndoRequest { dry_run: true, ..request(2, 4) }, whole] {
        let report = run(&p, &p.caller, &request).await;
        assert_eq!((report.undone.len(), report.left.len(), report.is_written), (1, 1, false), "{report:?}");
        assert_eq!(p.text("b.md").await.as_deref(), Some("b\n"));
    }
    assert_eq!(versions(&p, "b.md").await.len(), 1);
    assert!(undo_session(&p, 2, 4).await.is_written);
    assert_eq!(p.text("b.md").await, None);
}

pub async fn a_second_undo_changes_nothing_and_an_undo_can_be_undone(p: Project) {
    write(&p, &p.caller, 1, "a.md", "one\ntwo\nthree\n").await;
    write(&p, &p.caller, 2, "a.md", "one\nmine\ntwo\nthree\n").await;
    write(&p, &p.colleague, 3, "a.md", "one\nmine\ntwo\nthree\ntheirs\n").await;
    write(&p, &p.caller, 2, "b.md", "b\n").await;
    undo_session(&p, 2, 4).await;
    assert_eq!(p.text("a.md").await.as_deref(), Some("one\ntwo\nthree\ntheirs\n"));
    let count = versions(&p, "a.md").await.len();
    for by in [4, 5] {
        let report = undo_session(&p, 2, by).await;
        assert!(report.undone.is_empty() && report.left.is_empty(), "{report:?}");
    }
    assert_eq!(versions(&p, "a.md").await.len(), count);
    let report = undo_session(&p, 4, 6).await;
    assert_eq!((report.undone.len(), report.left.len()), (2, 0), "{report:?}");
    assert_eq!(p.text("a.md").await.as_deref(), Some("one\nmine\ntwo\nthree\ntheirs\n"));
    assert_eq!(p.text("b.md").await.as_deref(), Some("b\n"));
    // Its changes are there again, and can be taken back again.
    assert_eq!(undo_session(&p, 2, 7).await.undone.len(), 2);
    assert_eq!(p.text("a.md").await.as_deref(), Some("one\ntwo\nthree\ntheirs\n"));
}

pub async fn what_a_session_writes_again_after_its_own_undo_can_be_undone(p: Project) {
    write(&p, &p.caller, 1, "a.md", "one\n").await;
    undo_session(&p, 1, 2).await;
    assert_eq!(p.text("a.md").await, None);
    write(&p, &p.caller, 2, "a.md", "one\n").await;
    assert!(!undo_session(&p, 2, 3).await.is_written, "it changed nothing in all");
    undo_session(&p, 1, 4).await;
    assert_eq!(p.text("a.md").await, None);
}

pub async fn equal_lines_of_two_sessions_are_told_apart(p: Project) {
    write(&p, &p.caller, 1, "a.md", "").await;
    write(&p, &p.colleague, 2, "a.md", "x\n").await;
    write(&p, &p.caller, 3, "a.md", "x\nx\n").await;
    // The other line is that of the colleague.
    assert_eq!(undo_session(&p, 3, 4).await.undone.len(), 1);
    assert_eq!(undo_session(&p, 3, 5).await.unchanged, 1);
    assert_eq!(p.text("a.md").await.as_deref(), Some("x\n"));
    assert_eq!(undo_session(&p, 2, 6).await.undone.len(), 1);
    assert_eq!(p.text("a.md").await.as_deref(), Some(""));
    // A session may undo itself, and go on.
    for text in ["y\n", "y\nz\n"] {
        write(&p, &p.caller, 7, "a.md", text).await;
    }
    assert_eq!(undo_session(&p, 7, 7).await.undone.len(), 1);
    assert_eq!(undo_session(&p, 7, 7).await.unchanged, 1);
    write(&p, &p.caller, 7, "a.md", "again\n").await;
    assert_eq!(undo_session(&p, 7, 7).await.undone.len(), 1);
    assert_eq!(p.text("a.md").await.as_deref(), Some(""));
    assert_eq!(undo_session(&p, 7, 8).await.unchanged, 1);
}

pub async fn an_editor_takes_back_only_own_changes(p: Project) {
    write(&p, &p.caller, 1, "a.md", "a\n").await;
    write(&p, &p.colleague, 2, "own.md", "own\n").await;
    write(&p, &p.colleague, 2, "own.md", "own\nmore\n").await;
    write(&p, &p.colleague, 2, "touched.md", "t\n").await;
    write(&p, &p.caller, 3, "touched.md", "t\nowner\n").await;
    write(&p, &p.caller, 3, "touched.md", "t\n").await;
    let refused = run(&p, &p.colleague, &request(1, 4)).await;
    assert_eq!((refused.of_others, refused.undone.len()), (1, 0), "{refused:?}");
    let report = run(&p, &p.colleague, &request(2, 4)).await;
    assert_eq!((report.undone.len(), report.left.len()), (1, 1), "{report:?}");
    assert_eq!(report.left[0].reason, Reason::NotOwn);
    assert_eq!(p.text("own.md").await, None);
    assert_eq!(p.text("touched.md").await.as_deref(), Some("t\n"));
    // A deletion of the own document can be taken back; then it is an own creation again.
    assert_eq!(run(&p, &p.colleague, &request(4, 5)).await.undone.len(), 1);
    assert_eq!(p.text("own.md").await.as_deref(), Some("own\nmore\n"));
    assert_eq!(run(&p, &p.colleague, &request(5, 6)).await.undone.len(), 1);
    assert_eq!(p.text("own.md").await, None);
    // The owner may do all of it.
    assert_eq!(undo_session(&p, 2, 7).await.undone.len(), 1);
    assert_eq!(p.text("touched.md").await, None);
}

pub async fn changes_of_a_user_since_a_time_are_taken_back(p: Project) {
    write(&p, &p.colleague, 1, "a.md", "one\n").await;
    write(&p, &p.caller, 1, "b.md", "b\n").await;
    let before = versions(&p, "b.md").await[0].at;
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    write(&p, &p.colleague, 2, "a.md", "one\ntwo\n").await;
    write(&p, &p.colleague, 3, "b.md", "b\nc\n").await;
    let all = UndoRequest {
        by: Some(p.colleague.user_name.clone()),
        since: before.checked_add(jiff::SignedDuration::from_millis(1)).ok(),
        session: None,
        ..request(0, 4)
    };
    let one = UndoRequest { document: Some(path("b.md")), ..all.clone() };
    assert_eq!(run(&p, &p.caller, &one).await.undone.len(), 1);
    assert_eq!(p.text("a.md").await.as_deref(), Some("one\ntwo\n"));
    assert_eq!(run(&p, &p.caller, &all).await.undone.len(), 1);
    assert_eq!(p.text("a.md").await.as_deref(), Some("one\n"));
    assert_eq!(p.text("b.md").await.as_deref(), Some("b\n"));
}

pub async fn a_taken_name_is_left(p: Project) {
    write(&p, &p.caller, 1, "plan.md", "old\n").await;
    write(&p, &p.caller, 1, "draft.md", "new\n").await;
    rename(&p, &p.caller, 2, "draft.md", "final.md").await;
    delete(&p, &p.caller, 2, "plan.md").await;
    write(&p, &p.colleague, 5, "draft.md", "theirs\n").await;
    let whole = UndoRequest { all_or_nothing: true, ..request(2, 3) };
    assert!(!run(&p, &p.caller, &whole).await.is_written);
    let report = undo_session(&p, 2, 3).await;
    assert_eq!(report.left[0].reason, Reason::NameTaken(path("draft.md")));
    assert_eq!((report.left.len(), report.undone.len()), (1, 1), "{report:?}");
    assert_eq!(p.text("draft.md").await.as_deref(), Some("theirs\n"));
    assert_eq!(p.text("final.md").await.as_deref(), Some("new\n"));
    assert_eq!(p.text("plan.md").await.as_deref(), Some("old\n"));
    // Now the name is free.
    delete(&p, &p.caller, 6, "draft.md").await;
    assert!(undo_session(&p, 2, 3).await.left.is_empty());
    assert_eq!((p.text("draft.md").await.as_deref(), p.text("final.md").await), (Some("new\n"), None));
    undo_session(&p, 1, 4).await;
    assert_eq!((p.text("plan.md").await, p.text("draft.md").await), (None, None));
}

pub async fn a_name_that_differs_only_by_case_from_a_new_one_is_left(p: Project) {
    write(&p, &p.caller, 1, "sub/plan.md", "old\n").await;
    write(&p, &p.caller, 1, "log.md", "old\n").await;
    write(&p, &p.caller, 2, "log.md", "new\n").await;
    delete(&p, &p.caller, 2, "sub/plan.md").await;
    write(&p, &p.colleague, 5, "Sub/new.md", "theirs\n").await;
    let dry = run(&p, &p.caller, &UndoRequest { dry_run: true, ..request(2, 3) }).await;
    let report = undo_session(&p, 2, 3).await;
    assert_eq!(report, UndoReport { is_written: true, ..dry });
    let clash = Box::new((path("sub/plan.md"), "Sub/new.md".to_owned()));
    let taken = Reason::NameTaken(path("sub/plan.md"));
    let reason = if crate::IGNORES_CASE { taken } else { Reason::NameClashes(clash) };
    assert_eq!(report.left[0].reason, reason);
    assert_eq!((report.left.len(), report.undone.len()), (1, 1), "{report:?}");
    let names = ["sub/plan.md", "Sub/new.md", "log.md"];
    assert_eq!(texts(&p, names).await, [None, Some("theirs\n".to_owned()), Some("old\n".to_owned())]);
    delete(&p, &p.caller, 6, "Sub/new.md").await;
    assert!(undo_session(&p, 2, 3).await.left.is_empty());
    assert_eq!(p.text("sub/plan.md").await.as_deref(), Some("old\n"));
}

pub async fn a_document_comes_back_under_a_name_that_the_undo_frees(p: Project) {
    for same in ["first\n", "new\n"] {
        write(&p, &p.caller, 1, "a.md", same).await;
        write(&p, &p.caller, 1, "b.md", "b\n").await;
        let names = ["a.md", "b.md", "c.md"];
        let before = texts(&p, names).await;
        let document = versions(&p, "a.md").await[0].document.clone();
        delete(&p, &p.caller, 2, "a.md").await;
        rename(&p, &p.caller, 2, "b.md", "a.md").await;
        rename(&p, &p.caller, 2, "a.md", "c.md").await;
        write(&p, &p.caller, 2, "a.md", "new\n").await;
        let after = texts(&p, names).await;
        let new = versions(&p, "a.md").await[0].document.clone();
        assert_ne!(new, document);
        let dry = run(&p, &p.caller, &UndoRequest { dry_run: true, ..request(2, 3) }).await;
        let report = undo_session(&p, 2, 3).await;
        assert_eq!(report, UndoReport { is_written: true, ..dry });
        assert!(report.left.is_empty(), "{report:?}");
        assert_eq!(texts(&p, names).await, before);
        let history = versions(&p, "a.md").await;
        assert!(history.iter().all(|version| version.document == document), "{history:?}");
        assert_eq!(history[0].kind, VersionKind::Restored);
        // The new document is deleted, and comes back when the undo is undone.
        assert!(undo_session(&p, 3, 4).await.left.is_empty());
        assert_eq!(texts(&p, names).await, after);
        assert_eq!(versions(&p, "a.md").await[0].document, new);
        for session in [2, 1] {
            assert!(undo_session(&p, session, 4).await.left.is_empty());
        }
        assert_eq!(texts(&p, names).await, [None, None, None]);
    }
}

/// The texts of these documents.
async fn texts<const N: usize>(p: &Project, names: [&str; N]) -> [Option<String>; N] {
    let mut texts = [const { None }; N];
    for (text, name) in texts.iter_mut().zip(names) {
        *text = p.text(name).await;
    }
    texts
}

pub async fn swapped_names_are_swapped_back(p: Project) {
    let names = ["a.md", "b.md", "tmp.md"];
    let some = |texts: [Option<&str>; 3]| texts.map(|text| text.map(str::to_owned));
    let (first, swapped) = (some([Some("a\n"), Some("b\n"), None]), some([Some("b\n"), Some("a\n"), None]));
    write(&p, &p.caller, 1, "a.md", "a\n").await;
    write(&p, &p.caller, 1, "b.md", "b\n").await;
    for (from, to) in [("a.md", "tmp.md"), ("b.md", "a.md"), ("tmp.md", "b.md")] {
        rename(&p, &p.colleague, 2, from, to).await;
    }
    let document = versions(&p, "a.md").await[0].document.clone();
    assert_eq!(texts(&p, names).await, swapped);
    let report = run(&p, &p.colleague, &request(2, 3)).await;
    assert!(report.is_written && report.left.is_empty() && report.undone.len() == 2, "{report:?}");
    assert_eq!(texts(&p, names).await, first);
    assert_eq!(versions(&p, "b.md").await[0].document, document, "each document has its name again");
    // And back; then with a change of one of them that stays.
    assert!(undo_session(&p, 3, 4).await.left.is_empty());
    assert_eq!(texts(&p, names).await, swapped);
    write(&p, &p.caller, 5, "a.md", "b\nmore\n").await;
    let report = undo_session(&p, 2, 6).await;
    assert!(report.left.is_empty(), "{report:?}");
    assert_eq!(texts(&p, names).await, some([Some("a\n"), Some("b\nmore\n"), None]));
    undo_session(&p, 5, 7).await;
    // All versions read back.
    for name in ["a.md", "b.md"] {
        for version in versions(&p, name).await {
            let read = p.other.read_version(&p.caller, &path(name), version.number).await.unwrap();
            assert_eq!(read.text.is_some(), version.etag.is_some(), "{name} {version:?}");
        }
    }
    undo_session(&p, 1, 8).await;
    assert_eq!(texts(&p, names).await, some([None; 3]));
}

pub async fn a_new_document_under_a_name_that_was_left_goes_in_the_same_undo(p: Project) {
    let some = |texts: [Option<&str>; 2]| texts.map(|text| text.map(str::to_owned));
    write(&p, &p.caller, 1, "a.md", "old\n").await;
    rename(&p, &p.colleague, 2, "a.md", "b.md").await;
    write(&p, &p.colleague, 2, "a.md", "new\n").await;
    let report = run(&p, &p.colleague, &request(2, 3)).await;
    assert!(report.left.is_empty() && report.undone.len() == 2, "{report:?}");
    assert_eq!(texts(&p, ["a.md", "b.md"]).await, some([Some("old\n"), None]));
    assert_eq!(versions(&p, "a.md").await.last().unwrap().kind, VersionKind::Created);
    // And back: the name is left for the document that comes back.
    let report = undo_session(&p, 3, 4).await;
    assert!(report.left.is_empty() && report.undone.len() == 2, "{report:?}");
    assert_eq!(texts(&p, ["a.md", "b.md"]).await, some([Some("new\n"), Some("old\n")]));
    assert!(undo_session(&p, 2, 5).await.left.is_empty());
    assert_eq!(texts(&p, ["a.md", "b.md"]).await, some([Some("old\n"), None]));
    undo_session(&p, 1, 6).await;
    assert_eq!(texts(&p, ["a.md", "b.md"]).await, some([None, None]));
}

pub async fn a_large_set_is_refused(p: Project) {
    for number in 0..=limits::UNDO_DOCUMENTS {
        write(&p, &p.caller, 1, &format!("n{number}.md"), "x\n").await;
    }
    let error = undo(p.bank.as_ref(), &p.caller, &request(1, 2)).await.unwrap_err();
    assert!(matches!(error, UndoError::TooMany), "{error}");
    assert!(error.to_string().contains("narrow them with `since`"), "{error}");
    assert_eq!(p.text("n0.md").await.as_deref(), Some("x\n"));
    let last = versions(&p, &format!("n{}.md", limits::UNDO_DOCUMENTS)).await[0].at;
    let report = run(&p, &p.caller, &UndoRequest { until: Some(last), ..request(1, 2) }).await;
    assert!(report.is_written && report.undone.len() == limits::UNDO_DOCUMENTS, "{report:?}");
    assert_eq!(p.text("n0.md").await, None);
    assert_eq!(undo_session(&p, 2, 3).await.undone.len(), limits::UNDO_DOCUMENTS);
    assert_eq!(p.text("n0.md").await.as_deref(), Some("x\n"));
}
