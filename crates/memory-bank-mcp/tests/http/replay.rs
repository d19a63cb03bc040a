//! Retention of sessions and of events for replay: duration, limits and cleanup.

use std::thread;

use serde_json::json;

use crate::client::{Server, call, handshake, until};
use crate::replica_set::{Held, ReplicaSet};

fn status(server: &Server, session: &str) -> u16 {
    server.post(Some(session), &call(2, "get_instructions", &json!({}))).status
}

#[test]
fn the_last_use_of_a_session_is_written_once_a_minute_and_extends_it_by_a_day() {
    let replicas = ReplicaSet::new();
    let mut server = replicas.replica();
    let (fresh, aged) = (server.initialize(), server.initialize());
    drop(server);
    replicas.database.psql(&format!(
        "UPDATE public.sessions SET last_seen = now() - interval '2 minutes', expires_at = now() + interval '1 hour'
         WHERE id = '{aged}'"
    ));
    let before = replicas.database.psql(&format!("SELECT xmin FROM public.sessions WHERE id = '{fresh}'"));
    // The sessions in Redis are outdated.
    server = replicas.replica_with(&[("REDIS_KEY_PREFIX", "other")]);
    for _ in 0..5 {
        assert_eq!((status(&server, &fresh), status(&server, &aged)), (200, 200));
    }
    // The shutdown writes pending records.
    assert_eq!(server.terminate().0, Some(0));
    let seen = "SELECT last_seen > now() - interval '1 minute', expires_at > last_seen + interval '23 hours 59 minutes'";
    assert_eq!(replicas.database.psql(&format!("{seen} FROM public.sessions WHERE id = '{aged}'")), "t|t");
    let after = replicas.database.psql(&format!("SELECT xmin FROM public.sessions WHERE id = '{fresh}'"));
    assert_eq!(before, after, "a use within the minute was written");
}

#[test]
fn two_replicas_write_the_last_use_of_a_session_once() {
    let replicas = ReplicaSet::new();
    let opener = replicas.replica();
    let session = opener.initialize();
    drop(opener);
    replicas.database.psql(&format!(
        "UPDATE public.sessions SET last_seen = now() - interval '2 minutes' WHERE id = '{session}'"
    ));
    let (mut first, mut second) = (
        replicas.replica_with(&[("REDIS_KEY_PREFIX", "one")]),
        replicas.replica_with(&[("REDIS_KEY_PREFIX", "two")]),
    );
    let version = format!("SELECT xmin FROM public.sessions WHERE id = '{session}'");
    assert_eq!((status(&first, &session), status(&second, &session)), (200, 200));
    assert_eq!(first.terminate().0, Some(0));
    let once = replicas.database.psql(&version);
    assert_eq!(second.terminate().0, Some(0));
    assert_eq!(replicas.database.psql(&version), once, "written twice within a minute");
}

#[test]
fn an_expired_session_is_not_found() {
    let replicas = ReplicaSet::new();
    let opener = replicas.replica();
    let session = opener.initialize();
    let lives = "SELECT expires_at = created_at + interval '24 hours' FROM public.sessions";
    assert_eq!(replicas.database.psql(lives), "t");
    drop(opener);
    replicas.database.psql("UPDATE public.sessions SET expires_at = now() - interval '1 second'");
    let server = replicas.replica_with(&[("REDIS_KEY_PREFIX", "other")]);
    assert_eq!(status(&server, &session), 404);
    assert_eq!(server.send("DELETE", "/mcp", &[("Mcp-Session-Id", &session)], "").status, 404);
}

#[test]
fn the_session_limit_of_a_project_counts_across_replicas() {
    let replicas = ReplicaSet::new();
    let limit = [("MAX_SESSIONS_PER_PROJECT", "3")];
    let servers = [replicas.replica_with(&limit), replicas.replica_with(&limit)];
    let replies: Vec<_> = thread::scope(|scope| {
        let requests: Vec<_> = (0..8)
            .map(|number| {
                let server = &servers[number % 2];
                scope.spawn(move || server.post(None, &handshake("2025-11-25")))
            })
            .collect();
        requests.into_iter().map(|request| request.join().unwrap()).collect()
    });
    let (opened, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
    assert_eq!((opened.len(), refused.len()), (3, 5));
    for reply in &refused {
        assert_eq!(reply.status, 503);
        let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("3 open sessions"), "{message}");
    }
    let session = opened[0].header("mcp-session-id").unwrap();
    assert_eq!(servers[1].send("DELETE", "/mcp", &[("Mcp-Session-Id", session)], "").status, 204);
    servers[0].initialize();
}

#[test]
fn the_stream_limit_of_a_key_counts_across_both_protocol_versions() {
    let replicas = ReplicaSet::new();
    let server = replicas.replica_with(&[("MAX_STREAMS_PER_KEY", "2")]);
    let session = server.initialize();
    let held = (server.listen(&session, None), server.listen_without_session(&[]));
    let headers = [("Accept", "text/event-stream"), ("Mcp-Session-Id", session.as_str())];
    let wanted = json!({"notifications": {"resourcesListChanged": true}});
    let refused = [
        server.send("GET", "/mcp", &headers, ""),
        server.send_sessionless("subscriptions/listen", None, &wanted),
    ];
    for reply in refused {
        assert_eq!(reply.status, 429, "{}", reply.body);
        assert!(reply.json()["error"]["message"].as_str().unwrap().contains("open streams"));
    }
    drop(held);
    until("room for a stream", || {
        let mut stream = server.connect();
        crate::client::write_request(
            &mut stream,
            &server.address,
            "GET",
            "/mcp",
            &{
                let mut all = vec![("X-API-Key", server.key.as_str())];
                all.extend(headers);
                all
            },
            "",
        );
        crate::client::read_status(stream) == 200
    });
}

/// Ages the rows of two sessions; another session and event stay recent.
fn leave_behind(replicas: &ReplicaSet) -> String {
    let server = replicas.replica();
    let (gone, stays) = (server.initialize(), server.initialize());
    drop(server);
    replicas.database.psql(&format!(
        "DELETE FROM public.mcp_events;
         INSERT INTO public.mcp_events (session_id, stream_id, place, user_id, project_id, message, created_at)
         SELECT s.id, s.id, n, s.user_id, s.project_id, '{{}}', now() - interval '25 hours'
         FROM public.sessions s, generate_series(1, 1200) AS n;
         INSERT INTO public.mcp_events (session_id, stream_id, place, user_id, project_id, message)
         SELECT s.id, s.id, 5000, s.user_id, s.project_id, '{{}}' FROM public.sessions s;
         UPDATE public.sessions SET expires_at = now() - interval '1 minute' WHERE id = '{gone}'"
    ));
    stays
}

#[test]
fn only_old_events_and_expired_sessions_are_removed_in_small_batches() {
    let replicas = ReplicaSet::new();
    let stays = leave_behind(&replicas);
    // Notes how much each transaction removes.
    replicas.database.psql(
        "CREATE TABLE public.removed (number bigint);
         CREATE FUNCTION public.note_removed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
           $$ BEGIN INSERT INTO public.removed SELECT count(*) FROM gone; RETURN NULL; END $$;
         CREATE TRIGGER note_removed AFTER DELETE ON public.mcp_events REFERENCING OLD TABLE AS gone
           FOR EACH STATEMENT EXECUTE FUNCTION public.note_removed()",
    );
    let servers = [replicas.replica(), replicas.replica()];
    let left = "SELECT (SELECT count(*) FROM public.mcp_events), (SELECT count(*) FROM public.sessions)";
    until("the clean-up", || replicas.database.psql(left) == "1|1");
    drop(servers);
    let stored = "SELECT session_id, place FROM public.mcp_events";
    assert_eq!(replicas.database.psql(stored), format!("{stays}|5000"));
    let removed = "SELECT max(number) <= 500, sum(number) FROM public.removed";
    assert_eq!(replicas.database.psql(removed), "t|2401");
}

#[test]
fn one_replica_at_a_time_cleans_up() {
    let replicas = ReplicaSet::new();
    leave_behind(&replicas);
    let purge = "SELECT app.purge(now(), now() - interval '24 hours', 10)";
    let busy = Held::take(
        &replicas.database,
        "SELECT FROM (SELECT pg_advisory_xact_lock(hashtextextended('memory-bank-mcp purge', 0))) AS held",
    );
    assert_eq!(replicas.database.psql(purge), "0");
    drop(busy);
    assert_ne!(replicas.database.psql(purge), "0");
}
