//! Backup files, which may come from anybody.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write};
use std::path::Path;

use jiff::Timestamp;
use memory_bank_archive::{Reader, Writer};
use memory_bank_core::identity::KeyHash;
use memory_bank_core::transfer::{
    BankCopy, DocumentHistory, GraphChangeCopy, GraphHistory, HistoryCount, ProjectCopy, read_graph_line,
    read_history_line,
};
use serde_json::json;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use crate::input::texts;

/// The file with the history of the graph.
const GRAPH_HISTORY: &str = "history/graph.jsonl";

/// A backup file; or the names and contents of its files, in turn, from which one with a true manifest is made.
pub(crate) fn archives(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.zip");
    if data.starts_with(b"PK") {
        fs::write(&file, data).expect("a file");
    } else {
        write_archive(&file, &texts(data, 32));
    }
    let Ok(content) = read(&file) else { return };
    check_histories(&file, &content);
    // What a backup file holds comes out of the next one as it is.
    let histories = content.histories.iter().filter_map(|(path, history)| {
        let history = history.as_ref().ok()?;
        // A history is written under the name of its document.
        let newest = history.newest()?;
        (format!("history/{}.jsonl", newest.document) == *path).then(|| (path.clone(), history.clone()))
    });
    let histories: BTreeMap<String, DocumentHistory> = histories.collect();
    let graph = content.graph.clone().unwrap_or_default();
    let again = folder.path().join("b.zip");
    write_again(&again, &content, &histories, &graph);
    let read_again = read(&again).expect("a file that was written can be read");
    assert_eq!(read_again.project, content.project, "a project comes back");
    assert_eq!(read_again.backups, content.backups, "backups come back");
    assert_eq!(read_again.graph, Ok(graph), "the history of the graph comes back");
    let came_back =
        read_again.histories.into_iter().map(|(path, history)| (path, history.expect("a history")));
    assert_eq!(came_back.collect::<BTreeMap<_, _>>(), histories, "histories come back");
}

/// What a backup file holds. A damaged history has its error.
struct Content {
    project: ProjectCopy,
    backups: Vec<(String, BankCopy)>,
    histories: BTreeMap<String, Result<DocumentHistory, String>>,
    graph: Result<GraphHistory, String>,
}

fn read(file: &Path) -> Result<Content, String> {
    let shown = |error: &dyn std::fmt::Display| format!("{error:#}");
    let mut reader = Reader::open(file).map_err(|error| shown(&error))?;
    let ids = reader.check().map_err(|error| shown(&error))?;
    let project = reader.project().map_err(|error| shown(&error))?;
    let mut backups = Vec::new();
    for (id, _) in ids {
        backups.push((id.clone(), reader.backup(&id).map_err(|error| shown(&error))?));
    }
    let mut histories = BTreeMap::new();
    for path in reader.histories() {
        let history = reader.history(&path).map_err(|error| shown(&error));
        assert!(histories.insert(path, history).is_none(), "a history is listed once");
    }
    let graph = reader.graph_history().map_err(|error| shown(&error));
    Ok(Content { project, backups, histories, graph })
}

/// The histories are those lines that the file has, or the error of one of them.
fn check_histories(file: &Path, content: &Content) {
    let mut files = unpacked(file);
    let graph_lines = lines(files.remove(GRAPH_HISTORY).unwrap_or_default());
    let changes: Result<Vec<GraphChangeCopy>, _> =
        graph_lines.iter().map(|line| read_graph_line(line)).collect();
    let graph = content.graph.as_ref().ok().map(|history| (&history.changes, history.left_out));
    assert_eq!(
        graph,
        changes.as_ref().ok().map(|changes| (changes, 0)),
        "the history of the graph is as in the file"
    );
    let mut listed = content.histories.iter();
    for (path, bytes) in files.into_iter().filter(|(path, _)| path.starts_with("history/")) {
        let (known, history) = listed.next().expect("every history is listed");
        assert_eq!(known, &path, "the histories are listed by their names");
        let links: Result<Vec<_>, _> = lines(bytes).iter().map(|line| read_history_line(line)).collect();
        let history = history.as_ref().ok().map(|history| (&history.links, history.left_out));
        assert_eq!(history, links.as_ref().ok().map(|links| (links, 0)), "{path} is as in the file");
    }
    assert_eq!(listed.next().map(|(path, _)| path), None, "only files are listed");
}

fn lines(bytes: Vec<u8>) -> Vec<Vec<u8>> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

/// The files of a backup file that was read, by another way: each by its place in the archive.
fn unpacked(file: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut zip = ZipArchive::new(fs::File::open(file).expect("a file")).expect("a file that was read");
    let mut files = BTreeMap::new();
    for at in 0..zip.len() {
        let mut entry = zip.by_index(at).expect("an entry that was read");
        let name = entry.name().expect("a name that was read").into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("an entry that was read");
        files.insert(name, bytes);
    }
    files
}

fn write_again(
    to: &Path,
    content: &Content,
    histories: &BTreeMap<String, DocumentHistory>,
    graph: &GraphHistory,
) {
    const WRITTEN: &str = "a copy that was read can be written";
    let now = Timestamp::UNIX_EPOCH;
    let mut writer = Writer::create(to).expect("a new file");
    writer.project(&content.project, now).expect(WRITTEN);
    for (id, backup) in &content.backups {
        writer.backup(id, backup, now).expect(WRITTEN);
    }
    for history in histories.values() {
        let count = HistoryCount { versions: history.links.len(), ..HistoryCount::default() };
        assert_eq!(writer.history(history, now).expect(WRITTEN), count, "there is room for all versions");
    }
    let count = HistoryCount { changes: graph.changes.len(), ..HistoryCount::default() };
    assert_eq!(writer.graph_history(graph, now).expect(WRITTEN), count, "there is room for all changes");
    writer.finish("project", now).expect(WRITTEN);
}

fn write_archive(to: &Path, texts: &[String]) {
    let mut zip = ZipWriter::new(fs::File::create(to).expect("a file"));
    let mut files = Vec::new();
    for pair in texts.chunks_exact(2) {
        let [name, content] = pair else { continue };
        // A name that occurs twice is refused by the library.
        if zip.start_file(name.as_str(), SimpleFileOptions::default()).is_err() {
            return;
        }
        zip.write_all(content.as_bytes()).expect("a file");
        let hash = KeyHash::of(content.as_bytes()).to_hex();
        files.push(
            json!({"path": name, "bytes": content.len(), "sha256": hash, "modified": "1970-01-01T00:00:00Z"}),
        );
    }
    let manifest = json!({
        "format": "memory-bank-mcp backup", "version": 1, "project": "project", "createdAt": "1970-01-01T00:00:00Z",
        "server": "0", "files": files,
    });
    if zip.start_file("manifest.json", SimpleFileOptions::default()).is_ok() {
        zip.write_all(manifest.to_string().as_bytes()).expect("a file");
        zip.finish().expect("a file");
    }
}
