use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;
use crate::dir::names::STAGE;

fn bank() -> (TempDir, BankDir) {
    let temp = TempDir::new().unwrap();
    let bank = BankDir::create(&temp.path().join("memory-bank")).unwrap();
    (temp, bank)
}

fn unreadable(dir: &BankDir, name: &str) -> String {
    match dir.read(name).unwrap() {
        FileRead::Unreadable(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_link_out_of_the_bank_is_neither_read_nor_written() {
    let (temp, dir) = bank();
    std::fs::write(temp.path().join("secret.md"), "secret").unwrap();
    let path = temp.path().join("memory-bank");
    symlink(temp.path().join("secret.md"), path.join("absolute.md")).unwrap();
    symlink("../secret.md", path.join("relative.md")).unwrap();
    for name in ["absolute.md", "relative.md"] {
        let why = unreadable(&dir, name);
        assert!(!why.contains("secret") && why.contains("link"), "{why}");
        dir.replace(name, b"gone").unwrap_err();
    }
    assert_eq!(std::fs::read_to_string(temp.path().join("secret.md")).unwrap(), "secret");
}

#[test]
fn a_link_inside_the_bank_is_written_through() {
    let (temp, dir) = bank();
    let path = temp.path().join("memory-bank");
    dir.replace("notes.md", b"old").unwrap();
    symlink("notes.md", path.join("link.md")).unwrap();
    dir.replace("link.md", b"new").unwrap();
    assert!(path.join("link.md").is_symlink());
    assert_eq!(std::fs::read_to_string(path.join("notes.md")).unwrap(), "new");
}

#[test]
fn a_planted_link_for_the_staging_folder_deletes_no_documents() {
    for (link, target) in [(".mbmcp/stage", ".."), (".mbmcp", "graph")] {
        let (temp, dir) = bank();
        let path = temp.path().join("memory-bank");
        for folder in [".mbmcp", "graph/stage"] {
            std::fs::create_dir_all(path.join(folder)).unwrap();
        }
        std::fs::write(path.join("notes.md"), "precious").unwrap();
        std::fs::write(path.join("graph/stage/log"), "precious").unwrap();
        if link == ".mbmcp" {
            std::fs::remove_dir(path.join(link)).unwrap();
        }
        symlink(target, path.join(link)).unwrap();
        dir.discard_all_staged();
        assert!(path.join("notes.md").exists() && path.join("graph/stage/log").exists(), "{link}");
        let error = dir.replace("notes.md", b"x").unwrap_err();
        assert!(error.to_string().contains("not a folder"), "{error}");
    }
}

#[test]
fn planted_links_for_the_server_s_own_files_are_not_written_through() {
    let (temp, dir) = bank();
    let path = temp.path().join("memory-bank");
    for folder in [".mbmcp", "graph"] {
        std::fs::create_dir(path.join(folder)).unwrap();
    }
    std::fs::write(path.join("notes.md"), "precious").unwrap();
    for link in [".mbmcp/.gitignore", ".mbmcp/lock", ".mbmcp/backup-folders", "graph/graph.md"] {
        symlink("../notes.md", path.join(link)).unwrap();
    }
    dir.prepare_internal().unwrap();
    dir.open_internal("lock", true).unwrap_err();
    dir.replace_own(".mbmcp/backup-folders", b"x").unwrap();
    dir.replace_own("graph/graph.md", b"x").unwrap();
    assert_eq!(std::fs::read_to_string(path.join("notes.md")).unwrap(), "precious");
    std::fs::remove_dir_all(path.join("graph")).unwrap();
    symlink(".", path.join("graph")).unwrap();
    dir.replace_own("graph/notes.md", b"x").unwrap_err();
    assert_eq!(std::fs::read_to_string(path.join("notes.md")).unwrap(), "precious");
}

#[test]
fn a_pipe_is_refused_without_blocking() {
    let (temp, dir) = bank();
    let made =
        std::process::Command::new("mkfifo").arg(temp.path().join("memory-bank/pipe.md")).status().unwrap();
    assert!(made.success());
    assert_eq!(unreadable(&dir, "pipe.md"), "it is not a regular file");
    dir.replace("pipe.md", b"x").unwrap_err();
}

#[test]
fn a_file_that_is_too_large_is_refused_by_its_size() {
    let (_temp, dir) = bank();
    dir.replace("big.md", b"12345").unwrap();
    assert!(
        matches!(dir.read_up_to("big.md", 4).unwrap(), FileRead::Unreadable(why) if why.contains("5 bytes"))
    );
    assert!(matches!(dir.read_up_to("big.md", 5).unwrap(), FileRead::Found(bytes, _) if bytes == b"12345"));
}

#[test]
fn a_replacement_keeps_the_mode_and_leaves_nothing_behind() {
    let (temp, dir) = bank();
    let path = temp.path().join("memory-bank");
    dir.replace("a.md", b"one").unwrap();
    std::fs::set_permissions(path.join("a.md"), std::fs::Permissions::from_mode(0o640)).unwrap();
    dir.replace("a.md", b"two").unwrap();
    assert_eq!(std::fs::metadata(path.join("a.md")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(std::fs::read_dir(path.join(STAGE)).unwrap().count(), 0);
    assert_eq!(std::fs::read_to_string(path.join(INTERNAL).join(".gitignore")).unwrap(), "*\n");
}

#[test]
fn a_failed_replacement_leaves_no_temporary_file() {
    let (temp, dir) = bank();
    let path = temp.path().join("memory-bank");
    std::fs::create_dir(path.join("folder.md")).unwrap();
    dir.replace("folder.md", b"x").unwrap_err();
    assert!(std::fs::read_dir(path.join(STAGE)).map_or(0, Iterator::count) == 0);
}

#[test]
fn a_write_beside_removes_what_killed_programs_left() {
    let (temp, dir) = bank();
    let path = temp.path().join("memory-bank");
    let now = std::fs::metadata(&path).unwrap().modified().unwrap();
    let long_ago = now - 2 * DRAFT_LIFETIME;
    let make = |name: &str, at| {
        std::fs::File::create(path.join(name)).unwrap().set_modified(at).unwrap();
    };
    make(".keys.json.77-1.tmp", long_ago);
    let kept = [".keys.json.77-2.tmp", ".keys.json.77.tmp", ".keys.json.77-x.tmp", ".other.json.77-1.tmp"];
    make(kept[0], now);
    kept[1..].iter().for_each(|name| make(name, long_ago));
    dir.replace_beside("keys.json", b"{}").unwrap();
    let mut names: Vec<_> = dir.names().unwrap().filter(|name| name.contains(".json")).collect();
    names.sort();
    let mut expected = kept.to_vec();
    expected.push("keys.json");
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn the_list_hides_the_server_s_folder_and_leftovers_of_the_typescript_server() {
    let (temp, dir) = bank();
    dir.replace("b.md", b"").unwrap();
    dir.replace("a.md", b"").unwrap();
    dir.create_folder("graph").unwrap();
    std::fs::write(temp.path().join("memory-bank/.a.md.1763800000000.tmp"), "").unwrap();
    std::fs::write(temp.path().join("memory-bank/.hidden.md"), "").unwrap();
    let names: Vec<_> = dir.entries("").unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, [".hidden.md", "a.md", "b.md", "graph"]);
}

#[test]
fn invalid_utf_8_is_replaced_and_a_byte_order_mark_kept() {
    assert_eq!(text_of(vec![0xEF, 0xBB, 0xBF, b'a', 0xFF]), "\u{feff}a\u{fffd}");
}
