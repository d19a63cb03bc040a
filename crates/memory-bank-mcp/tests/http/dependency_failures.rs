//! Running servers under load while a dependency fails: acknowledged writes persist, failures are reported, and the
//! servers recover without a restart.

use std::sync::atomic::Ordering;

use memory_bank_test_postgres::{DedicatedServer, MIGRATOR, SERVER, TestRedis};
use serde_json::json;

use crate::client::{Server, call, until};
use crate::database::{key_of, operate_at};
use crate::replica_set::{ReplicaSet, health, is_healthy, replica};
use crate::write_load::Load;

fn make_bank(server: &Server) -> String {
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    session
}

#[test]
fn no_write_fails_while_redis_is_killed_and_restarted() {
    let mut replicas = ReplicaSet::new();
    let (first, second) = (replicas.replica(), replicas.replica());
    let session = make_bank(&first);
    let load = Load::run(&[&first, &second], &session, |load| {
        load.await_more();
        replicas.stop_redis();
        load.await_more();
        for server in [&first, &second] {
            until("the report that Redis is gone", || health(server)["redis"] == json!("error"));
            assert_eq!(server.send_bare("GET", "/health", &[], "").status, 200);
            assert_eq!(server.send_bare("GET", "/health/ready", &[], "").status, 200);
        }
        replicas.start_redis();
        until("Redis", || is_healthy(&first) && is_healthy(&second));
        load.await_more();
    });
    assert_eq!(*load.refused.lock(), []);
    assert_eq!(load.broken.load(Ordering::SeqCst), 0);
    load.check(&second, &session);
}

#[test]
fn no_write_fails_while_redis_hangs_and_resumes() {
    let replicas = ReplicaSet::new();
    let (first, second) = (replicas.replica(), replicas.replica());
    let session = make_bank(&first);
    let load = Load::run(&[&first, &second], &session, |load| {
        load.await_more();
        replicas.signal_redis("-STOP");
        load.await_more();
        for server in [&first, &second] {
            until("the report that Redis hangs", || health(server)["redis"] == json!("error"));
        }
        replicas.signal_redis("-CONT");
        until("Redis", || is_healthy(&first) && is_healthy(&second));
        load.await_more();
    });
    assert_eq!(*load.refused.lock(), []);
    assert_eq!(load.broken.load(Ordering::SeqCst), 0);
    load.check(&second, &session);
}

#[test]
fn acknowledged_writes_survive_a_crash_of_postgresql_and_servers_recover() {
    let database = DedicatedServer::start();
    let operator = database.url_of(MIGRATOR);
    operate_at(&operator, &["migrate"]).unwrap();
    database.admit_server();
    operate_at(&operator, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let arguments = ["keys", "create", "--user", "alice", "--project", "atlas", "--rate-limit", "1000000"];
    let key = key_of(&operate_at(&operator, &arguments).unwrap());
    let redis = TestRedis::start();
    let start = || replica(&database.url_of(SERVER), &redis.url(), &key, &[]);
    let (first, second) = (start(), start());
    let session = make_bank(&first);
    let mut stream = second.listen(&session, None);
    let load = Load::run(&[&first, &second], &session, |load| {
        load.await_more();
        database.crash();
        load.await_refusals();
        for server in [&first, &second] {
            until("the report that PostgreSQL is gone", || {
                let reply = server.send_bare("GET", "/health", &[], "");
                reply.status == 503 && reply.json()["db"] == json!("error")
            });
            assert_eq!(server.send_bare("GET", "/health/ready", &[], "").status, 503);
            assert_eq!(server.send_bare("GET", "/health/live", &[], "").status, 200);
        }
        let read = call(3, "read_memory_bank_file", &json!({"filename": "progress.md"}));
        let refused = first.post(Some(&session), &read);
        assert_eq!(refused.status, 500, "{}", refused.body);
        assert!(refused.json()["error"]["message"].is_string(), "{}", refused.body);
        database.start_again();
        until("PostgreSQL", || is_healthy(&first) && is_healthy(&second));
        load.await_more();
    });
    assert_eq!(load.broken.load(Ordering::SeqCst), 0, "a connection broke");
    load.check(&second, &session);
    // The stream that was open all the time still delivers notifications.
    first.call(&session, "write_memory_bank_file", &json!({"filename": "new.md", "content": "x"}));
    stream.await_notification("notifications/resources/list_changed", None);
}

#[test]
fn sessions_of_a_killed_replica_continue_on_the_others() {
    let replicas = ReplicaSet::new();
    let (mut first, second, third) = (replicas.replica(), replicas.replica(), replicas.replica());
    let session = make_bank(&first);
    let (process, places) = (first.process.id(), [&first, &second, &third]);
    let load = Load::run(&places, &session, |load| {
        load.await_more();
        crate::client::signal(process, "-KILL");
        load.await_more();
        // On a busy machine Redis may answer a probe late.
        until("the health of the others", || is_healthy(&second) && is_healthy(&third));
        load.await_more();
    });
    first.process.wait().unwrap();
    assert_eq!(*load.refused.lock(), []);
    assert!(load.broken.load(Ordering::SeqCst) > 0);
    load.check(&second, &session);
    load.check(&third, &session);
}
