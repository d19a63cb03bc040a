//! Versions whose name means another document now, and documents that are named with their id.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use memory_bank_core::history::{ChangeContext, Subject, Version, VersionKind, VersionPage, VersionQuery};
use memory_bank_core::store::{Drafts, HistoryError};

use crate::{Project, path};

const SESSION: &str = "018f3c5e-7a6b-7c3d-8e2f-0123456789ab";

async fn page(p: &Project, subject: Subject, by: Option<&str>, limit: usize) -> VersionPage {
    let query =
        VersionQuery { subject, since: None, until: None, by: by.map(str::to_owned), after: None, limit };
    p.other.list_versions(&p.caller, &query).await.unwrap()
}

async fn edit(p: &Project, names: &[&str], mut rule: impl FnMut(&mut Drafts) + Send) {
    let paths: Vec<_> = names.iter().map(|name| path(name)).collect();
    let context = ChangeContext { session: Some(SESSION.to_owned()), ..ChangeContext::of_tool("edit") };
    let mut editor = |drafts: &mut Drafts| {
        drafts.set_context(&context);
        rule(drafts);
        Ok(())
    };
    p.bank.edit(&p.caller, &paths, &mut editor).await.unwrap();
}

async fn write(p: &Project, name: &str, text: &str) {
    edit(p, &[name], |drafts| drafts.set(&path(name), text.to_owned()).unwrap()).await;
}

async fn rename(p: &Project, from: &str, to: &str) {
    edit(p, &[from, to], |drafts| {
        let text = drafts.text(&path(from)).unwrap().to_owned();
        drafts.delete(&path(from)).unwrap();
        drafts.set(&path(to), text).unwrap();
    })
    .await;
}

/// A deleted document whose name another one got by a renaming, and one that was renamed before another one got its name.
async fn three_documents_of_two_names(p: &Project) {
    write(p, "gone.md", "deleted").await;
    edit(p, &["gone.md"], |drafts| drafts.delete(&path("gone.md")).unwrap()).await;
    write(p, "old.md", "renamed").await;
    rename(p, "old.md", "gone.md").await;
    write(p, "old.md", "new").await;
    write(p, "other.md", "alone").await;
    rename(p, "other.md", "last.md").await;
}

/// Name, number and kind of a version, and whether it needs the id of its document.
fn seen(page: &VersionPage, version: &Version) -> (String, i64, VersionKind, bool) {
    (version.path.to_string(), version.number, version.kind, page.needs_document(version))
}

pub async fn a_list_of_several_documents_tells_which_versions_their_names_do_not_find(p: Project) {
    three_documents_of_two_names(&p).await;
    use VersionKind::{Created, Deleted, Renamed};
    let expected = [
        ("last.md", 2, Renamed, false),
        ("other.md", 1, Created, false),
        ("old.md", 1, Created, false),
        ("gone.md", 2, Renamed, false),
        ("old.md", 1, Created, true),
        ("gone.md", 2, Deleted, true),
        ("gone.md", 1, Created, true),
    ];
    let expected = expected.map(|(name, number, kind, needs)| (name.to_owned(), number, kind, needs));
    let user = p.caller.user_name.clone();
    for (subject, by) in [
        (Subject::Project, None),
        (Subject::Session(SESSION.to_owned()), None),
        (Subject::Project, Some(user.as_str())),
    ] {
        let page = page(&p, subject.clone(), by, 200).await;
        let listed: Vec<_> = page.versions.iter().map(|version| seen(&page, version)).collect();
        assert_eq!(listed, expected, "{subject:?} {by:?}");
        // Each row leads to its own text.
        for version in &page.versions {
            let read = if page.needs_document(version) {
                p.other.read_version_of(&p.caller, &version.document, &version.path, version.number).await
            } else {
                p.other.read_version(&p.caller, &version.path, version.number).await
            };
            let read = read.unwrap();
            assert_eq!((&read.version.document, read.version.kind), (&version.document, version.kind));
        }
    }
    // A page tells it, too, and the list of a name: there the former names of its document are those of another one.
    let first = page(&p, Subject::Project, None, 3).await;
    assert_eq!(first.versions.iter().map(|version| seen(&first, version)).collect::<Vec<_>>(), expected[..3]);
    let named = page(&p, Subject::Name(path("gone.md")), None, 200).await;
    let listed: Vec<_> = named.versions.iter().map(|version| seen(&named, version)).collect();
    assert_eq!(listed, expected[3..]);
}

pub async fn a_document_is_read_by_no_name_that_it_never_had(p: Project) {
    three_documents_of_two_names(&p).await;
    p.write("never.md", "x").await;
    let all = page(&p, Subject::Project, None, 200).await.versions;
    let renamed =
        all.iter().find(|version| version.kind == VersionKind::Renamed && version.path == path("gone.md"));
    let document = renamed.unwrap().document.clone();
    let read = async |name: &str| p.other.read_version_of(&p.caller, &document, &path(name), 1).await;
    for name in ["old.md", "gone.md"] {
        assert_eq!(read(name).await.unwrap().text.as_deref(), Some("renamed"), "{name}");
    }
    // The reason is the same as for a document that does not exist, whether the name has a history or not.
    for name in ["never.md", "absent.md", "other.md", "last.md"] {
        let refused = read(name).await.unwrap_err();
        assert!(
            matches!(&refused, HistoryError::NoDocument(named) if *named == path(name)),
            "{name}: {refused}"
        );
    }
    // A document without a history has the name that it has.
    let unknown = uuid::Uuid::from_u128(7).to_string();
    let refused = p.other.read_version_of(&p.caller, &unknown, &path("gone.md"), 1).await.unwrap_err();
    assert!(matches!(refused, HistoryError::NoDocument(_)), "{refused}");
}
