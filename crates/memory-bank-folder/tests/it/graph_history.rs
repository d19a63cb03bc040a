//! The history of the graph in a folder: the log, the events that compactions drop, and changes by other programs.

use std::path::Path;
use std::sync::Arc;

use jiff::ToSpan;
use memory_bank_core::clock::{Clock, FixedClock};
use memory_bank_core::graph::Validity;
use memory_bank_core::graph::history::{GraphChange, GraphChangeQuery, GraphSubject, Origin, summary};
use memory_bank_core::history::ChangeContext;
use memory_bank_core::store::{
    Bank, EntityDraft, EntityRef, GraphHistoryStore, GraphStore, ObservationDraft, UndoRequest, undo,
};
use memory_bank_folder::{Deps, FolderBank};
use tempfile::TempDir;

use crate::history::open_at;
use crate::support::{caller, deps};

const MARKER: &str = r#"{"type":"memory_bank_graph","source":"memory-bank-mcp","version":"1"}"#;

struct Kept {
    root: TempDir,
    bank: FolderBank,
    clock: Arc<FixedClock>,
}

fn kept() -> Kept {
    kept_by("state")
}

/// A bank whose history is kept with this state folder, from the project on.
fn kept_by(state: &str) -> Kept {
    let root = TempDir::new().unwrap();
    std::fs::create_dir(root.path().join("memory-bank")).unwrap();
    let clock = Arc::new(FixedClock::new("2026-11-22T09:30:07.045Z".parse().unwrap()));
    let deps = Deps { clock: Arc::<FixedClock>::clone(&clock), ..deps() };
    let bank = open_at(root.path(), state, deps);
    Kept { root, bank, clock }
}

impl Kept {
    fn log(&self) -> std::path::PathBuf {
        self.root.path().join("memory-bank/graph/graph.jsonl")
    }

    fn segments(&self) -> Vec<String> {
        let folder = self.root.path().join("memory-bank/.mbmcp/history");
        let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
        let names = files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(".jsonl")).collect();
        names.sort();
        names
    }

    /// Tells the time of the next change apart from that of the last one.
    fn later(&self) {
        self.clock.set(self.clock.now() + 1.second());
    }

    async fn entity(&self, name: &str) {
        self.later();
        let bank = self.bank.in_context(&ChangeContext::of_tool("graph_upsert_entity"));
        let draft = EntityDraft { name: name.into(), entity_type: "thing".into(), attrs: None };
        bank.upsert_entity(&caller(), draft).await.unwrap();
    }

    async fn changes(&self) -> Vec<GraphChange> {
        let query = GraphChangeQuery::newest(GraphSubject::Project, 200);
        self.bank.list_graph_changes(&caller(), &query).await.unwrap().changes
    }

    /// Number, word, entity and author of each change, newest first.
    async fn words(&self) -> Vec<String> {
        let word = |change: &GraphChange| {
            let author = change.author.as_deref().unwrap_or("nobody");
            let entity = change.entity.as_deref().unwrap_or("?");
            format!("{} {} {entity} by {author}", change.number, change.change.as_str())
        };
        self.changes().await.iter().map(word).collect()
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn upsert_line(id: &str, name: &str, ts: &str) -> String {
    format!(
        r#"{{"type":"entity_upsert","entity":{{"id":"{id}","name":"{name}","entityType":"thing","createdAt":"{ts}","updatedAt":"{ts}"}},"ts":"{ts}"}}"#
    )
}

#[tokio::test]
async fn lines_name_user_tool_and_time_and_those_of_other_programs_have_no_author() {
    let kept = kept();
    kept.entity("A").await;
    let draft = ObservationDraft {
        text: "old".into(),
        source: None,
        timestamp: Some("2020-01-01T00:00:00Z".into()),
        ..ObservationDraft::default()
    };
    kept.bank.add_observation(&caller(), &EntityRef("A".into()), draft).await.unwrap();
    let log = text(&kept.log());
    let lines: Vec<&str> = log.lines().collect();
    assert!(
        lines[1].contains(concat!(
            r#","user":"alice","tool":"graph_upsert_entity","begins":{"number":0,"segments":[],"haveEndings":true},"#,
            r#""after":"","seal":""#
        )),
        "{}",
        lines[1]
    );
    assert!(lines[2].contains(r#""user":"alice","at":"2026-11-22T09:30:08.045Z""#), "{}", lines[2]);
    let foreign = upsert_line("ent_foreign00000", "Foreign", "2026-11-22T10:00:00.000Z");
    std::fs::write(kept.log(), format!("{log}{foreign}\n")).unwrap();
    assert_eq!(
        kept.words().await,
        ["3 created Foreign by nobody", "2 created A by alice", "1 created A by alice"]
    );
    // The time of the change, not that of the fact.
    let changes = kept.changes().await;
    assert_eq!(changes[1].at, kept.clock.now());
    assert_eq!(summary(&changes[1], 10), "old");
}

/// Word, author and origin of each change, newest first.
async fn origins(bank: &FolderBank) -> Vec<String> {
    let mut changes = all(bank, 200).await;
    changes.reverse();
    let word = |change: &GraphChange| {
        let (author, origin) = (change.author.as_deref().unwrap_or("nobody"), change.origin.as_str());
        format!("{} by {author}, {origin}", change.entity.as_deref().unwrap_or("?"))
    };
    changes.iter().map(word).collect()
}

/// A folder with the same files.
pub(crate) fn copy_of(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy_of(&path, &to);
        } else {
            std::fs::copy(path, to).unwrap();
        }
    }
}

#[tokio::test]
async fn a_graph_that_came_with_a_repository_is_foreign_and_nobodys_own() {
    let same = TempDir::new().unwrap();
    let same = same.path().to_str().unwrap();
    for (state, with_history) in
        [("other-state", false), ("other-state", true), (same, false), ("state", true)]
    {
        // The user's own key in a folder elsewhere, or one that came with the clone.
        let kept = kept_by(if state == same { same } else { "state" });
        for name in ["A", "B"] {
            kept.entity(name).await;
        }
        kept.bank.compact(&caller()).await.unwrap();
        kept.entity("C").await;
        let clone = TempDir::new().unwrap();
        let bank = clone.path().join("memory-bank");
        copy_of(&kept.root.path().join("memory-bank"), &bank);
        if state == "state" {
            copy_of(&kept.root.path().join("state"), &clone.path().join("state"));
        }
        if !with_history {
            std::fs::remove_dir_all(bank.join(".mbmcp")).unwrap();
        }
        let bank = open_at(clone.path(), state, deps());
        let expected = if with_history {
            vec!["C by nobody, foreign", "B by nobody, foreign", "A by nobody, foreign"]
        } else {
            vec!["C by nobody, foreign"]
        };
        assert_eq!(origins(&bank).await, expected, "{state}");
        let last = all(&bank, 9).await.last().unwrap().number;
        let chain = bank.entity_chain(&caller(), &EntityRef("C".into()), last).await.unwrap();
        assert_eq!(chain.origin, Origin::Foreign);
        // A user of the same name takes back nothing of it.
        let request = UndoRequest { by: Some("alice".into()), ..UndoRequest::default() };
        let report = undo(&bank, &caller(), &request).await.unwrap();
        assert_eq!((report.undone_items.len(), report.is_written), (0, false), "{report:?}");
        // What this user adds is its own, and what follows it came from outside.
        let draft = EntityDraft { name: "D".into(), entity_type: "thing".into(), attrs: None };
        bank.upsert_entity(&caller(), draft).await.unwrap();
        let log = clone.path().join("memory-bank/graph/graph.jsonl");
        let line = upsert_line("ent_foreign00000", "E", "2026-11-22T10:00:00.000Z")
            .replace("\"ts\"", "\"user\":\"alice\",\"ts\"");
        std::fs::write(&log, format!("{}{line}\n", text(&log))).unwrap();
        let own = ["E by nobody, outside", "D by alice, own"];
        assert_eq!(origins(&bank).await, [&own[..], &expected].concat());
        bank.compact(&caller()).await.unwrap();
        assert_eq!(origins(&bank).await, [&own[..], &expected].concat(), "also after a compaction");
        let report = undo(&bank, &caller(), &request).await.unwrap();
        assert_eq!((report.undone_items.len(), report.is_written), (1, true), "{report:?}");
    }
}

#[tokio::test]
async fn an_id_that_two_repositories_brought_lets_no_line_of_one_count_in_the_other() {
    let root = TempDir::new().unwrap();
    let banks: Vec<_> = ["a", "b"].map(|name| root.path().join(name).join("memory-bank")).into();
    for bank in &banks {
        std::fs::create_dir_all(bank.join(".mbmcp/history")).unwrap();
        std::fs::write(bank.join(".mbmcp/history/graph-seal.id"), [7; 16]).unwrap();
    }
    let open = |name: &str| open_at(&root.path().join(name), "../state", deps());
    let first = open("a");
    let draft = EntityDraft { name: "A".into(), entity_type: "thing".into(), attrs: None };
    first.upsert_entity(&caller(), draft).await.unwrap();
    assert_eq!(origins(&first).await, ["A by alice, own"]);
    copy_of(&banks[0].join("graph"), &banks[1].join("graph"));
    let second = open("b");
    assert_eq!(origins(&second).await, ["A by nobody, foreign"]);
    let draft = EntityDraft { name: "B".into(), entity_type: "thing".into(), attrs: None };
    second.upsert_entity(&caller(), draft).await.unwrap();
    assert_eq!(origins(&second).await, ["B by alice, own", "A by nobody, foreign"]);
}

#[tokio::test]
async fn a_line_about_erased_changes_gives_no_number_twice_and_stops_nothing() {
    let marks = [
        r#"{"type":"changes_erased","number":0}"#,
        r#"{"type":"changes_erased","number":-50}"#,
        r#"{"type":"changes_erased","number":9223372036854775807}"#,
        r#"{"type":"changes_erased","number":1,"numbers":[-9223372036854775808]}"#,
        r#"{"type":"changes_erased","number":1,"numbers":[9,9]}"#,
    ];
    for mark in marks {
        let kept = kept();
        kept.entity("A").await;
        let attrs = r#""attrs":{"by":"a colleague"}"#;
        let id = all(&kept.bank, 9).await[0].id.clone();
        let line = upsert_line(&id, "A", "2026-11-22T10:00:00.000Z")
            .replace("\"entityType\"", &format!("{attrs},\"entityType\""));
        assert!(line.contains("colleague"), "{line}");
        std::fs::write(kept.log(), format!("{}{mark}\n{line}\n", text(&kept.log()))).unwrap();
        kept.entity("B").await;
        let numbers: Vec<i64> = all(&kept.bank, 9).await.iter().map(|change| change.number).collect();
        assert_eq!(numbers, [1, 2, 3], "{mark}");
        let request = UndoRequest { by: Some("alice".into()), ..UndoRequest::default() };
        let report = undo(&kept.bank, &caller(), &request).await.unwrap();
        assert_eq!((report.undone_items.len(), report.left_items.len()), (1, 1), "{mark}: {report:?}");
        kept.bank.compact(&caller()).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_compaction_drops_stays_in_the_history_and_a_killed_one_shows_nothing_twice() {
    let kept = kept();
    for name in ["A", "B"] {
        kept.entity(name).await;
    }
    let expected = kept.words().await;
    let before = text(&kept.log());
    kept.bank.compact(&caller()).await.unwrap();
    assert_eq!(kept.segments(), ["graph-000000000000000.jsonl"]);
    assert!(!text(&kept.log()).contains(r#""user""#));
    assert_eq!(kept.words().await, expected);
    // Killed after the copy: the log is still the old one, and goes on.
    std::fs::write(kept.log(), &before).unwrap();
    assert_eq!(kept.words().await, expected);
    kept.entity("C").await;
    let expected = kept.words().await;
    assert_eq!(expected, ["3 created C by alice", "2 created B by alice", "1 created A by alice"]);
    kept.bank.compact(&caller()).await.unwrap();
    kept.entity("D").await;
    kept.bank.compact(&caller()).await.unwrap();
    assert_eq!(kept.segments(), ["graph-000000000000000.jsonl", "graph-000000000000003.jsonl"]);
    assert_eq!(kept.words().await, [&["4 created D by alice".to_owned()], &expected[..]].concat());
}

#[tokio::test]
async fn what_another_program_compacted_shows_as_changes_of_nobody() {
    let kept = kept();
    for name in ["A", "B"] {
        kept.entity(name).await;
    }
    kept.bank.compact(&caller()).await.unwrap();
    kept.entity("C").await;
    // The other program drops B and C, and adds X.
    let log = text(&kept.log());
    let a = log.lines().find(|line| line.contains(r#""name":"A""#)).unwrap();
    let x = upsert_line("ent_x00000000000", "X", "2026-11-23T10:00:00.000Z");
    let end = r#"{"type":"snapshot_written","snapshotPath":"graph/graph.snapshot.json","stats":{},"ts":"2026-11-23T10:00:00.000Z"}"#;
    std::fs::write(kept.log(), format!("{MARKER}\n{a}\n{x}\n{end}\n")).unwrap();
    let words = kept.words().await;
    assert_eq!(
        words,
        ["4 created X by nobody", "3 deleted B by nobody", "2 created B by alice", "1 created A by alice"]
    );
    kept.bank.compact(&caller()).await.unwrap();
    kept.entity("E").await;
    assert_eq!(kept.words().await, [&["5 created E by alice".to_owned()], &words[..]].concat());
}

#[tokio::test]
async fn old_changes_go_with_a_compaction_and_the_others_keep_their_numbers() {
    let kept = kept();
    kept.entity("A").await;
    kept.bank.compact(&caller()).await.unwrap();
    kept.clock.set(kept.clock.now() + 9600.hours());
    kept.entity("B").await;
    kept.bank.compact(&caller()).await.unwrap();
    assert_eq!(kept.segments(), ["graph-000000000000001.jsonl"]);
    kept.entity("C").await;
    assert_eq!(kept.words().await, ["3 created C by alice", "2 created B by alice"]);
    kept.bank.set_history(0, false);
    kept.entity("D").await;
    let log = text(&kept.log());
    assert!(!log.lines().last().unwrap().contains(r#""user""#), "{log}");
    kept.bank.compact(&caller()).await.unwrap();
    assert_eq!(kept.segments(), ["graph-000000000000001.jsonl"]);
}

/// The folder of the child that is killed.
const KILLED: &str = "MEMORY_BANK_KILLED_IN_COMPACTION";

/// All changes, oldest first, read page by page.
async fn all(bank: &FolderBank, page: usize) -> Vec<GraphChange> {
    let mut query = GraphChangeQuery::newest(GraphSubject::Project, page);
    let mut changes = Vec::new();
    loop {
        let found = bank.list_graph_changes(&caller(), &query).await.unwrap();
        changes.extend(found.changes);
        if found.next.is_none() {
            changes.reverse();
            return changes;
        }
        query.after = found.next;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_that_is_killed_loses_no_change_and_shows_none_twice() {
    let name = |number: i64| format!("E{number}");
    if let Some(path) = std::env::var_os(KILLED) {
        let path = std::path::PathBuf::from(path);
        let bank = open_at(&path, "state", deps());
        let started = std::time::Instant::now();
        for number in 1.. {
            let draft = EntityDraft { name: name(number), entity_type: "thing".into(), attrs: None };
            bank.upsert_entity(&caller(), draft).await.unwrap();
            if number % 2 == 0 {
                bank.compact(&caller()).await.unwrap();
            }
            assert!(started.elapsed() < std::time::Duration::from_secs(20));
        }
        return;
    }
    for round in 0..25_u64 {
        let kept = kept();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "graph_history::a_compaction_that_is_killed_loses_no_change_and_shows_none_twice",
            ])
            .env(KILLED, kept.root.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let started = std::time::Instant::now();
        while kept.segments().is_empty() {
            assert!(started.elapsed() < std::time::Duration::from_secs(20), "the child never compacted");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        std::thread::sleep(std::time::Duration::from_micros(round * 1733 % 25_000));
        child.kill().unwrap();
        child.wait().unwrap();
        for then in ["after the kill", "after a compaction", "after a change and a compaction"] {
            match then {
                "after the kill" => {}
                "after a compaction" => {
                    kept.bank.compact(&caller()).await.unwrap();
                }
                _ => {
                    let count = i64::try_from(all(&kept.bank, 200).await.len()).unwrap();
                    kept.entity(&name(count + 1)).await;
                    kept.bank.compact(&caller()).await.unwrap();
                }
            }
            let pages = all(&kept.bank, 3).await;
            assert_eq!(pages, all(&kept.bank, 200).await, "round {round}, {then}");
            for (number, change) in (1..).zip(&pages) {
                let found = (change.number, change.entity.clone(), change.author.clone());
                assert_eq!(
                    found,
                    (number, Some(name(number)), Some("alice".into())),
                    "round {round}, {then}"
                );
            }
            let stored = kept.bank.stats(&caller()).await.unwrap().entity_count;
            assert_eq!(pages.len(), stored, "round {round}, {then}");
        }
    }
}

#[tokio::test]
async fn a_list_of_the_newest_changes_reads_no_segment_and_older_pages_only_theirs() {
    let kept = kept();
    for number in 1..=12 {
        kept.entity(&format!("E{number}")).await;
        if number % 4 == 0 {
            kept.bank.compact(&caller()).await.unwrap();
        }
    }
    kept.entity("E13").await;
    kept.entity("E14").await;
    let numbers = |changes: &[GraphChange]| changes.iter().map(|change| change.number).collect::<Vec<i64>>();
    let expected = all(&kept.bank, 200).await;
    assert_eq!(numbers(&expected), (1..=14).collect::<Vec<i64>>());
    for page in 1..=15 {
        assert_eq!(all(&kept.bank, page).await, expected, "{page} a page");
    }
    // Without the oldest segment, everything else is listed as before.
    let folder = kept.root.path().join("memory-bank/.mbmcp/history");
    let names = kept.segments();
    let oldest = names.iter().find(|name| name.ends_with("0.jsonl")).unwrap();
    std::fs::write(folder.join(oldest), "not a log").unwrap();
    let query = GraphChangeQuery::newest(GraphSubject::Project, 9);
    let newest = kept.bank.list_graph_changes(&caller(), &query).await.unwrap();
    assert_eq!(numbers(&newest.changes), (6..=14).rev().collect::<Vec<i64>>());
    // A log that another program compacted continues the numbers of all pieces.
    let log = text(&kept.log());
    std::fs::write(kept.log(), log.replace("\"name\":\"E1\"", "\"name\":\"e1\"")).unwrap();
    let first = kept.changes().await;
    assert!(first.iter().any(|change| change.author.is_none()), "{first:?}");
}

/// The names of all files of the bank that contain a text.
fn containing(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(containing(&path, text));
        } else if String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(text) {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

#[tokio::test]
async fn an_erased_entity_is_in_no_file_and_an_erasure_that_was_killed_can_be_made_again() {
    let kept = kept();
    let folder = kept.root.path().join("memory-bank");
    let fact = async |name: &str, text: &str| {
        let draft = ObservationDraft {
            text: text.into(),
            source: None,
            timestamp: None,
            validity: Validity::default(),
        };
        kept.bank.add_observation(&caller(), &EntityRef(name.into()), draft).await.unwrap().observation.id
    };
    for name in ["A", "B"] {
        kept.entity(name).await;
    }
    let secret = fact("A", "hunter2").await;
    fact("B", "stays").await;
    kept.bank.compact(&caller()).await.unwrap();
    kept.bank.delete_observation(&caller(), &secret, None).await.unwrap();
    kept.bank.link(&caller(), &EntityRef("B".into()), "uses", &EntityRef("A".into())).await.unwrap();
    kept.bank.delete_entity(&caller(), &EntityRef("A".into())).await.unwrap();
    assert!(containing(&folder, "hunter2").len() > 1);
    // Killed between its compaction and the rest: the log is shorter already, and everything is in the history.
    kept.bank.compact(&caller()).await.unwrap();
    assert_eq!(containing(&folder.join("graph"), "hunter2"), [""; 0]);
    let before = kept.words().await;
    assert_eq!(kept.bank.erase_entity(&caller(), &EntityRef("A".into())).await.unwrap(), 6);
    assert_eq!(containing(&folder, "hunter2"), [""; 0]);
    let of_b: Vec<&str> = before.iter().map(String::as_str).filter(|words| words.contains(" B by")).collect();
    assert_eq!(of_b.len(), 4, "{before:?}");
    let after = kept.words().await;
    assert_eq!(after.len(), 2, "the relation is of both: {after:?}");
    assert!(
        kept.bank.erase_entity(&caller(), &EntityRef("A".into())).await.is_err(),
        "nothing has this name"
    );
    // The history goes on.
    kept.entity("C").await;
    assert_eq!(kept.words().await[1..], after);
    let all_in_pages = all(&kept.bank, 1).await;
    assert_eq!(all_in_pages.len(), 3);
}
