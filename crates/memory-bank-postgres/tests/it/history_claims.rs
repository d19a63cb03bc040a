//! What an editor claims of its own changes by SQL, with the server's login role, hides no version of another user; and what an
//! owner erases is in no stored reply.

use memory_bank_core::caller::{Caller, Role};
use memory_bank_core::document::{DocumentPath, Etag};
use memory_bank_core::store::{EntityDraft, EntityRef, GraphHistoryStore, GraphStore, HistoryStore};

use crate::history::{context_of, forged_update};
use crate::support::{Bench, query_as_login, write};

const NAME: &str = "log.md";

/// A project with an owner, whose document has six versions, and an editor.
async fn with_versions() -> (Bench, Caller, Caller, Vec<String>) {
    let bench = Bench::new().await;
    let owner = bench.tenant("alice", "demo").await;
    let editor = bench.member("mallory", "demo", Role::Editor).await;
    let mut texts: Vec<String> = Vec::new();
    for number in 0..6 {
        let text = format!("{}- entry {number} \u{e9}\n", texts.last().cloned().unwrap_or_default());
        write(&bench.bank(), &owner, NAME, &text).await.unwrap();
        texts.push(text);
    }
    (bench, owner, editor, texts)
}

async fn expect_readable(bench: &Bench, caller: &Caller, texts: &[String]) {
    let path = DocumentPath::parse(NAME).unwrap();
    for (number, text) in (1..).zip(texts) {
        let read = bench.bank().read_version(caller, &path, number).await;
        let read = read.unwrap_or_else(|error| panic!("{number}: {error}"));
        assert_eq!(read.text.as_ref(), Some(text), "{number}");
    }
}

#[tokio::test]
async fn a_range_that_the_change_did_not_leave_is_no_step_back() {
    let (bench, owner, editor, mut texts) = with_versions().await;
    let last = i64::try_from(texts.last().unwrap().len()).unwrap();
    let claims = [
        (0, 4, "- entry 0, and no more"),
        (4, 0, "another text at all"),
        // In the middle of a character.
        (1, 1, "x\u{e9}y"),
        (3, 0, "x\u{ea}z"),
        (2, 0, "x\u{ea}z, which is longer"),
        (0, last, "short"),
        (-1, 1, "t"),
        (2_000_000, 2_000_000, "t2"),
    ];
    for (start, end, text) in claims {
        let change = format!("changed|write||{start}|{end}");
        query_as_login(&bench, &forged_update(&editor, &change, "", text)).await.unwrap();
        texts.push(text.to_owned());
        expect_readable(&bench, &owner, &texts).await;
    }
    // The claim that is made when the row is written already.
    let late = forged_update(&editor, "changed|write||0|0", "", "later").replace(
        "WHERE path = 'log.md';",
        "WHERE path = 'log.md' RETURNING set_config('app.current_change', 'changed|write||1|1', true);",
    );
    query_as_login(&bench, &late).await.unwrap();
    texts.push("later".to_owned());
    expect_readable(&bench, &owner, &texts).await;
    // A true claim is stored as it is.
    query_as_login(&bench, &forged_update(&editor, "changed|write||5|0", "", "later on")).await.unwrap();
    texts.push("later on".to_owned());
    expect_readable(&bench, &owner, &texts).await;
    let newest = bench.test.psql(
        "SELECT kept_start, octet_length(former) FROM app.document_versions ORDER BY version DESC LIMIT 1",
    );
    assert_eq!(newest.trim(), "5|0");
}

#[tokio::test]
async fn a_list_of_steps_with_right_lengths_and_etags_that_makes_another_text_is_not_stored() {
    let (bench, owner, editor, mut texts) = with_versions().await;
    let last = texts.last().unwrap().clone();
    let text = "0123456789";
    let former = "x".repeat(last.len() - 4);
    let versions = serde_json::json!({NAME: [{
        "kind": "changed", "tool": "write", "session": null, "bytes": text.len(), "start": 2, "end": 2, "former": former,
        "etag": Etag::of(text).as_str(), "formerEtag": Etag::of(&last).as_str(),
    }]});
    query_as_login(&bench, &forged_update(&editor, "*|write|||", &versions.to_string(), text)).await.unwrap();
    texts.push(text.to_owned());
    expect_readable(&bench, &owner, &texts).await;
}

#[tokio::test]
async fn an_etag_that_is_not_that_of_the_text_hides_its_own_version_alone() {
    let (bench, owner, editor, mut texts) = with_versions().await;
    let forged = format!(
        "{} SET LOCAL app.current_change = 'changed|write||9|0'; UPDATE documents SET content = left(content, 10) || 'planted', \
         etag = '0123456789abcdef', version = version + 1 WHERE path = 'log.md'; COMMIT",
        context_of(&editor)
    );
    query_as_login(&bench, &forged).await.unwrap();
    let after = format!("{}\n- after it\n", texts.last().unwrap());
    write(&bench.bank(), &owner, NAME, &after).await.unwrap();
    expect_readable(&bench, &owner, &texts).await;
    texts.truncate(3);
    expect_readable(&bench, &owner, &texts).await;
}

#[tokio::test]
async fn changes_without_a_history_leave_the_versions_before_them_readable() {
    let (bench, owner, editor, texts) = with_versions().await;
    for text in ["once", "twice", "three times"] {
        query_as_login(&bench, &forged_update(&editor, "-", "", text)).await.unwrap();
        expect_readable(&bench, &owner, &texts).await;
    }
    let path = DocumentPath::parse(NAME).unwrap();
    let kept = bench.bank().read_version(&owner, &path, 7).await;
    // Only the first of them is a version, whose own text was changed without a history.
    assert!(kept.is_err(), "{kept:?}");
    assert_eq!(bench.test.psql("SELECT max(version) FROM app.document_versions").trim(), "7");
    write(&bench.bank(), &owner, NAME, "with a history again").await.unwrap();
    expect_readable(&bench, &owner, &texts).await;
    // A whole text that the editor claims before stands for no other one.
    for (change, text) in [("changed|-||0|0", "a"), ("changed|-||1|0", "ab"), ("-", "c"), ("-", "d")] {
        query_as_login(&bench, &forged_update(&editor, change, "", text)).await.unwrap();
        expect_readable(&bench, &owner, &texts).await;
    }
    let deleted = format!(
        "{} SET LOCAL app.current_change = '-'; DELETE FROM documents WHERE path = 'log.md'; COMMIT",
        context_of(&owner)
    );
    query_as_login(&bench, &deleted).await.unwrap();
    expect_readable(&bench, &owner, &texts).await;
}

#[tokio::test]
async fn a_document_that_is_deleted_without_a_history_can_still_be_read_back() {
    let (bench, owner, _, texts) = with_versions().await;
    let deleted = format!(
        "{} SET LOCAL app.current_change = '-'; DELETE FROM documents WHERE path = 'log.md'; COMMIT",
        context_of(&owner)
    );
    query_as_login(&bench, &deleted).await.unwrap();
    expect_readable(&bench, &owner, &texts).await;
}

#[tokio::test]
async fn an_erasure_forgets_the_stored_replies_of_its_project() {
    let (bench, owner, _, _) = with_versions().await;
    let other = bench.tenant("bob", "two").await;
    let draft = EntityDraft { name: "Api".into(), entity_type: "thing".into(), attrs: None };
    bench.bank().upsert_entity(&owner, draft).await.unwrap();
    let store = || {
        for caller in [&owner, &other] {
            bench.test.psql(&format!(
                "INSERT INTO mcp_events (session_id, stream_id, place, user_id, project_id, message, created_at) \
                 VALUES (gen_random_uuid(), gen_random_uuid(), 1, '{}', '{}', '{{\"a\": \"secret\"}}', now() - interval '1 hour')",
                caller.user.0, caller.project.0
            ));
        }
    };
    let stored = |caller: &Caller| {
        let count = format!("SELECT count(*) FROM mcp_events WHERE project_id = '{}'", caller.project.0);
        bench.test.psql(&count).trim().to_owned()
    };
    store();
    bench.bank().erase(&owner, &DocumentPath::parse(NAME).unwrap()).await.unwrap();
    assert_eq!((stored(&owner).as_str(), stored(&other).as_str()), ("0", "1"));
    store();
    bench.bank().erase_entity(&owner, &EntityRef("Api".into())).await.unwrap();
    assert_eq!((stored(&owner).as_str(), stored(&other).as_str()), ("0", "2"));
}

#[tokio::test]
async fn a_claimed_deletion_of_a_living_document_is_a_change_and_blocks_no_name() {
    let (bench, owner, editor, _) = with_versions().await;
    query_as_login(&bench, &forged_update(&editor, "deleted|history||", "", "claimed")).await.unwrap();
    assert_eq!(
        bench.test.psql("SELECT count(*) FROM app.document_versions WHERE kind = 'deleted'").trim(),
        "0"
    );
    let moved = format!(
        "{} SET LOCAL app.current_change = '-'; UPDATE documents SET path = 'other.md' WHERE path = 'log.md'; COMMIT",
        context_of(&editor)
    );
    query_as_login(&bench, &moved).await.unwrap();
    write(&bench.bank(), &owner, NAME, "of the same name").await.unwrap();
}

#[tokio::test]
async fn a_version_number_without_room_for_others_is_not_stored() {
    let (bench, owner, editor, _) = with_versions().await;
    let highest = format!(
        "{} UPDATE documents SET version = 9223372036854775807 WHERE path = 'log.md'; COMMIT",
        context_of(&editor)
    );
    query_as_login(&bench, &highest).await.unwrap();
    write(&bench.bank(), &owner, NAME, "still writable").await.unwrap();
    let created = format!(
        "{} INSERT INTO documents (project_id, path, content, etag, version) VALUES ('{}', 'new.md', 'a', '0123456789abcdef', \
         9223372036854775807); COMMIT",
        context_of(&editor),
        editor.project.0
    );
    query_as_login(&bench, &created).await.unwrap();
    write(&bench.bank(), &owner, "new.md", "writable, too").await.unwrap();
}

#[tokio::test]
async fn an_erasure_reaches_documents_that_only_their_former_name_or_a_change_shows() {
    let bench = Bench::new().await;
    let owner = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    write(&bank, &owner, NAME, "a secret").await.unwrap();
    write(&bank, &owner, NAME, "clean").await.unwrap();
    // As after the oldest versions were thinned.
    bench.test.psql("DELETE FROM app.document_versions WHERE kind = 'created'");
    let rename = format!(
        "{} SET LOCAL app.current_change = 'renamed|rename_memory_bank_file||'; UPDATE documents SET path = 'old.md' WHERE path = 'log.md'; \
         DELETE FROM documents WHERE path = 'old.md'; COMMIT",
        context_of(&owner)
    );
    query_as_login(&bench, &rename).await.unwrap();
    write(&bank, &owner, NAME, "new").await.unwrap();
    bank.erase(&owner, &DocumentPath::parse(NAME).unwrap()).await.unwrap();
    let left = bench.test.psql(
        "SELECT count(*) FROM app.document_versions WHERE convert_from(former, 'UTF8') LIKE '%secret%'",
    );
    assert_eq!(left.trim(), "0");
}
