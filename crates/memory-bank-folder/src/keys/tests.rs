use memory_bank_core::caller::Right;
use memory_bank_core::clock::{Entropy, SystemEntropy};
use memory_bank_core::identity::{Environment, PlainKey};
use tempfile::TempDir;

use super::*;

fn made() -> (PlainKey, NewKey) {
    let plain = PlainKey::generate(Environment::Live, &SystemEntropy);
    let key = NewKey {
        id: KeyId(SystemEntropy.id()),
        hash: plain.hash(),
        prefix: plain.prefix(),
        label: Some("first".to_owned()),
        scopes: vec![Right::Read],
        rate_limit: 7,
        expires_at: None,
        created_at: "2026-11-22T09:30:00Z".parse().unwrap(),
    };
    (plain, key)
}

/// A project and a state folder.
struct Scene {
    temp: TempDir,
    state: StateFolder,
}

impl Scene {
    fn new() -> Self {
        let temp = TempDir::new().unwrap();
        std::fs::create_dir(temp.path().join("project")).unwrap();
        let state = StateFolder::new(temp.path().join("state"));
        Self { temp, state }
    }

    fn project(&self) -> PathBuf {
        self.temp.path().join("project")
    }

    fn open(&self) -> Result<FolderKeys, StoreError> {
        FolderKeys::open(&self.project(), "memory-bank", "alice", &self.state)
    }

    fn in_project(&self) -> PathBuf {
        self.project().join(".memory-bank-keys.json")
    }

    /// A file as an older version left it in the project, with one key.
    fn older(&self, mode: u32) -> PlainKey {
        let (plain, key) = made();
        let text = serde_json::json!({"version": 1, "keys": [StoredKey::new(&key)]}).to_string();
        std::fs::write(self.in_project(), text).unwrap();
        set_mode(&self.in_project(), mode);
        plain
    }
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) {}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_key_is_found_again_after_a_restart_and_nothing_of_it_is_in_the_project() {
    let scene = Scene::new();
    let caller = Caller::local("alice");
    let (plain, key) = made();
    let keys = scene.open().unwrap();
    assert!(keys.is_empty());
    keys.create(&caller, &key).await.unwrap();

    let again = scene.open().unwrap();
    let found = again.find(&plain.hash()).await.unwrap().unwrap();
    assert_eq!((found.rate_limit, found.caller.key), (7, Some(key.id)));
    assert_eq!(found.caller.scopes, [Right::Read]);
    assert!(!std::fs::read_to_string(again.path()).unwrap().contains(plain.expose()));
    assert_eq!(std::fs::read_dir(scene.project()).unwrap().count(), 0);
    assert!(again.path().starts_with(scene.state.path()));
    #[cfg(unix)]
    assert_eq!((mode(again.path()), mode(again.path().parent().unwrap())), (0o600, 0o700));
}

#[tokio::test]
async fn rotation_voids_the_old_key_and_keeps_its_properties() {
    let scene = Scene::new();
    let caller = Caller::local("alice");
    let (old, key) = made();
    let keys = scene.open().unwrap();
    keys.create(&caller, &key).await.unwrap();
    let (new, fresh) = made();
    let (record, _) = keys.rotate(&caller, key.id, &fresh).await.unwrap().unwrap();
    assert_eq!((record.label.as_deref(), record.rate_limit), (Some("first"), 7));
    assert!(keys.find(&old.hash()).await.unwrap().unwrap().revoked_at.is_some());
    assert!(keys.find(&new.hash()).await.unwrap().unwrap().revoked_at.is_none());
    assert!(keys.rotate(&caller, key.id, &made().1).await.unwrap().is_none());
}

#[tokio::test]
async fn a_key_created_or_revoked_by_one_server_is_known_to_another_at_once() {
    let scene = Scene::new();
    let caller = Caller::local("alice");
    let (one, other) = (scene.open().unwrap(), scene.open().unwrap());
    let ((a, first), (b, second)) = (made(), made());
    one.create(&caller, &first).await.unwrap();
    other.create(&caller, &second).await.unwrap();
    for keys in [&one, &other] {
        for plain in [&a, &b] {
            assert!(keys.find(&plain.hash()).await.unwrap().unwrap().revoked_at.is_none());
        }
    }
    one.revoke(&caller, second.id, first.created_at).await.unwrap().unwrap();
    assert!(other.find(&b.hash()).await.unwrap().unwrap().revoked_at.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_servers_that_start_together_one_creates_the_first_key() {
    let scene = Scene::new();
    let all: Vec<_> = (0..8).map(|_| Arc::new(scene.open().unwrap())).collect();
    let tasks: Vec<_> = all
        .into_iter()
        .map(|keys| tokio::spawn(async move { keys.create_first(&made().1).await.unwrap() }))
        .collect();
    let mut first = 0;
    for task in tasks {
        first += usize::from(task.await.unwrap());
    }
    assert_eq!(first, 1);
    assert_eq!(scene.open().unwrap().list(&Caller::local("alice"), true).await.unwrap().len(), 1);
}

#[test]
fn a_damaged_file_is_an_error_and_is_kept() {
    let scene = Scene::new();
    let path = scene.open().unwrap().path().to_owned();
    for text in
        ["{", r#"{"version":1,"bank":"x","keys":[]}"#, r#"{"version":2,"bank":"/elsewhere","keys":[]}"#]
    {
        std::fs::write(&path, text).unwrap();
        set_mode(&path, 0o600);
        assert!(matches!(scene.open(), Err(StoreError::Damaged { .. })), "{text}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_writable_by_others_is_refused_and_a_folder_open_to_others_is_closed() {
    let scene = Scene::new();
    let keys = scene.open().unwrap();
    keys.create(&Caller::local("alice"), &made().1).await.unwrap();
    set_mode(keys.path().parent().unwrap(), 0o755);
    drop(scene.open().unwrap());
    assert_eq!(mode(keys.path().parent().unwrap()), 0o700);
    set_mode(keys.path(), 0o620);
    let refused = scene.open().unwrap_err().to_string();
    assert!(refused.contains("chmod 600"), "{refused}");
}

#[tokio::test]
async fn keys_of_an_older_version_move_out_of_the_project_and_keep_working() {
    let scene = Scene::new();
    let plain = scene.older(0o600);
    let checked = FolderKeys::check(&scene.project(), "memory-bank", "alice", &scene.state).unwrap();
    assert!(checked.keys.is_none() && checked.in_project.unwrap().contains("moves the keys"));
    assert!(scene.in_project().exists() && !scene.state.path().exists(), "looking changes nothing");
    for _ in 0..2 {
        let keys = scene.open().unwrap();
        assert!(keys.find(&plain.hash()).await.unwrap().is_some());
        assert!(!scene.in_project().exists());
    }
}

#[tokio::test]
async fn an_interrupted_move_is_finished_and_revokes_nothing_again() {
    let scene = Scene::new();
    let plain = scene.older(0o600);
    let text = std::fs::read(scene.in_project()).unwrap();
    let keys = scene.open().unwrap();
    let id = keys.find(&plain.hash()).await.unwrap().unwrap().caller.key.unwrap();
    keys.revoke(&Caller::local("alice"), id, "2026-11-23T09:30:00Z".parse().unwrap()).await.unwrap();
    std::fs::write(scene.in_project(), text).unwrap();
    set_mode(&scene.in_project(), 0o600);
    let again = scene.open().unwrap();
    assert!(!scene.in_project().exists());
    assert!(again.find(&plain.hash()).await.unwrap().unwrap().revoked_at.is_some());
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_file_that_may_belong_to_the_repository_grants_no_access() {
    use std::os::unix::fs::symlink;

    let git = |scene: &Scene, arguments: &[&str]| {
        let done =
            std::process::Command::new("git").args(arguments).current_dir(scene.project()).output().unwrap();
        assert!(done.status.success());
    };
    type Spoil<'a> = &'a dyn Fn(&Scene);
    let cases: [(&str, Spoil<'_>); 7] = [
        ("mode", &|scene| set_mode(&scene.in_project(), 0o644)),
        ("mode", &|scene| set_mode(&scene.in_project(), 0o400)),
        ("another name", &|scene| {
            std::fs::hard_link(scene.in_project(), scene.temp.path().join("other")).unwrap();
        }),
        ("not a regular file", &|scene| {
            std::fs::rename(scene.in_project(), scene.project().join("real")).unwrap();
            symlink("real", scene.in_project()).unwrap();
        }),
        ("git repository", &|scene| {
            git(scene, &["init", "-q"]);
            git(scene, &["add", "-f", ".memory-bank-keys.json"]);
        }),
        ("cannot be seen", &|scene| {
            git(scene, &["init", "-q"]);
            std::fs::write(scene.project().join(".git/index"), "DIRC").unwrap();
        }),
        ("not a regular file", &|scene| {
            std::fs::remove_file(scene.in_project()).unwrap();
            assert!(std::process::Command::new("mkfifo").arg(scene.in_project()).status().unwrap().success());
        }),
    ];
    for (why, spoil) in cases {
        let scene = Scene::new();
        let plain = scene.older(0o600);
        spoil(&scene);
        let notice = FolderKeys::check(&scene.project(), "memory-bank", "alice", &scene.state).unwrap();
        let notice = notice.in_project.unwrap();
        assert!(notice.contains(why), "{notice}");
        let keys = scene.open().unwrap();
        assert!(keys.is_empty() && keys.find(&plain.hash()).await.unwrap().is_none(), "{why}");
        assert!(keys.create_first(&made().1).await.unwrap());
        assert!(scene.in_project().symlink_metadata().is_ok(), "it is left alone: {why}");
    }
}

#[tokio::test]
async fn an_untracked_key_file_in_a_repository_grants_access() {
    let scene = Scene::new();
    let plain = scene.older(0o600);
    let done = std::process::Command::new("git").args(["init", "-q"]).current_dir(scene.project()).status();
    assert!(done.unwrap().success());
    assert!(scene.open().unwrap().find(&plain.hash()).await.unwrap().is_some());
}

#[cfg(unix)]
#[tokio::test]
async fn a_state_folder_in_the_repository_grants_no_access() {
    let temp = TempDir::new().unwrap();
    let state = StateFolder::new(temp.path().join(".local/state/memory-bank-mcp"));
    let open = || FolderKeys::open(temp.path(), "memory-bank", "alice", &state);
    let keys = open().unwrap();
    assert!(keys.create_first(&made().1).await.unwrap());
    // One's own home may be the project.
    assert!(!open().unwrap().is_empty());
    for arguments in [&["init", "-q"][..], &["add", "-f", ".local"]] {
        let done = std::process::Command::new("git").args(arguments).current_dir(temp.path()).status();
        assert!(done.unwrap().success());
    }
    let refused = open().unwrap_err().to_string();
    assert!(refused.contains("project's repository"), "{refused}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_state_folder_that_came_with_an_unversioned_project_grants_no_access() {
    let temp = TempDir::new().unwrap();
    let state = StateFolder::new(temp.path().join(".state"));
    let open = || FolderKeys::open(temp.path(), "memory-bank", "alice", &state);
    assert!(open().unwrap().create_first(&made().1).await.unwrap());
    assert!(!open().unwrap().is_empty(), "made here, so it is trusted");
    // The same files, unpacked: others by number and time.
    let (packed, keys) = (temp.path().join("packed"), temp.path().join(".state/keys"));
    std::fs::rename(&keys, &packed).unwrap();
    std::fs::create_dir(&keys).unwrap();
    for file in std::fs::read_dir(&packed).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), keys.join(file.file_name())).unwrap();
    }
    let refused = open().unwrap_err().to_string();
    assert!(refused.contains("not made on this machine"), "{refused}");
    std::fs::remove_file(keys.join("made-here")).unwrap();
    assert!(open().unwrap_err().to_string().contains("not made on this machine"));
    std::fs::remove_dir_all(&keys).unwrap();
    assert!(open().unwrap().create_first(&made().1).await.unwrap(), "a new one begins anew");
}

#[cfg(unix)]
#[test]
fn a_link_in_a_state_folder_creates_nothing_at_its_target() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let scene = Scene::new();
    let outside = scene.temp.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::set_permissions(&outside, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir(scene.state.path()).unwrap();
    symlink("../outside", scene.state.path().join("keys")).unwrap();
    let tried = scene.open().and_then(|keys| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime
            .block_on(keys.create_first(&made().1))
            .map_err(|error| StoreError::Unavailable(error.to_string()))
    });
    let refused = tried.unwrap_err().to_string();
    assert!(refused.contains("is not a folder"), "{refused}");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(std::fs::metadata(&outside).unwrap().permissions().mode() & 0o777, 0o755);
}

#[tokio::test]
async fn a_key_ends_no_later_than_the_key_that_made_it() {
    let scene = Scene::new();
    let keys = scene.open().unwrap();
    let [soon, late] = ["2026-12-01T00:00:00Z", "2026-12-24T00:00:00Z"].map(|at| Some(at.parse().unwrap()));
    let ending_at = |expires_at| NewKey { expires_at, ..made().1 };
    let maker = ending_at(soon);
    assert!(keys.create_first(&maker).await.unwrap());
    let caller = Caller { key: Some(maker.id), ..Caller::local("alice".to_owned()) };
    for wished in [None, late] {
        assert_eq!(keys.create(&caller, &ending_at(wished)).await.unwrap().expires_at, soon);
    }
    let local = Caller::local("alice".to_owned());
    let free = keys.create(&local, &ending_at(late)).await.unwrap();
    assert_eq!(free.expires_at, late);
    let (rotated, _) = keys.rotate(&caller, free.id, &ending_at(late)).await.unwrap().unwrap();
    assert_eq!(rotated.expires_at, soon);
    let (renewed, _) = keys.rotate(&caller, maker.id, &ending_at(late)).await.unwrap().unwrap();
    assert_eq!(renewed.expires_at, late);
}
