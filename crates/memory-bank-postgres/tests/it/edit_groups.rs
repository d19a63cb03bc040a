//! Edits of one caller that wait for the same document are carried out together, and each is as good as alone.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};
use memory_bank_core::caller::{Caller, Role};
use memory_bank_core::document::{DocumentPath, Etag};
use memory_bank_core::error::{EditError, StoreError};
use memory_bank_core::store::{DocumentChange, DocumentStore, Drafts};
use memory_bank_postgres::PostgresBank;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::{Bench, path, read, write};

pub(crate) type Edited = Result<Vec<DocumentChange>, EditError>;

/// An edit that holds the locks of its documents until it is released. It adds a line, or is refused.
pub(crate) struct Holder {
    release: std::sync::mpsc::Sender<()>,
    task: JoinHandle<Edited>,
}

impl Holder {
    pub(crate) async fn of(bank: &PostgresBank, caller: &Caller, names: &[&str], writes: bool) -> Self {
        let (bank, caller) = (bank.clone(), caller.clone());
        let names: Vec<DocumentPath> = names.iter().map(|name| path(name)).collect();
        let (begun, holds) = oneshot::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = std::sync::Mutex::new(released);
        let task = tokio::spawn(async move {
            let mut begun = Some(begun);
            let mut editor = |drafts: &mut Drafts| {
                begun.take().map(|begun| begun.send(()));
                let wait = || released.lock().unwrap().recv_timeout(Duration::from_secs(20));
                tokio::task::block_in_place(wait).unwrap();
                if !writes {
                    return Err(EditError::Refused("no".to_owned()));
                }
                append(drafts, &path("log.md"), "first")
            };
            bank.edit(&caller, &names, &mut editor).await
        });
        holds.await.unwrap();
        Self { release, task }
    }

    pub(crate) async fn release(self) -> Edited {
        self.release.send(()).unwrap();
        self.task.await.unwrap()
    }
}

fn append(drafts: &mut Drafts, name: &DocumentPath, line: &str) -> Result<(), EditError> {
    let text = drafts.text(name).unwrap_or_default();
    drafts.set(name, format!("{text}{line}\n"))
}

/// Begins an edit: it is polled once, so that those begun one after the other wait in this order.
fn begun<'a>(
    bank: &'a PostgresBank,
    caller: &'a Caller,
    names: &[&str],
    mut rule: impl FnMut(&mut Drafts) -> Result<(), EditError> + Send + 'a,
) -> BoxFuture<'a, Edited> {
    let names: Vec<DocumentPath> = names.iter().map(|name| path(name)).collect();
    let mut edit = async move { bank.edit(caller, &names, &mut rule).await }.boxed();
    assert!((&mut edit).now_or_never().is_none(), "the edit did not wait");
    edit
}

/// Begins an edit that adds a line.
pub(crate) fn appended<'a>(
    bank: &'a PostgresBank,
    caller: &'a Caller,
    line: &'a str,
) -> BoxFuture<'a, Edited> {
    begun(bank, caller, &["log.md"], move |drafts| append(drafts, &path("log.md"), line))
}

/// The number of transactions that changed the document.
fn transactions(bench: &Bench) -> String {
    bench.test.psql("SELECT count(*) FROM transactions")
}

const RECORD_TRANSACTIONS: &str = "
    CREATE TABLE transactions (id xid8 PRIMARY KEY);
    GRANT INSERT, SELECT ON transactions TO PUBLIC;
    CREATE FUNCTION record_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO public.transactions VALUES (pg_current_xact_id()) ON CONFLICT DO NOTHING;
      RETURN NULL;
    END $$;
    CREATE TRIGGER record AFTER INSERT OR UPDATE OR DELETE ON documents
      FOR EACH ROW EXECUTE FUNCTION record_transaction()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_waiting_for_one_document_share_a_transaction_in_order() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    bench.test.psql(RECORD_TRANSACTIONS);
    let holder = Holder::of(&bank, &caller, &["log.md"], true).await;
    let lines: Vec<String> = (0..20).map(|number| format!("line {number}")).collect();
    let edits: Vec<_> = lines.iter().map(|line| appended(&bank, &caller, line)).collect();
    let (first, edits) = tokio::join!(holder.release(), join_all(edits));
    assert_eq!(transactions(&bench), "2");
    let mut text = "first\n".to_owned();
    assert_eq!(first.unwrap()[0].etag, Some(Etag::of(&text)));
    for (line, edit) in lines.iter().zip(edits) {
        text.push_str(line);
        text.push('\n');
        assert_eq!(edit.unwrap()[0].etag, Some(Etag::of(&text)), "each has the etag of its own text");
    }
    assert_eq!(read(&bank, &caller, "log.md").await, Some(text));
    assert_eq!(bench.test.psql("SELECT version FROM documents"), "21", "each edit is a version");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_edit_does_not_affect_the_next_and_conflicts_are_checked_against_the_current_text() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    let holder = Holder::of(&bank, &caller, &["log.md"], true).await;
    let refuse = |drafts: &mut Drafts| {
        append(drafts, &path("log.md"), "refused")?;
        Err(EditError::Refused("no".to_owned()))
    };
    let expecting = |etag: Etag, line: &'static str| {
        move |drafts: &mut Drafts| {
            let name = path("log.md");
            let stored = drafts.stored(&name).unwrap();
            if stored.etag != etag {
                let (expected, current) = (etag.as_str().to_owned(), stored.etag.clone());
                let content = stored.content.clone();
                return Err(EditError::EtagMismatch { path: name, expected, current, content });
            }
            append(drafts, &name, line)
        }
    };
    let edits = vec![
        appended(&bank, &caller, "a"),
        begun(&bank, &caller, &["log.md"], refuse),
        begun(&bank, &caller, &["log.md"], expecting(Etag::of("first\na\n"), "b")),
        begun(&bank, &caller, &["log.md"], expecting(Etag::of("first\n"), "stale")),
        begun(&bank, &caller, &["log.md"], |_| Ok(())),
        appended(&bank, &caller, "c"),
    ];
    let (_, edits) = tokio::join!(holder.release(), join_all(edits));
    assert_eq!(read(&bank, &caller, "log.md").await.as_deref(), Some("first\na\nb\nc\n"));
    let [a, refused, b, stale, unchanged, c] = <[Edited; 6]>::try_from(edits).unwrap();
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert!(matches!(refused, Err(EditError::Refused(_))), "{refused:?}");
    assert!(
        matches!(&stale, Err(EditError::EtagMismatch { current, .. }) if *current == Etag::of("first\na\nb\n")),
        "{stale:?}"
    );
    assert_eq!(unchanged.unwrap()[0].etag, Some(Etag::of("first\na\nb\n")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_of_one_edit_are_edited_together_and_created_where_missing() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    let holder = Holder::of(&bank, &caller, &["log.md"], true).await;
    let both = |line: &'static str| {
        begun(&bank, &caller, &["log.md", "notes.md"], move |drafts| {
            append(drafts, &path("log.md"), line)?;
            append(drafts, &path("notes.md"), line)
        })
    };
    let edits = vec![both("a"), appended(&bank, &caller, "b"), both("c")];
    let (_, edits) = tokio::join!(holder.release(), join_all(edits));
    assert!(edits.iter().all(Result::is_ok));
    assert_eq!(read(&bank, &caller, "log.md").await.as_deref(), Some("first\na\nb\nc\n"));
    assert_eq!(read(&bank, &caller, "notes.md").await.as_deref(), Some("a\nc\n"));
    assert_eq!(bench.test.psql("SELECT version FROM documents WHERE path = 'notes.md'"), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_or_rename_in_a_group_keeps_its_order_and_rights() {
    let bench = Bench::new().await;
    let owner = bench.tenant("alice", "demo").await;
    let editor = bench.member("bob", "demo", Role::Editor).await;
    let bank = bench.bank();
    for (caller, deletes) in [(&owner, true), (&editor, false)] {
        write(&bank, caller, "old.md", "to be renamed").await.unwrap();
        let holder = Holder::of(&bank, caller, &["log.md", "old.md"], true).await;
        let rename = |drafts: &mut Drafts| {
            let text = drafts.text(&path("old.md")).unwrap().to_owned();
            drafts.delete(&path("old.md"))?;
            drafts.set(&path("new.md"), text)
        };
        let delete = |drafts: &mut Drafts| drafts.delete(&path("log.md"));
        let edits = vec![
            appended(&bank, caller, "a"),
            begun(&bank, caller, &["old.md", "new.md"], rename),
            begun(&bank, caller, &["log.md"], delete),
            appended(&bank, caller, "b"),
        ];
        let (_, edits) = tokio::join!(holder.release(), join_all(edits));
        let outcomes: Vec<bool> = edits.iter().map(Result::is_ok).collect();
        assert_eq!(outcomes, [true, true, deletes, true], "{edits:?}");
        let text = if deletes { "b\n" } else { "first\na\nb\n" };
        let log = read(&bank, caller, "log.md").await.unwrap();
        assert!(log.ends_with(text) && log.contains('a') != deletes, "{log}");
        assert_eq!(read(&bank, caller, "new.md").await.as_deref(), Some("to be renamed"));
        bench.test.psql("DELETE FROM documents");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_refused_by_the_database_does_not_fail_the_others() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    bench.test.psql(
        "CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
           IF NEW.content LIKE '%poison%' THEN RAISE EXCEPTION 'poison' USING ERRCODE = 'insufficient_privilege'; END IF;
           RETURN NEW;
         END $$;
         CREATE TRIGGER poison BEFORE INSERT OR UPDATE ON documents FOR EACH ROW EXECUTE FUNCTION refuse_poison()",
    );
    let holder = Holder::of(&bank, &caller, &["log.md"], true).await;
    let lines = ["a", "poison", "b", "c"];
    let edits: Vec<_> = lines.iter().map(|line| appended(&bank, &caller, line)).collect();
    let (_, edits) = tokio::join!(holder.release(), join_all(edits));
    let outcomes: Vec<bool> = edits.iter().map(Result::is_ok).collect();
    assert_eq!(outcomes, [true, false, true, true], "{edits:?}");
    assert!(matches!(edits[1], Err(EditError::Store(StoreError::Denied))), "{edits:?}");
    assert_eq!(read(&bank, &caller, "log.md").await.as_deref(), Some("first\na\nb\nc\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_of_different_keys_never_share_a_context() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let bob = bench.member("bob", "demo", Role::Editor).await;
    let bank = bench.bank();
    // Every line names its key; the trigger compares each new line with the context that writes it.
    bench.test.psql(
        "CREATE FUNCTION hold_against_context() RETURNS trigger LANGUAGE plpgsql AS $$
         DECLARE
           added text := CASE WHEN TG_OP = 'UPDATE' THEN substr(NEW.content, length(OLD.content) + 1) ELSE NEW.content END;
         BEGIN
           IF EXISTS (SELECT FROM regexp_split_to_table(trim(added, E'\\n'), E'\\n') AS line
               WHERE line NOT LIKE current_setting('app.current_key_id') || '%') THEN
             RAISE EXCEPTION 'another''s context';
           END IF;
           RETURN NEW;
         END $$;
         CREATE TRIGGER hold BEFORE INSERT OR UPDATE ON documents FOR EACH ROW EXECUTE FUNCTION hold_against_context()",
    );
    let edits = (0..40).map(|number| {
        let (bank, caller) = (bank.clone(), if number % 2 == 0 { alice.clone() } else { bob.clone() });
        tokio::spawn(async move {
            let line = format!("{} {number}", caller.key.unwrap().0);
            let name = path("log.md");
            let mut editor = |drafts: &mut Drafts| append(drafts, &name, &line);
            bank.edit(&caller, std::slice::from_ref(&name), &mut editor).await
        })
    });
    for edit in join_all(edits).await {
        edit.unwrap().unwrap();
    }
    let text = read(&bank, &alice, "log.md").await.unwrap();
    let mut numbers: Vec<u32> =
        text.lines().map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..40).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnected_clients_do_not_block_other_edits() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    let holder = Holder::of(&bank, &caller, &["log.md"], true).await;
    let mut edits: Vec<_> = ["a", "gone", "b"].iter().map(|line| appended(&bank, &caller, line)).collect();
    drop(edits.remove(1));
    let (first, edits) = tokio::join!(holder.release(), join_all(edits));
    assert!(first.is_ok() && edits.iter().all(Result::is_ok));
    assert_eq!(read(&bank, &caller, "log.md").await.as_deref(), Some("first\na\nb\n"));

    // The client that all wait for disconnects, too.
    let holder = Holder::of(&bank, &caller, &["log.md"], true).await;
    let edits: Vec<_> = ["c", "d"].iter().map(|line| appended(&bank, &caller, line)).collect();
    holder.task.abort();
    holder.release.send(()).unwrap();
    let edits = tokio::time::timeout(Duration::from_secs(20), join_all(edits)).await.unwrap();
    assert!(edits.iter().all(Result::is_ok), "{edits:?}");
    let text = read(&bank, &caller, "log.md").await.unwrap();
    assert!(text.ends_with("c\nd\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_whose_task_does_not_run_for_a_while_is_made_later() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    let holder = Holder::of(&bank, &caller, &["log.md"], true).await;
    // As on a busy computer: both wait in one task, which does not run while the group asks for their editors.
    let edits: Vec<_> = ["a", "b", "c"].iter().map(|line| appended(&bank, &caller, line)).collect();
    assert!(holder.release().await.is_ok());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let edits = tokio::time::timeout(Duration::from_secs(60), join_all(edits)).await.unwrap();
    assert!(edits.iter().all(Result::is_ok), "{edits:?}");
    let text = read(&bank, &caller, "log.md").await.unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a", "b", "c", "first"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_of_a_lost_transaction_fail_and_are_not_retried() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    // The connection ends during the write, as when the database host stops: the outcome of the commit is unknown.
    bench.test.psql(
        "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
           IF NEW.content LIKE '%stop%' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
           RETURN NEW;
         END $$;
         CREATE TRIGGER stop BEFORE UPDATE ON documents FOR EACH ROW EXECUTE FUNCTION stop()",
    );
    let holder = Holder::of(&bank, &caller, &["log.md"], true).await;
    let edits: Vec<_> = ["a", "stop", "b"].iter().map(|line| appended(&bank, &caller, line)).collect();
    let (_, edits) = tokio::join!(holder.release(), join_all(edits));
    for edit in &edits {
        assert!(matches!(edit, Err(EditError::Store(StoreError::Unreachable(_)))), "{edits:?}");
    }
    assert_eq!(read(&bank, &caller, "log.md").await.as_deref(), Some("first\n"));
    let after = appended_now(&bank, &caller, "after").await;
    assert!(after.is_ok(), "{after:?}");
}

async fn appended_now(bank: &PostgresBank, caller: &Caller, line: &str) -> Edited {
    let name = path("log.md");
    bank.edit(caller, std::slice::from_ref(&name), &mut |drafts| append(drafts, &name, line)).await
}
