//! Reads from standbys: they show all that was acknowledged before, whichever standby is late, dead, silent or the wrong one.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use memory_bank_core::caller::{Caller, ProjectId, UserId};
use memory_bank_core::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{Administration, KeyDirectory, KeyStore, NewProject, NewUser, PlainKey};
use memory_bank_core::store::{DocumentStore, NoSink, ReadOutcome};
use memory_bank_postgres::{Database, DatabaseOptions, Deps, PostgresBank};
use memory_bank_test_postgres::{DedicatedServer, MIGRATOR, SERVER, StandbyServer};

use crate::support::{new_key, path, write};

/// The bound of a wait that should end soon, on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(60);

struct Group {
    primary: DedicatedServer,
    standbys: Vec<StandbyServer>,
    owner: Database,
}

fn open(url: &str, standby_urls: Vec<String>) -> Database {
    let deps =
        Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink: Arc::new(NoSink) };
    let options = DatabaseOptions {
        url: url.to_owned(),
        max_connections: 6,
        standby_urls,
        ..DatabaseOptions::default()
    };
    Database::new(&options, deps).unwrap()
}

fn bank(database: &Database) -> PostgresBank {
    PostgresBank::new(database.clone(), "demo".to_owned())
}

async fn read(bank: &PostgresBank, caller: &Caller) -> Result<Option<String>, StoreError> {
    Ok(match bank.read(caller, &[path("same.md")]).await?.remove(0) {
        ReadOutcome::Found(document) => Some(document.content),
        _ => None,
    })
}

impl Group {
    async fn of(standbys: usize) -> Self {
        let primary = DedicatedServer::start();
        let owner = open(&primary.url_of(MIGRATOR), Vec::new());
        owner.migrate().await.unwrap();
        primary.admit_server();
        let standbys: Vec<_> = (0..standbys).map(|_| primary.standby()).collect();
        let group = Self { primary, standbys, owner };
        group.settle();
        group
    }

    /// Waits until all standbys have what the primary has.
    fn settle(&self) {
        let position = self.primary.position();
        self.standbys.iter().for_each(|standby| standby.await_position(&position));
    }

    fn urls(&self) -> Vec<String> {
        self.standbys.iter().map(|standby| standby.url_of(SERVER)).collect()
    }

    /// A server's database, with standbys at these addresses.
    fn database(&self, standby_urls: Vec<String>) -> Database {
        open(&self.primary.url_of(SERVER), standby_urls)
    }

    async fn tenant(&self, name: &str) -> (PlainKey, Caller) {
        let id = || SystemEntropy.id();
        let user = NewUser { id: UserId(id()), name: name.to_owned(), email: None };
        let project = NewProject { id: ProjectId(id()), slug: name.to_owned(), name: name.to_owned() };
        let (plain, key) = new_key();
        self.owner.bootstrap(&user, &project, &key).await.unwrap();
        let caller = KeyDirectory::find(&self.owner, &plain.hash()).await.unwrap().unwrap().caller;
        (plain, caller)
    }
}

fn serving(database: &Database) -> Vec<bool> {
    database.standby_use().iter().map(|standby| standby.is_serving).collect()
}

fn reads(database: &Database) -> u64 {
    database.standby_use().iter().map(|standby| standby.reads).sum()
}

/// Reads on, as a client does, until the standbys serve like this.
async fn until_serving(database: &Database, caller: &Caller, expected: &[bool]) {
    let began = Instant::now();
    while serving(database) != expected {
        assert!(began.elapsed() < TIMEOUT, "{:?} {:?}", serving(database), database.check_standbys().await);
        read(&bank(database), caller).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standbys_answer_reads_with_every_acknowledged_write_of_any_server() {
    let group = Group::of(2).await;
    let (one, other) = (group.database(group.urls()), group.database(group.urls()));
    let (_, first) = group.tenant("first").await;
    for database in [&one, &other] {
        until_serving(database, &first, &[true, true]).await;
    }
    let edits_before = reads(&one);
    let mut tasks = Vec::new();
    for number in 0..4 {
        let (_, caller) = group.tenant(&format!("atlas-{number}")).await;
        let (one, other) = (one.clone(), other.clone());
        tasks.push(tokio::spawn(async move {
            for round in 0..40 {
                let text = format!("{number}: {round}");
                write(&bank(&one), &caller, "same.md", &text).await.unwrap();
                assert_eq!(read(&bank(&other), &caller).await.unwrap(), Some(text), "by another server");
                let listed = bank(&other).list(&caller).await.unwrap();
                assert_eq!(listed.len(), 1, "a transaction of several statements");
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let answered = other.standby_use();
    assert!(answered.iter().all(|standby| standby.reads > 0), "both standbys answer: {answered:?}");
    assert_eq!(reads(&one), edits_before, "edits read at the primary");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_is_late_dead_or_silent_is_left_out_until_it_is_well() {
    let group = Group::of(2).await;
    let database = group.database(group.urls());
    let (_, caller) = group.tenant("atlas").await;
    let bank = bank(&database);
    write(&bank, &caller, "same.md", "first").await.unwrap();
    until_serving(&database, &caller, &[true, true]).await;

    group.standbys[0].pause_replay(true);
    for round in 0..6 {
        let text = format!("late {round}");
        write(&bank, &caller, "same.md", &text).await.unwrap();
        assert_eq!(read(&bank, &caller).await.unwrap(), Some(text));
    }
    assert_eq!(serving(&database), [false, true]);
    group.standbys[0].pause_replay(false);
    until_serving(&database, &caller, &[true, true]).await;

    group.standbys[1].crash();
    for round in 0..6 {
        let text = format!("dead {round}");
        write(&bank, &caller, "same.md", &text).await.unwrap();
        assert_eq!(read(&bank, &caller).await.unwrap(), Some(text));
    }
    until_serving(&database, &caller, &[true, false]).await;
    group.standbys[1].start_again();
    until_serving(&database, &caller, &[true, true]).await;

    group.standbys[0].signal("STOP");
    for _ in 0..6 {
        assert_eq!(read(&bank, &caller).await.unwrap(), Some("dead 5".to_owned()));
        assert_eq!(bank.list(&caller).await.unwrap().len(), 1);
    }
    until_serving(&database, &caller, &[false, true]).await;
    group.standbys[0].signal("CONT");
    until_serving(&database, &caller, &[true, true]).await;

    group.standbys.iter().for_each(StandbyServer::crash);
    for _ in 0..3 {
        assert_eq!(read(&bank, &caller).await.unwrap(), Some("dead 5".to_owned()), "by the primary");
    }
    until_serving(&database, &caller, &[false, false]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_reads_nothing_at_a_standby_that_does_not_know_it_yet() {
    let group = Group::of(1).await;
    let database = group.database(group.urls());
    let (_, caller) = group.tenant("atlas").await;
    let bank = bank(&database);
    write(&bank, &caller, "same.md", "text").await.unwrap();
    until_serving(&database, &caller, &[true]).await;
    let (plain, key) = new_key();
    KeyStore::create(&database, &caller, &key).await.unwrap();
    let other = KeyDirectory::find(&database, &plain.hash()).await.unwrap().unwrap().caller;
    assert_eq!(read(&bank, &other).await.unwrap().as_deref(), Some("text"));
    group.standbys[0].pause_replay(true);
    KeyStore::revoke(&database, &caller, key.id, SystemClock.now()).await.unwrap();
    for _ in 0..3 {
        assert!(matches!(read(&bank, &other).await, Err(StoreError::KeyInvalid)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_no_standby_of_the_database_answers_no_read() {
    let group = Group::of(1).await;
    let standby = &group.standbys[0];
    let (_, caller) = group.tenant("atlas").await;
    let elsewhere = DedicatedServer::start();
    group.primary.query("CREATE DATABASE other");
    group.settle();
    let of_other_database = standby.url_of(SERVER).replace("/bank?", "/other?");
    let urls = [
        group.primary.url_of(SERVER),
        elsewhere.url_of(SERVER),
        of_other_database,
        standby.url_of("postgres"),
        format!("postgres://{SERVER}@127.0.0.1:1/bank?sslmode=disable"),
    ];
    let database = group.database(urls.to_vec());
    write(&bank(&database), &caller, "same.md", "text").await.unwrap();
    let checked = database.check_standbys().await;
    let expected = ["it is a primary", "system identifier", "`other`", "`postgres`", "refused"];
    for ((_, outcome), expected) in checked.iter().zip(expected) {
        let reason = outcome.as_ref().unwrap_err();
        assert!(reason.contains(expected), "{reason}");
    }
    // Longer than the first pauses before a standby is tried again.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        assert_eq!(read(&bank(&database), &caller).await.unwrap().as_deref(), Some("text"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(reads(&database), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_promotion_the_former_standby_and_those_of_the_former_primary_answer_no_read() {
    let group = Group::of(2).await;
    let (_, caller) = group.tenant("atlas").await;
    let before = group.database(group.urls());
    write(&bank(&before), &caller, "same.md", "before").await.unwrap();
    until_serving(&before, &caller, &[true, true]).await;
    // The second one stays with the former primary, and is farther in its own log than the new primary.
    let new_primary = group.standbys[0].url_of(SERVER);
    group.settle();
    group.standbys[0].promote();
    for round in 0..20 {
        write(&bank(&before), &caller, "same.md", &format!("former {round}")).await.unwrap();
        assert_eq!(
            read(&bank(&before), &caller).await.unwrap(),
            Some(format!("former {round}")),
            "a standby that was promoted answers nothing"
        );
    }
    until_serving(&before, &caller, &[false, true]).await;
    let after = open(&new_primary, vec![group.standbys[1].url_of(SERVER)]);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        assert_eq!(read(&bank(&after), &caller).await.unwrap().as_deref(), Some("before"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(reads(&after), 0);
    let checked = after.check_standbys().await;
    assert!(checked[0].1.as_ref().is_err_and(|reason| reason.contains("another history")), "{checked:?}");
}

/// A commit that waits for a synchronous standby is in the log, and at the other standbys, before the primary shows it. A read that
/// showed it could be followed by one that does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_shows_nothing_that_the_primary_does_not_show_yet() {
    let group = Group::of(1).await;
    let (_, caller) = group.tenant("atlas").await;
    let database = group.database(group.urls());
    write(&bank(&database), &caller, "same.md", "before").await.unwrap();
    until_serving(&database, &caller, &[true]).await;
    let set = |names: &str| {
        group.primary.query(&format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'"));
        group.primary.query("SELECT pg_reload_conf()");
    };
    set("missing");
    let writer = {
        let (database, caller) = (database.clone(), caller.clone());
        tokio::spawn(async move { write(&bank(&database), &caller, "same.md", "after").await.map(drop) })
    };
    let seen_at_the_standby = "SELECT count(*) FROM documents WHERE content = 'after'";
    let began = Instant::now();
    while group.standbys[0].query(seen_at_the_standby) != "1" {
        assert!(began.elapsed() < TIMEOUT, "the standby does not show the commit");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!writer.is_finished(), "the commit waits");
    let before = reads(&database);
    for _ in 0..30 {
        assert_eq!(read(&bank(&database), &caller).await.unwrap().as_deref(), Some("before"));
        assert_eq!(bank(&database).list(&caller).await.unwrap()[0].bytes, "before".len() as u64);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(reads(&database), before, "the standby answered none of them");
    set("");
    writer.await.unwrap().unwrap();
    assert_eq!(read(&bank(&database), &caller).await.unwrap().as_deref(), Some("after"));
    until_serving(&database, &caller, &[true]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_transaction_keeps_no_standby_from_reads() {
    let group = Group::of(1).await;
    let (_, caller) = group.tenant("atlas").await;
    let database = group.database(group.urls());
    write(&bank(&database), &caller, "same.md", "text").await.unwrap();
    until_serving(&database, &caller, &[true]).await;
    // It has a number, so a later commit makes a standby show transactions past it.
    let mut long = Command::new("psql")
        .args([&group.primary.url_of("postgres"), "-qAtc", "BEGIN", "-c", "SELECT pg_current_xact_id()"])
        .args(["-c", "SELECT pg_sleep(600)"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut number = String::new();
    BufReader::new(long.stdout.as_mut().unwrap()).read_line(&mut number).unwrap();
    let (began, mut answered, mut round) = (Instant::now(), 0, 0);
    // On a busy machine the standby is late for many of them, and the primary answers.
    while answered < 10 && began.elapsed() < Duration::from_secs(60) {
        let text = format!("round {round}");
        write(&bank(&database), &caller, "same.md", &text).await.unwrap();
        let before = reads(&database);
        assert_eq!(read(&bank(&database), &caller).await.unwrap(), Some(text));
        answered += reads(&database) - before;
        round += 1;
    }
    long.kill().unwrap();
    long.wait().unwrap();
    assert!(answered >= 10, "the standby answered {answered} of {round} reads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_shared_by_the_standbys_and_the_primary() {
    let group = Group::of(2).await;
    let (_, caller) = group.tenant("atlas").await;
    let database = group.database(group.urls());
    write(&bank(&database), &caller, "same.md", "text").await.unwrap();
    until_serving(&database, &caller, &[true, true]).await;
    let before: Vec<u64> = database.standby_use().iter().map(|standby| standby.reads).collect();
    for _ in 0..60 {
        read(&bank(&database), &caller).await.unwrap();
    }
    for (standby, before) in database.standby_use().iter().zip(before) {
        assert!((15..=25).contains(&(standby.reads - before)), "one after the other: {standby:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_ends_within_a_record_keeps_no_standby_from_reads() {
    let group = Group::of(1).await;
    let (_, caller) = group.tenant("atlas").await;
    let database = group.database(group.urls());
    write(&bank(&database), &caller, "same.md", "text").await.unwrap();
    until_serving(&database, &caller, &[true]).await;
    group.primary.query("CREATE TABLE public.filler (text text)");
    let (mut ended_within, mut answered) = (0, 0);
    for round in 0..200 {
        // Nobody waits for it, so whole pages of it are written first.
        group.primary.query(
            "SET synchronous_commit = off; INSERT INTO public.filler SELECT repeat(chr(97 + n), 900) FROM generate_series(1, 7) n",
        );
        tokio::time::sleep(Duration::from_millis(round % 7 * 40)).await;
        let page_is_full = group.primary.query("SELECT (pg_current_wal_flush_lsn() - '0/0') % 8192 = 0");
        ended_within += usize::from(page_is_full == "t");
        let before = reads(&database);
        assert_eq!(read(&bank(&database), &caller).await.unwrap().as_deref(), Some("text"));
        answered += usize::from(page_is_full == "t" && reads(&database) > before);
        if answered == 3 {
            return;
        }
    }
    panic!("the standby answered {answered} of the {ended_within} reads at a log that ended within a record");
}

/// A setting counts for new sessions only: the sessions of servers would differ, and one that asks for the position of the log would not
/// know that another one acknowledges a commit before it is on disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_may_acknowledge_early_does_not() {
    let group = Group::of(1).await;
    let (_, caller) = group.tenant("atlas").await;
    let former = group.database(group.urls());
    write(&bank(&former), &caller, "same.md", "text").await.unwrap();
    until_serving(&former, &caller, &[true]).await;
    group.primary.query(&format!("ALTER ROLE {SERVER} SET synchronous_commit = off"));
    let restarted = group.database(Vec::new());
    for round in 0..60 {
        let text = format!("round {round}");
        write(&bank(&restarted), &caller, "same.md", &text).await.unwrap();
        assert_eq!(read(&bank(&former), &caller).await.unwrap(), Some(text));
    }
    assert!(reads(&former) > 20, "{:?}", former.standby_use());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_follows_the_primary_among_the_hosts_of_its_address() {
    let group = Group::of(1).await;
    let standby = &group.standbys[0];
    let (_, caller) = group.tenant("atlas").await;
    group.settle();
    // The standby comes first, and answers.
    let url = |more: &str| {
        let hosts = format!("127.0.0.1:{},127.0.0.1:{}", standby.port(), group.primary.port());
        let own = format!("127.0.0.1:{}", group.primary.port());
        format!("{}{more}", group.primary.url_of(SERVER).replace(&own, &hosts))
    };
    let databases = ["", "&target_session_attrs=read-write", "&target_session_attrs=primary"]
        .map(|more| open(&url(more), Vec::new()));
    for (number, database) in databases.iter().enumerate() {
        write(&bank(database), &caller, "same.md", &format!("before {number}")).await.unwrap();
    }
    group.settle();
    group.primary.crash();
    standby.promote();
    for (number, database) in databases.iter().enumerate() {
        let (bank, began) = (bank(database), Instant::now());
        let text = format!("after {number}");
        while let Err(error) = write(&bank, &caller, "same.md", &text).await {
            assert!(began.elapsed() < TIMEOUT, "{error:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(read(&bank, &caller).await.unwrap(), Some(text));
    }
    // The new primary has the versions that the former one had acknowledged.
    let history = standby.query("SELECT count(*) FROM app.document_versions");
    assert_eq!(history, "6");
}
