//! The history of documents.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use memory_bank_core::document::Etag;
use memory_bank_core::history::{
    ChangeContext, Subject, Version, VersionKind, VersionPage, VersionPosition, VersionQuery,
};
use memory_bank_core::limits;
use memory_bank_core::store::{Drafts, HistoryError};

use crate::{Project, path};

fn query(subject: Subject) -> VersionQuery {
    VersionQuery { subject, since: None, until: None, by: None, after: None, limit: limits::VERSIONS_LISTED }
}

async fn page(p: &Project, query: &VersionQuery) -> VersionPage {
    p.other.list_versions(&p.caller, query).await.unwrap()
}

/// The versions of a document, oldest first.
async fn versions(p: &Project, name: &str) -> Vec<Version> {
    let mut versions = page(p, &query(Subject::Document(path(name)))).await.versions;
    versions.reverse();
    versions
}

async fn text(p: &Project, name: &str, number: i64) -> Option<String> {
    p.other.read_version(&p.caller, &path(name), number).await.unwrap().text
}

/// An edit with a context.
async fn edit(p: &Project, names: &[&str], context: ChangeContext, mut rule: impl FnMut(&mut Drafts) + Send) {
    let paths: Vec<_> = names.iter().map(|name| path(name)).collect();
    let mut editor = |drafts: &mut Drafts| {
        drafts.set_context(&context);
        rule(drafts);
        Ok(())
    };
    p.bank.edit(&p.caller, &paths, &mut editor).await.unwrap();
}

async fn rename(p: &Project, from: &str, to: &str) {
    edit(p, &[from, to], ChangeContext::of_tool("rename"), |drafts| {
        let text = drafts.text(&path(from)).unwrap().to_owned();
        drafts.delete(&path(from)).unwrap();
        drafts.set(&path(to), text).unwrap();
    })
    .await;
}

async fn delete(p: &Project, name: &str) {
    edit(p, &[name], ChangeContext::of_tool("delete"), |drafts| drafts.delete(&path(name)).unwrap()).await;
}

pub async fn every_change_is_a_version_that_reads_back(p: Project) {
    let texts = ["one\n", "one\ntwo\n", "0ne\ntwo é\n", "one\n\u{1F600}\r\n", "", "again\n"];
    for text in texts {
        p.write("a.md", text).await;
    }
    // A write of the same text is no change.
    p.write("a.md", "again\n").await;
    let versions = versions(&p, "a.md").await;
    assert_eq!(versions.len(), texts.len(), "{versions:?}");
    for (version, expected) in versions.iter().zip(texts) {
        assert_eq!(text(&p, "a.md", version.number).await.as_deref(), Some(expected));
        assert_eq!(version.etag, Some(Etag::of(expected)));
        assert_eq!(version.bytes, expected.len() as u64);
        assert_eq!(version.path, path("a.md"));
    }
    let kinds: Vec<VersionKind> = versions.iter().map(|version| version.kind).collect();
    assert_eq!(kinds[0], VersionKind::Created);
    assert!(kinds[1..].iter().all(|kind| *kind == VersionKind::Changed), "{kinds:?}");
    // An append replaces nothing.
    assert_eq!(versions[1].replaced, 0);
}

pub async fn a_version_records_author_key_tool_and_session(p: Project) {
    let session = "018f3c5e-7a6b-7c3d-8e2f-0123456789ab".to_owned();
    let context = ChangeContext {
        tool: Some("track_progress".into()),
        session: Some(session.clone()),
        ..ChangeContext::default()
    };
    for text in ["one", "two"] {
        edit(&p, &["a.md"], context.clone(), |drafts| drafts.set(&path("a.md"), text.into()).unwrap()).await;
    }
    p.write("b.md", "x").await;
    for version in versions(&p, "a.md").await {
        assert_eq!(version.tool.as_deref(), Some("track_progress"));
        assert_eq!(version.session.as_ref(), Some(&session));
        assert_eq!(version.author.as_ref(), Some(&p.caller.user_name));
        assert_eq!(version.key, p.caller.key);
    }
    let of_session = page(&p, &query(Subject::Session(session))).await.versions;
    assert_eq!(of_session.len(), 2);
    let by = |name: &str| VersionQuery { by: Some(name.to_owned()), ..query(Subject::Project) };
    assert_eq!(page(&p, &by(&p.caller.user_name)).await.versions.len(), 3);
    assert_eq!(page(&p, &by("nobody")).await.versions, []);
}

pub async fn a_rename_is_followed(p: Project) {
    p.write("a.md", "one").await;
    p.write("a.md", "two").await;
    rename(&p, "a.md", "b.md").await;
    p.write("b.md", "three").await;
    // Another document under the former name is another document.
    p.write("a.md", "new").await;
    let followed = versions(&p, "b.md").await;
    let seen: Vec<(&str, VersionKind)> =
        followed.iter().map(|version| (version.path.as_str(), version.kind)).collect();
    assert_eq!(
        seen,
        [
            ("a.md", VersionKind::Created),
            ("a.md", VersionKind::Changed),
            ("b.md", VersionKind::Renamed),
            ("b.md", VersionKind::Changed),
        ]
    );
    assert_eq!(followed[2].former_path, Some(path("a.md")));
    for (version, expected) in followed.iter().zip(["one", "two", "two", "three"]) {
        assert_eq!(text(&p, "b.md", version.number).await.as_deref(), Some(expected));
    }
    assert_eq!(versions(&p, "a.md").await.len(), 1);
}

pub async fn a_deleted_document_keeps_its_history_and_comes_back(p: Project) {
    p.write("a.md", "one").await;
    p.write("a.md", "two").await;
    delete(&p, "a.md").await;
    let before = versions(&p, "a.md").await;
    let last = before.last().unwrap();
    assert_eq!((last.kind, &last.etag), (VersionKind::Deleted, &None));
    assert_eq!(text(&p, "a.md", last.number).await, None);
    let two = before[1].number;
    let former = text(&p, "a.md", two).await.unwrap();
    assert_eq!(former, "two");
    let context = ChangeContext { restores: true, ..ChangeContext::of_tool("history") };
    edit(&p, &["a.md"], context, |drafts| drafts.set(&path("a.md"), former.clone()).unwrap()).await;
    p.write("a.md", "three").await;
    let after = versions(&p, "a.md").await;
    let kinds: Vec<VersionKind> = after.iter().map(|version| version.kind).collect();
    assert_eq!(kinds[2..], [VersionKind::Deleted, VersionKind::Restored, VersionKind::Changed]);
    assert!(after.windows(2).all(|pair| pair[0].number < pair[1].number), "{after:?}");
    for (version, expected) in after.iter().zip([Some("one"), Some("two"), None, Some("two"), Some("three")])
    {
        assert_eq!(text(&p, "a.md", version.number).await.as_deref(), expected);
    }
}

pub async fn a_long_history_is_rebuilt_and_paged(p: Project) {
    let count = usize::try_from(limits::VERSIONS_TO_WHOLE).unwrap() + 10;
    let mut log = String::from("# Log\n");
    let mut texts = Vec::new();
    for number in 0..count {
        log.push_str(&format!("- entry {number}\n"));
        p.write("log.md", &log).await;
        texts.push(log.clone());
    }
    let mut listed = Vec::new();
    let mut after: Option<VersionPosition> = None;
    loop {
        let query =
            VersionQuery { after: after.clone(), limit: 100, ..query(Subject::Document(path("log.md"))) };
        let page = page(&p, &query).await;
        assert!(page.versions.len() <= 100);
        listed.extend(page.versions);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    listed.reverse();
    assert_eq!(listed.len(), count);
    for at in [0, 1, count / 2, count - 12, count - 2, count - 1] {
        assert_eq!(text(&p, "log.md", listed[at].number).await.as_ref(), Some(&texts[at]));
    }
}

pub async fn concurrent_edits_are_a_version_each(p: Project) {
    p.write("log.md", "# Log\n").await;
    let append = |number: usize| {
        let (bank, caller) = (p.bank.clone(), p.caller.clone());
        async move {
            let name = path("log.md");
            let mut editor = |drafts: &mut Drafts| {
                let text = format!("{}- {number}\n", drafts.text(&name).unwrap());
                drafts.set_context(&ChangeContext::of_tool(&format!("tool_{number}")));
                drafts.set(&name, text)
            };
            bank.edit(&caller, std::slice::from_ref(&name), &mut editor).await.unwrap();
        }
    };
    let edits: Vec<_> = (0..12).map(|number| tokio::spawn(append(number))).collect();
    for edit in edits {
        edit.await.unwrap();
    }
    let versions = versions(&p, "log.md").await;
    assert_eq!(versions.len(), 13);
    let mut before = text(&p, "log.md", versions[0].number).await.unwrap();
    for version in &versions[1..] {
        let number = version.tool.as_deref().unwrap().trim_start_matches("tool_");
        let after = text(&p, "log.md", version.number).await.unwrap();
        assert_eq!(after, format!("{before}- {number}\n"));
        before = after;
    }
    assert_eq!(p.text("log.md").await, Some(before));
}

pub async fn one_edit_of_several_documents_is_a_version_of_each(p: Project) {
    p.write("a.md", "a").await;
    p.write("b.md", "b").await;
    edit(&p, &["a.md", "b.md", "c.md"], ChangeContext::of_tool("batch"), |drafts| {
        for name in ["a.md", "b.md", "c.md"] {
            let text = format!("{}+", drafts.text(&path(name)).unwrap_or_default());
            drafts.set(&path(name), text).unwrap();
        }
    })
    .await;
    for (name, expected) in [("a.md", "a+"), ("b.md", "b+"), ("c.md", "+")] {
        let versions = versions(&p, name).await;
        let last = versions.last().unwrap();
        assert_eq!(last.tool.as_deref(), Some("batch"), "{name}");
        assert_eq!(text(&p, name, last.number).await.as_deref(), Some(expected));
    }
    assert_eq!(text(&p, "a.md", versions(&p, "a.md").await[0].number).await.as_deref(), Some("a"));
}

pub async fn an_erased_history_is_gone_and_the_text_stays(p: Project) {
    p.write("a.md", "a secret").await;
    p.write("a.md", "nothing").await;
    p.write("b.md", "x").await;
    let first = versions(&p, "a.md").await[0].number;
    assert_eq!(p.bank.erase(&p.caller, &path("a.md")).await.unwrap(), 2);
    assert_eq!(p.text("a.md").await.as_deref(), Some("nothing"));
    assert!(p.other.read_version(&p.caller, &path("a.md"), first).await.is_err());
    assert_eq!(versions(&p, "b.md").await.len(), 1);
    p.write("a.md", "more").await;
    let after = versions(&p, "a.md").await;
    for version in &after {
        let text = text(&p, "a.md", version.number).await.unwrap();
        assert!(!text.contains("secret"), "{after:?}");
    }
    assert_eq!(text(&p, "a.md", after.last().unwrap().number).await.as_deref(), Some("more"));
}

pub async fn an_erased_text_is_in_no_conflict_of_any_server(p: Project) {
    for bank in [&p.bank, &p.other] {
        p.write("a.md", "one\nsecret\n").await;
        let secret = Etag::of("one\nsecret\n");
        p.text("a.md").await;
        p.other.read(&p.caller, &[path("a.md")]).await.unwrap();
        p.write("a.md", "one\n").await;
        for reader in [&p.bank, &p.other] {
            let known = reader.content_at(&p.colleague, &path("a.md"), &secret).await.unwrap();
            assert_eq!(known.as_deref(), Some("one\nsecret\n"));
        }
        bank.erase(&p.caller, &path("a.md")).await.unwrap();
        for reader in [&p.bank, &p.other] {
            assert_eq!(reader.content_at(&p.colleague, &path("a.md"), &secret).await.unwrap(), None);
        }
        // Later texts are known as before.
        p.write("a.md", "two\n").await;
        p.write("a.md", "three\n").await;
        let known = p.bank.content_at(&p.colleague, &path("a.md"), &Etag::of("two\n")).await.unwrap();
        assert_eq!(known.as_deref(), Some("two\n"));
    }
}

pub async fn a_name_that_another_document_got_shows_and_erases_the_deleted_ones_that_had_it(p: Project) {
    p.write("plan.md", "A").await;
    rename(&p, "plan.md", "old.md").await;
    p.write("plan.md", "SECRET").await;
    p.write("other.md", "x").await;
    delete(&p, "plan.md").await;
    rename(&p, "old.md", "plan.md").await;
    let named = page(&p, &query(Subject::Name(path("plan.md")))).await;
    let own = named.document.clone().unwrap();
    let (mine, others): (Vec<Version>, Vec<Version>) =
        named.versions.into_iter().partition(|version| version.document == own);
    let mut expected = versions(&p, "plan.md").await;
    expected.reverse();
    assert_eq!(mine, expected);
    let kinds: Vec<VersionKind> = others.iter().map(|version| version.kind).collect();
    assert_eq!(kinds, [VersionKind::Deleted, VersionKind::Created]);
    let secret = &others[1];
    let read =
        async || p.other.read_version_of(&p.caller, &secret.document, &path("plan.md"), secret.number).await;
    assert_eq!(read().await.unwrap().text.as_deref(), Some("SECRET"));
    // Pages of a name go through all of its documents.
    let mut paged = VersionQuery { limit: 2, ..query(Subject::Name(path("plan.md"))) };
    let mut listed = 0;
    loop {
        let page = page(&p, &paged).await;
        assert_eq!(page.document.as_ref(), Some(&own));
        listed += page.versions.len();
        paged.after = page.next;
        if paged.after.is_none() {
            break;
        }
    }
    assert_eq!(listed, mine.len() + others.len());
    assert_eq!(p.bank.erase(&p.caller, &path("plan.md")).await.unwrap(), listed as u64);
    assert_eq!(p.text("plan.md").await.as_deref(), Some("A"));
    assert!(read().await.ok().and_then(|found| found.text).is_none());
    let left = page(&p, &query(Subject::Project)).await.versions;
    assert!(left.iter().all(|version| version.etag != Some(Etag::of("SECRET"))), "{left:?}");
    assert_eq!(versions(&p, "other.md").await.len(), 1);
    // Numbers of the deleted document name no other text.
    delete(&p, "plan.md").await;
    p.write("plan.md", "new").await;
    assert!(read().await.ok().and_then(|found| found.text).is_none());
}

pub async fn a_former_name_does_not_erase_the_document_that_has_another_one_now(p: Project) {
    p.write("a.md", "one").await;
    rename(&p, "a.md", "b.md").await;
    p.write("a.md", "two").await;
    assert_eq!(p.bank.erase(&p.caller, &path("a.md")).await.unwrap(), 1);
    assert_eq!(versions(&p, "b.md").await.len(), 2);
    rename(&p, "b.md", "c.md").await;
    let refused = p.bank.erase(&p.caller, &path("b.md")).await.unwrap_err();
    assert!(matches!(refused, HistoryError::NoDocument(_)), "{refused}");
    assert_eq!(versions(&p, "c.md").await.len(), 3);
}

/// Where a system does not tell letter case apart, the two are one folder.
pub async fn the_last_document_of_a_folder_moves_into_one_that_differs_only_by_case(p: Project) {
    if cfg!(any(windows, target_os = "macos")) {
        return;
    }
    p.write("sub/deep/a.md", "one").await;
    rename(&p, "sub/deep/a.md", "Sub/b.md").await;
    assert_eq!(p.text("Sub/b.md").await.as_deref(), Some("one"));
    assert_eq!(versions(&p, "Sub/b.md").await.len(), 2);
    p.write("Sub/c.md", "stays").await;
    let (from, to) = (path("Sub/b.md"), path("sub/a.md"));
    let mut back = |drafts: &mut Drafts| {
        drafts.delete(&from)?;
        drafts.set(&to, "one".to_owned())
    };
    let refused =
        p.bank.edit(&p.caller, &[from.clone(), to.clone()], &mut back).await.unwrap_err().to_string();
    assert!(refused.contains("only by letter case"), "{refused}");
    delete(&p, "Sub/c.md").await;
    rename(&p, "Sub/b.md", "sub/a.md").await;
    assert_eq!(p.text("sub/a.md").await.as_deref(), Some("one"));
}

/// Writes a document after its history was erased: none of the numbers from before means another text.
async fn expect_new_numbers(p: &Project, name: &str, former: &[i64]) {
    p.write(name, "written after the erasure").await;
    let after: Vec<i64> = versions(p, name).await.iter().map(|version| version.number).collect();
    let last = former.iter().max().unwrap();
    let written = *after.last().unwrap();
    assert!(written > *last, "{name}: {former:?}, then {after:?}");
    assert_eq!(text(p, name, written).await.as_deref(), Some("written after the erasure"), "{name}");
    for number in former {
        let read = p.other.read_version(&p.caller, &path(name), *number).await;
        let shown = read.ok().and_then(|version| version.text);
        // The text before the first version that follows is the one that the last number had.
        assert!(number == last || shown.is_none(), "{name} {number}: {shown:?}");
        assert!(!shown.is_some_and(|text| text.contains("erasure")), "{name} {number}");
    }
}

pub async fn numbers_of_an_erased_history_name_no_other_text(p: Project) {
    let erased = async |name: &str| {
        let numbers: Vec<i64> = versions(&p, name).await.iter().map(|version| version.number).collect();
        p.bank.erase(&p.caller, &path(name)).await.unwrap();
        numbers
    };
    for name in ["kept.md", "twice.md", "gone.md", "gone-twice.md", "former.md"] {
        for content in ["one", "two", "three"] {
            p.write(name, content).await;
        }
    }
    let numbers = erased("kept.md").await;
    expect_new_numbers(&p, "kept.md", &numbers).await;
    let mut numbers = erased("twice.md").await;
    p.write("twice.md", "four").await;
    numbers.extend(erased("twice.md").await);
    expect_new_numbers(&p, "twice.md", &numbers).await;
    delete(&p, "gone.md").await;
    let numbers = erased("gone.md").await;
    expect_new_numbers(&p, "gone.md", &numbers).await;
    delete(&p, "gone-twice.md").await;
    let mut numbers = erased("gone-twice.md").await;
    p.write("gone-twice.md", "five").await;
    delete(&p, "gone-twice.md").await;
    numbers.extend(erased("gone-twice.md").await);
    expect_new_numbers(&p, "gone-twice.md", &numbers).await;
    rename(&p, "former.md", "latter.md").await;
    let numbers = erased("latter.md").await;
    expect_new_numbers(&p, "latter.md", &numbers).await;
}

pub async fn an_unknown_document_or_version_is_named(p: Project) {
    p.write("a.md", "x").await;
    let error = p.bank.read_version(&p.caller, &path("a.md"), 99).await.unwrap_err();
    assert!(matches!(error, HistoryError::NoVersion { number: 99, .. }), "{error}");
    let error = p.bank.read_version(&p.caller, &path("never.md"), 1).await.unwrap_err();
    assert!(matches!(error, HistoryError::NoDocument(_)), "{error}");
    let error = p.bank.list_versions(&p.caller, &query(Subject::Document(path("never.md")))).await;
    assert!(matches!(error, Err(HistoryError::NoDocument(_))), "{error:?}");
}

pub async fn a_restored_backup_adds_versions(p: Project) {
    p.write("a.md", "old").await;
    let backup = p.bank.create_backup(&p.caller, None).await.unwrap();
    p.write("a.md", "new").await;
    p.bank.restore_backup(&p.caller, &backup.id, false).await.unwrap();
    let versions = versions(&p, "a.md").await;
    assert_eq!(versions.last().unwrap().kind, VersionKind::Restored);
    for (version, expected) in versions.iter().zip(["old", "new", "old"]) {
        assert_eq!(text(&p, "a.md", version.number).await.as_deref(), Some(expected));
    }
}
