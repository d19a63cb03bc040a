//! Several instances and processes that use one graph at the same time.

use std::process::{Child, Command, Stdio};

use super::*;

#[tokio::test]
async fn writes_of_another_instance_are_visible_and_extended() {
    let (_temp, bank) = bank();
    let other = open(bank.path());
    upsert(&bank, "A").await;
    upsert(&other, "B").await;
    assert_eq!(names(&bank).await, ["A", "B"]);
    other.link(&me(), &named("A"), "r", &named("B")).await.unwrap();
    bank.compact(&me()).await.unwrap();
    upsert(&other, "C").await;
    assert_eq!(names(&bank).await, ["A", "B", "C"]);
    assert_eq!(bank.stats(&me()).await.unwrap().relation_count, 1);
    std::fs::remove_dir_all(bank.path().join("graph")).unwrap();
    assert_eq!(other.stats(&me()).await.unwrap(), GraphStats::default());
    assert_eq!(bank.summary(&me(), None).await.unwrap(), None);
}

#[tokio::test]
async fn followers_of_the_graph_are_notified_of_its_changes() {
    let (_temp, bank) = bank();
    upsert(&bank, "A").await;
    let cursor = bank.with_graph(|state| state.generation()).unwrap();
    open(bank.path()).add_observation(&me(), &named("A"), fact("one")).await.unwrap();
    let touched = bank.with_graph(|state| state.changes_since(cursor).unwrap().count()).unwrap();
    assert_eq!(touched, 1);
    write_log(&bank, format!("{MARKER}\n"));
    assert!(bank.with_graph(|state| state.changes_since(cursor).is_none()).unwrap());
}

/// The child process of the two tests below: adds facts until it is killed or done, and prints each
/// one that was acknowledged.
#[tokio::test]
#[ignore = "runs in a child process of other tests"]
async fn child_that_adds_facts() {
    use std::io::Write;
    let Ok(path) = std::env::var("GRAPH_TEST_BANK") else { return };
    let who = std::env::var("GRAPH_TEST_WHO").unwrap();
    let count: usize = std::env::var("GRAPH_TEST_COUNT").unwrap().parse().unwrap();
    let bank = open(Path::new(&path));
    let mut acknowledged = std::fs::File::create(acknowledgements(Path::new(&path), &who)).unwrap();
    upsert(&bank, "Shared").await;
    for n in 0..count {
        let text = format!("{who} {n}");
        bank.add_observation(&me(), &named("Shared"), fact(&text)).await.unwrap();
        writeln!(acknowledged, "{text}").unwrap();
    }
}

fn acknowledgements(bank: &Path, who: &str) -> PathBuf {
    bank.parent().unwrap().join(format!("acknowledged-{who}"))
}

fn child(bank: &FolderBank, who: &str, count: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "graph::tests::processes::child_that_adds_facts"])
        .env("GRAPH_TEST_BANK", bank.path())
        .env("GRAPH_TEST_WHO", who)
        .env("GRAPH_TEST_COUNT", count.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn two_processes_that_append_at_once_lose_nothing_and_see_each_other() {
    let (_temp, bank) = bank();
    let mut children = [child(&bank, "one", 40), child(&bank, "two", 40)];
    for n in 0..10 {
        upsert(&bank, &format!("mine {n}")).await;
    }
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(texts(&bank).await.len(), 80);
    assert_eq!(names(&bank).await.len(), 11);
    assert_eq!(afresh(&bank).await, bank.export(&me()).await.unwrap());
    assert_eq!(text(&bank).matches(MARKER).count(), 1);
}

#[tokio::test]
async fn a_process_that_is_killed_while_it_appends_loses_nothing_that_was_acknowledged() {
    let (_temp, bank) = bank();
    for round in ["first", "second", "third"] {
        let mut child = child(&bank, round, 100_000);
        let acknowledged = acknowledgements(bank.path(), round);
        let enough = |least: usize| {
            std::fs::read_to_string(&acknowledged).is_ok_and(|text| text.lines().count() >= least)
        };
        let deadline = Instant::now() + Duration::from_secs(120);
        while !enough(20) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(enough(20));
        let stored = texts(&bank).await;
        for text in std::fs::read_to_string(&acknowledged).unwrap().lines() {
            assert!(stored.iter().any(|one| one == text), "{text} is lost");
        }
        upsert(&bank, round).await;
        assert!(names(&bank).await.contains(&round.to_owned()));
    }
}
