//! The system calls of a record of strace, and what of a folder was not flushed when a reply was sent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

/// The calls that write, flush, and change names.
pub(super) const TRACED: &str = "openat,write,writev,pwrite64,pwritev,ftruncate,fallocate,copy_file_range,sendfile,fsync,fdatasync,rename,renameat,\
     renameat2,link,linkat,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat";

/// What a reply acknowledged too early.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The beginning of the reply.
    reply: String,
    path: PathBuf,
}

/// A system call, from the line where it began to the line where it ended.
struct SystemCall {
    name: String,
    arguments: String,
    began: usize,
}

/// What is not flushed: the line of its last change.
#[derive(Default)]
struct Unflushed {
    /// Files and folders.
    changed: BTreeMap<PathBuf, usize>,
    /// All names that were made.
    known: BTreeSet<PathBuf>,
}

/// What a reply acknowledged before it was flushed.
pub(super) fn faults(record: &str, project: &Path) -> Vec<Fault> {
    let mut unflushed = Unflushed::default();
    let mut found = Vec::new();
    for (ended, call) in calls(record) {
        if call.name == "write" && call.arguments.contains(r#""{\"jsonrpc\""#) {
            let early =
                unflushed.changed.keys().filter(|path| path.starts_with(project) && !is_transient(path));
            let reply: String = call.arguments.chars().take(70).collect();
            found.extend(early.map(|path| Fault { reply: reply.clone(), path: path.clone() }));
            // Each is reported once.
            unflushed.changed.clear();
        } else {
            unflushed.note(&call, ended);
        }
    }
    found
}

/// Whether a crash may lose it: locks, what is staged for a change, and the state of the user outside of the bank.
fn is_transient(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_in = |folder: &str| path.components().any(|part| part.as_os_str() == folder);
    name.ends_with(".lock") || is_in("stage") || is_in("state") || is_in("home")
}

impl Unflushed {
    fn note(&mut self, call: &SystemCall, ended: usize) {
        let (named, descriptors) = (named(&call.arguments), descriptors(&call.arguments));
        match (call.name.as_str(), &named[..], &descriptors[..]) {
            ("openat", [path, ..], _) if call.arguments.contains("O_CREAT") => self.made(path, ended),
            ("openat", ..) => {}
            ("fsync" | "fdatasync", _, [path]) => {
                self.changed.retain(|other, changed| other != path || *changed >= call.began);
            }
            ("mkdir" | "mkdirat", [path], _) | ("symlinkat", [_, path], _) => self.made(path, ended),
            ("rename" | "renameat" | "renameat2" | "link" | "linkat", [from, to], _) => {
                match self.changed.remove(from) {
                    Some(changed) => self.changed.insert(to.clone(), changed),
                    None => self.changed.remove(to),
                };
                self.parent_changed(from, ended);
                self.parent_changed(to, ended);
                self.known.insert(to.clone());
            }
            ("unlink" | "unlinkat" | "rmdir", [path], _) => {
                self.changed.remove(path);
                self.known.remove(path);
                self.parent_changed(path, ended);
            }
            // The mark that a version was committed: without it, the version is compared with its document.
            ("write", _, [path])
                if call.arguments.ends_with(", \"C\", 1")
                    && path.extension().is_some_and(|end| end == "log") => {}
            ("copy_file_range", _, [_, path]) | (_, _, [path, ..]) => {
                self.changed.insert(path.clone(), ended);
            }
            _ => {}
        }
    }

    /// A name that may be new.
    fn made(&mut self, path: &Path, ended: usize) {
        if self.known.insert(path.to_owned()) {
            self.parent_changed(path, ended);
        }
    }

    fn parent_changed(&mut self, path: &Path, ended: usize) {
        if let Some(parent) = path.parent().filter(|_| !is_transient(path)) {
            self.changed.insert(parent.to_owned(), ended);
        }
    }
}

/// The calls that succeeded, in the order of their ends, with the line of the end.
fn calls(record: &str) -> Vec<(usize, SystemCall)> {
    static BEGIN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(\d+) +(\w+)\((.*)$").unwrap());
    static RESUMED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$").unwrap());
    let mut begun: HashMap<&str, (usize, &str, &str)> = HashMap::new();
    let mut calls = Vec::new();
    for (at, line) in record.lines().enumerate() {
        let (began, name, text) = if let Some(resumed) = RESUMED.captures(line) {
            let (_, [process, rest]) = resumed.extract();
            let Some((began, name, first)) = begun.remove(process) else { continue };
            (began, name, format!("{first}{rest}"))
        } else if let Some(begin) = BEGIN.captures(line) {
            let (_, [process, name, rest]) = begin.extract();
            if let Some(first) = rest.strip_suffix(" <unfinished ...>") {
                begun.insert(process, (at, name, first));
                continue;
            }
            (at, name, rest.to_owned())
        } else {
            continue;
        };
        let Some((arguments, result)) = text.rsplit_once(" = ") else { continue };
        if result.starts_with('-') {
            continue;
        }
        let arguments = arguments.trim_end().strip_suffix(')').unwrap_or(arguments).to_owned();
        calls.push((at, SystemCall { name: name.to_owned(), arguments, began }));
    }
    calls
}

/// The paths of descriptors.
fn descriptors(arguments: &str) -> Vec<PathBuf> {
    static DESCRIPTOR: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?:^|, )\d+<(/[^>]*)>").unwrap());
    DESCRIPTOR.captures_iter(arguments).map(|found| PathBuf::from(&found[1])).collect()
}

/// The paths that are given by names, below a folder or whole.
fn named(arguments: &str) -> Vec<PathBuf> {
    static NAMED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)""#).unwrap());
    let path = |found: regex::Captures<'_>| {
        let folder = found.get(1).map_or("", |folder| folder.as_str());
        Path::new(folder).join(&found[2])
    };
    NAMED.captures_iter(arguments).map(path).collect()
}
