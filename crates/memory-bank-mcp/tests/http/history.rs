//! The history of documents and of the graph over HTTP, on PostgreSQL: who changed what, rights, restore, erase, and the shell commands.

use memory_bank_test_postgres::TestDatabase;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Server, call, command, structured};
use crate::database::{key_of, operate, serve, serve_through};

/// A member of a project, with a session.
pub(crate) struct Member {
    server: Server,
    pub(crate) session: String,
}

impl Member {
    pub(crate) fn new(database: &TestDatabase, key: &Value) -> Self {
        let server = serve(database, &key_of(key));
        let session = server.initialize();
        Self { server, session }
    }

    pub(crate) fn call(&self, tool: &str, arguments: &Value) -> Value {
        let reply = self.server.post(Some(&self.session), &call(7, tool, arguments)).message();
        assert_ne!(reply["result"]["isError"], true, "{tool} {arguments}: {reply}");
        structured(&reply)
    }

    fn refused(&self, tool: &str, arguments: &Value) -> String {
        let reply = self.server.post(Some(&self.session), &call(7, tool, arguments)).message();
        assert_eq!(reply["result"]["isError"], true, "{tool} {arguments}: {reply}");
        reply["result"]["content"][0]["text"].as_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, content: &str) {
        self.call("write_memory_bank_file", &json!({"filename": "plan.md", "content": content}));
    }

    /// The whole reply, also of a call that is refused.
    pub(crate) fn reply(&self, tool: &str, arguments: &Value) -> Value {
        self.server.post(Some(&self.session), &call(7, tool, arguments)).message()
    }

    pub(crate) fn versions(&self, arguments: &Value) -> Vec<Value> {
        self.call("history", arguments)["versions"].as_array().unwrap().clone()
    }
}

pub(crate) fn member(database: &TestDatabase, name: &str, role: &str) -> Value {
    operate(database, &["users", "create", name]).unwrap();
    operate(database, &["members", "add", "--project", "atlas", "--user", name, "--role", role]).unwrap();
    operate(database, &["keys", "create", "--project", "atlas", "--user", name]).unwrap()
}

#[test]
fn two_users_who_overwrite_each_other_get_everything_back() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let alice = Member::new(&database, &made["key"]);
    let bob = Member::new(&database, &member(&database, "bob", "editor"));
    let vera = Member::new(&database, &member(&database, "vera", "viewer"));
    alice.call("initialize_memory_bank", &json!({"path": "."}));
    alice.write("# Plan\n\nalice's words\n");
    bob.write("# Plan\n\nbob's words\n");
    alice.write("# Plan\n\nneither\n");
    let of_plan = json!({"filename": "plan.md"});
    let seen = vera.versions(&of_plan);
    let authors: Vec<&str> = seen.iter().map(|version| version["by"].as_str().unwrap()).collect();
    assert_eq!(authors, ["alice", "bob", "alice"]);
    let bobs = &seen[1];
    assert_eq!((&bobs["tool"], &bobs["session"]), (&json!("write_memory_bank_file"), &json!(bob.session)));
    assert!(bobs["key"].as_str().unwrap().starts_with("mbmcp_"), "{bobs}");
    assert_eq!(vera.versions(&json!({"by": bob.session})).len(), 1);
    assert_eq!(vera.versions(&json!({"by": "bob"})).len(), 1);
    assert_eq!(vera.versions(&json!({"by": "bob", "until": "2020-01-01"})).len(), 0);

    let number = |version: &Value| version["version"].as_u64().unwrap();
    let show = json!({"action": "show", "filename": "plan.md", "version": number(bobs)});
    assert_eq!(vera.call("history", &show)["text"], "# Plan\n\nbob's words\n");
    let diff =
        json!({"action": "diff", "filename": "plan.md", "version": number(&seen[2]), "with": number(bobs)});
    let diff = vera.call("history", &diff)["diff"].as_str().unwrap().to_owned();
    assert!(diff.contains("-alice's words") && diff.contains("+bob's words"), "{diff}");
    let restore = json!({"action": "restore", "filename": "plan.md", "version": number(bobs)});
    assert!(vera.refused("history", &restore).contains("a role with the scope `write`"));
    let stale = json!({"action": "restore", "filename": "plan.md", "version": number(bobs), "ifMatchEtag": seen[2]["etag"]});
    assert!(bob.refused("history", &stale).contains("ETAG_MISMATCH"));
    bob.call("history", &restore);
    let read = alice.call("read_memory_bank_file", &of_plan);
    assert_eq!(read["content"], "# Plan\n\nbob's words\n");
    assert_eq!(alice.versions(&of_plan)[0]["kind"], "restored");

    // A deleted document comes back.
    alice.call("delete_memory_bank_file", &of_plan);
    assert_eq!(alice.versions(&of_plan)[0]["kind"], "deleted");
    let first = json!({"action": "restore", "filename": "plan.md", "version": number(&seen[2])});
    bob.call("history", &first);
    assert_eq!(vera.call("read_memory_bank_file", &of_plan)["content"], "# Plan\n\nalice's words\n");

    let uri = format!("memory-bank://plan?version={}", number(bobs));
    let resource = json!({"jsonrpc": "2.0", "id": 3, "method": "resources/read", "params": {"uri": uri}});
    let read = vera.server.post(Some(&vera.session), &resource).message();
    assert_eq!(read["result"]["contents"][0]["text"], "# Plan\n\nbob's words\n", "{read}");

    let erase = json!({"action": "erase", "filename": "plan.md"});
    assert!(bob.refused("history", &erase).contains("you may not erase history"));
    assert_eq!(alice.call("history", &erase)["erasedVersions"], 6);
    assert_eq!(
        database.psql(
            "SELECT count(*) || ' ' || min(subject) FROM app.audit_log WHERE action = 'history.erased'"
        ),
        "1 plan.md"
    );
    assert_eq!(vera.call("read_memory_bank_file", &of_plan)["content"], "# Plan\n\nalice's words\n");
}

#[test]
fn members_see_who_changed_an_entity_editors_bring_it_back_and_owners_erase() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let alice = Member::new(&database, &made["key"]);
    let bob = Member::new(&database, &member(&database, "bob", "editor"));
    let vera = Member::new(&database, &member(&database, "vera", "viewer"));
    alice.call("initialize_memory_bank", &json!({"path": "."}));
    let upsert = |who: &Member, port: u32| {
        let attrs = json!({"port": port});
        who.call("graph_upsert_entity", &json!({"name": "Api", "entityType": "service", "attrs": attrs}));
    };
    upsert(&alice, 80);
    bob.call("graph_add_observation", &json!({"entity": "Api", "text": "is fast"}));
    let of_api = json!({"entity": "api"});
    let number = vera.versions(&of_api)[0]["version"].clone();
    upsert(&bob, 81);
    alice.write("# Plan\n");
    let seen = vera.versions(&of_api);
    let facts =
        |one: &Value| (one["kind"].clone(), one["by"].clone(), one["tool"].clone(), one["session"].clone());
    assert_eq!(
        facts(&seen[0]),
        (json!("changed"), json!("bob"), json!("graph_upsert_entity"), json!(bob.session))
    );
    assert_eq!(
        facts(&seen[2]),
        (json!("created"), json!("alice"), json!("graph_upsert_entity"), json!(alice.session))
    );
    assert_eq!((&seen[1]["observation"], seen.len()), (&json!("is fast"), 3));
    assert!(seen[0]["key"].as_str().unwrap().starts_with("mbmcp_"), "{}", seen[0]);
    assert_eq!(vera.versions(&json!({"by": bob.session})).len(), 2);
    let all = vera.versions(&json!({}));
    assert_eq!((&all[0]["filename"], &all[1]["entity"]), (&json!("plan.md"), &json!("Api")));
    let with = |action: &str| json!({"action": action, "entity": "Api", "version": number});
    let shown = vera.call("history", &with("show"))["text"].as_str().unwrap().to_owned();
    assert!(shown.starts_with("Api [service]\nport = 80\n- ") && shown.ends_with(": is fast\n"), "{shown}");
    assert!(vera.call("history", &with("diff"))["diff"].as_str().unwrap().contains("-port = 80\n+port = 81"));
    assert!(vera.refused("history", &with("restore")).contains("a role with the scope `write`"));
    bob.call("history", &with("restore"));
    assert_eq!(
        vera.call("history", &with("diff"))["diff"],
        json!(format!("version {number} and now are the same"))
    );
    assert_eq!(vera.versions(&of_api)[0]["tool"], "history");
    let erase = json!({"action": "erase", "entity": "Api"});
    assert!(bob.refused("history", &erase).contains("you may not erase history"));
    assert_eq!(alice.call("history", &erase)["erasedVersions"], 4);
    assert!(vera.versions(&of_api).is_empty());
    // Another project sees nothing of it.
    operate(&database, &["projects", "create", "other", "--owner", "bob"]).unwrap();
    let key = operate(&database, &["keys", "create", "--project", "other", "--user", "bob"]).unwrap();
    let stranger = Member::new(&database, &key);
    stranger.call("initialize_memory_bank", &json!({"path": "."}));
    assert!(stranger.refused("history", &of_api).contains("not found"));
    assert!(stranger.versions(&json!({})).iter().all(|one| one["entity"].is_null()));
}

#[test]
fn a_session_is_undone_by_its_user_or_an_owner_and_by_no_other() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let alice = Member::new(&database, &made["key"]);
    let bob = Member::new(&database, &member(&database, "bob", "editor"));
    let carol = Member::new(&database, &member(&database, "carol", "editor"));
    let vera = Member::new(&database, &member(&database, "vera", "viewer"));
    alice.call("initialize_memory_bank", &json!({"path": "."}));
    alice.write("# Plan\n\n- alice\n");
    bob.write("# Plan\n\n- alice\n- bob\n");
    bob.call("write_memory_bank_file", &json!({"filename": "bobs.md", "content": "bob's\n"}));
    carol.write("# Plan\n\n- alice\n- bob\n- carol\n");
    let undo = |by: &str, more: Value| {
        let mut arguments = json!({"action": "undo", "by": by});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        arguments
    };
    let bobs = undo(&bob.session, json!({}));
    assert!(vera.refused("history", &bobs).contains("a role with the scope `write`"));
    assert!(carol.refused("history", &bobs).contains("you may undo only your own"));
    let of_bob = undo("bob", json!({"since": "2020-01-01"}));
    assert!(carol.refused("history", &of_bob).contains("you may not undo changes of `bob`"));
    assert!(alice.refused("history", &undo("bob", json!({}))).contains("since when?"));
    let dry = alice.call("history", &undo("bob", json!({"since": "2020-01-01", "dryRun": true})));
    assert_eq!((dry["undone"].as_array().unwrap().len(), &dry["dryRun"]), (2, &json!(true)), "{dry}");
    let done = bob.call("history", &bobs);
    let undone = done["undone"].as_array().unwrap();
    let of = |name: &str| undone.iter().find(|one| one["filename"] == name).unwrap();
    assert_eq!((&of("bobs.md")["change"], &of("plan.md")["change"]), (&json!("deleted"), &json!("changed")));
    assert_eq!(of("plan.md")["laterChangesStay"], true);
    let plan = json!({"filename": "plan.md"});
    assert_eq!(vera.call("read_memory_bank_file", &plan)["content"], "# Plan\n\n- alice\n- carol\n");
    let newest = &vera.versions(&plan)[0];
    assert_eq!(
        (&newest["by"], &newest["tool"], &newest["kind"]),
        (&json!("bob"), &json!("history"), &json!("restored"))
    );
    assert_eq!(bob.call("history", &bobs)["undone"], json!([]));

    // What carol rewrote stays, and she is named.
    alice.write("# Plan\n\n- all new\n");
    carol.write("# Plan\n\n- all newer\n");
    let whole = undo(&alice.session, json!({"filename": "plan.md", "allOrNothing": true}));
    let refused = alice.refused("history", &whole);
    assert!(refused.contains("NOT_ALL") && refused.contains("carol (version"), "{refused}");

    let blamed = vera.call("history", &json!({"action": "blame", "filename": "plan.md"}));
    let authors: Vec<&str> =
        blamed["ranges"].as_array().unwrap().iter().map(|range| range["by"].as_str().unwrap()).collect();
    assert_eq!(authors, ["alice", "carol"]);

    // Only what one version changed.
    alice.write("# Plan\n\n- all newer\n- more\n");
    bob.write("# Title\n\n- all newer\n- more\n");
    let versions = vera.versions(&plan);
    let (title, more) = (&versions[0], &versions[1]);
    let restore = |version: &Value, etag: &Value| json!({"action": "restore", "filename": "plan.md", "version": version["version"], "onlyChange": true, "ifMatchEtag": etag});
    assert!(carol.refused("history", &restore(more, &more["etag"])).contains("ETAG_MISMATCH"));
    carol.call("history", &restore(more, &title["etag"]));
    assert_eq!(vera.call("read_memory_bank_file", &plan)["content"], "# Title\n\n- all newer\n");
    bob.write("# Title\n\n- the newest\n");
    let carols = versions.iter().find(|version| version["by"] == "carol").unwrap();
    let conflict = alice.refused("history", &restore(carols, &Value::Null));
    assert!(conflict.contains("line 3 changed since by bob (version"), "{conflict}");
}

#[test]
fn the_rest_routes_list_show_and_compare_versions() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let alice = Member::new(&database, &made["key"]);
    let bob = Member::new(&database, &member(&database, "bob", "editor"));
    for number in 0..5 {
        alice.write(&format!("# Plan\n\n{number}\n"));
    }
    bob.write("# Plan\n\nbob's\n");
    bob.call("rename_memory_bank_file", &json!({"filename": "plan.md", "newFilename": "sub/plan.md"}));
    let get = |path: &str| bob.server.send("GET", path, &[], "");
    let listed = get("/api/history");
    assert!(listed.header("x-ratelimit-remaining").is_some());
    let all = listed.json()["versions"].as_array().unwrap().clone();
    assert_eq!(all.len(), 7, "{all:?}");
    assert_eq!(
        (&all[0]["kind"], &all[0]["formerName"], &all[0]["filename"]),
        (&json!("renamed"), &json!("plan.md"), &json!("sub/plan.md"))
    );
    assert_eq!((&all[1]["by"], &all[1]["session"]), (&json!("bob"), &json!(bob.session)));
    let mut paged = Vec::new();
    let mut path = "/api/history?filename=sub/plan.md&by=alice&limit=2".to_owned();
    loop {
        let page = get(&path).json();
        paged.extend(page["versions"].as_array().unwrap().clone());
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/api/history?filename=sub/plan.md&by=alice&limit=2&cursor={cursor}");
    }
    assert_eq!(paged, all[2..]);
    let count =
        |query: &str| get(&format!("/api/history?{query}")).json()["versions"].as_array().unwrap().len();
    assert_eq!(
        (count(&format!("by={}", bob.session)), count("until=2020-01-01"), count("by=nobody%00")),
        (2, 0, 0)
    );
    let shown = get("/api/history/show?filename=sub/plan.md&version=2").json();
    assert_eq!(
        (&shown["text"], &shown["version"], &shown["by"]),
        (&json!("# Plan\n\n1\n"), &json!(2), &json!("alice"))
    );
    let diff =
        get("/api/history/diff?filename=sub/plan.md&version=5").json()["diff"].as_str().unwrap().to_owned();
    assert!(diff.contains("-4\n+bob's\n"), "{diff}");
    let same = get("/api/history/diff?filename=sub/plan.md&version=6&with=7").json();
    assert_eq!((&same["diff"], &same["with"]), (&json!(""), &json!(7)));
    for (path, status) in [
        ("/api/history?limit=201", 400),
        ("/api/history?since=yesterday", 400),
        ("/api/history?filename=", 400),
        (&format!("/api/history?filename=a.md&by={}", bob.session), 400),
        ("/api/history/show?filename=sub/plan.md", 400),
        ("/api/history/show?filename=sub/plan.md&version=0", 400),
        ("/api/history/show?filename=sub/plan.md&version=99", 404),
        ("/api/history?filename=nothing.md", 404),
        ("/api/history?filename=../etc", 404),
        ("/api/history?cursor=abc", 404),
    ] {
        let reply = get(path);
        assert_eq!(reply.status, status, "{path}: {}", reply.body);
        assert!(reply.json()["error"].is_string());
    }
    assert_eq!(bob.server.send("POST", "/api/history", &[], "").status, 405);
}

#[test]
fn the_commands_show_the_history_of_a_server() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let alice = Member::new(&database, &made["key"]);
    let long: String = (0..8000).map(|line| format!("line {line} of a long plan\n")).collect();
    alice.write(&long);
    alice.write("short\n");
    let folder = TempDir::new().unwrap();
    let url = format!("http://{}/mcp", alice.server.address);
    let key = key_of(&made["key"]);
    let run = |words: &[&str]| {
        let variables = [("MEMORY_BANK_URL", url.as_str()), ("MEMORY_BANK_API_KEY", key.as_str())];
        let output = command(&folder, &variables).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = run(&["history", "plan"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(listed.contains("changed  alice, write_memory_bank_file"), "{listed}");
    assert!(listed.contains(&format!(", session {}…", alice.session.get(..13).unwrap())), "{listed}");
    assert_eq!(run(&["history", "plan", "--show", "1"]), long);
    let diff = run(&["diff", "plan", "1"]);
    assert!(diff.contains("-line 0 of a long plan") && diff.contains("the diff is cut here"), "{diff}");
    alice.write("shorter\nthan before\n");
    assert!(run(&["diff", "plan", "2"]).ends_with("-short\n+shorter\n+than before\n"));
    alice.write("shorter\nthan ever\n");
    let blamed = run(&["blame", "plan"]);
    let lines: Vec<&str> = blamed.lines().collect();
    assert!(
        lines[0].starts_with("    3  20") && lines[0].ends_with("alice, write_memory_bank_file  shorter"),
        "{blamed}"
    );
    assert!(lines[1].starts_with("    4  20") && lines[1].ends_with("  than ever"), "{blamed}");

    let refused = |words: &[&str]| {
        let variables = [("MEMORY_BANK_URL", url.as_str()), ("MEMORY_BANK_API_KEY", key.as_str())];
        let output = command(&folder, &variables).args(words).output().unwrap();
        assert!(!output.status.success(), "{words:?}");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let by_session = ["undo", "--session", alice.session.as_str()];
    let (shown, error) = refused(&by_session);
    let would = "dry run: nothing was changed; it would take back:\nplan.md  would be deleted  4 versions\n";
    assert_eq!(shown, would);
    assert!(error.contains("repeat the command with `--yes`"), "{error}");
    let since = ["undo", "plan", "--by", "alice", "--since", "2020-01-01", "--all-or-nothing", "--dry-run"];
    assert_eq!(run(&since), shown);
    assert_eq!(run(&["show", "plan"]), "shorter\nthan ever\n");
    assert!(refused(&["undo", "--by", "alice"]).1.contains("--since"));
    assert!(
        refused(&[&by_session[..], &["--yes", "--read-only"][..]].concat()).1.contains("nothing was done")
    );
    assert_eq!(run(&[&by_session[..], &["--yes"][..]].concat()), "plan.md  deleted  4 versions taken back\n");
    assert!(refused(&["show", "plan"]).1.contains("plan"));
    assert_eq!(
        run(&[&by_session[..], &["--yes"][..]].concat()),
        "Nothing of these changes is left to be undone.\n"
    );
}

#[test]
fn without_a_retention_no_version_is_added() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let url = database.url();
    let mut server = Server::start(&[
        ("DATABASE_URL", &url),
        ("REDIS_URL", ""),
        ("MCP_HOST", "127.0.0.1"),
        ("RATE_LIMIT_IP_PER_MINUTE", "0"),
        ("HISTORY_RETENTION_DAYS", "0"),
    ]);
    server.key = key_of(&made["key"]);
    let off = Member { session: server.initialize(), server };
    off.write("one");
    off.write("two");
    off.call("write_memory_bank_file", &json!({"filename": "b.md", "content": "b"}));
    off.call("rename_memory_bank_file", &json!({"filename": "b.md", "newFilename": "c.md"}));
    off.call("delete_memory_bank_file", &json!({"filename": "c.md"}));
    assert_eq!(database.psql("SELECT count(*) FROM app.document_versions"), "0");
    let listed = off.call("history", &json!({}));
    assert!(listed["note"].as_str().unwrap().contains("HISTORY_RETENTION_DAYS=0"), "{listed}");
    let refused = off.refused("history", &json!({"action": "undo", "by": off.session}));
    assert!(refused.contains("the history is off"), "{refused}");
    let refused = off.refused("maintain", &json!({"apply": ["fold_any"]}));
    assert!(refused.contains("the history is off") && refused.contains("nothing was changed"), "{refused}");
    // The first version of a server with a history has the text before it.
    let on = serve_through(&url, &key_of(&made["key"]));
    let on = Member { session: on.initialize(), server: on };
    on.write("three");
    let versions = on.versions(&json!({"filename": "plan.md"}));
    let kinds: Vec<&Value> = versions.iter().map(|version| &version["kind"]).collect();
    assert_eq!(kinds, ["changed", "outside"]);
    let show = json!({"action": "show", "filename": "plan.md", "version": versions[1]["version"]});
    assert_eq!(on.call("history", &show)["text"], "two");
}

#[test]
fn the_graph_of_a_session_is_undone_and_programs_see_the_history_of_an_entity() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let alice = Member::new(&database, &made["key"]);
    let bob = Member::new(&database, &member(&database, "bob", "editor"));
    let vera = Member::new(&database, &member(&database, "vera", "viewer"));
    alice.call("initialize_memory_bank", &json!({"path": "."}));
    let upsert = |who: &Member, name: &str, port: u32| {
        let attrs = json!({"port": port});
        who.call("graph_upsert_entity", &json!({"name": name, "entityType": "service", "attrs": attrs}));
    };
    upsert(&alice, "Api", 80);
    let first = vera.versions(&json!({"entity": "Api"}))[0]["version"].clone();
    upsert(&bob, "Api", 81);
    upsert(&bob, "Own", 1);
    bob.call("graph_add_observation", &json!({"entity": "Own", "text": "is new"}));
    upsert(&bob, "Store", 1);
    alice.call("graph_add_observation", &json!({"entity": "Store", "text": "is mine"}));
    bob.write("# Plan\n");

    let get = |who: &Member, path: &str| {
        let reply = who.server.send_bare("GET", path, &[("X-API-Key", &who.server.key)], "");
        (reply.status, serde_json::from_str::<Value>(&reply.body).unwrap())
    };
    let (_, list) = get(&vera, "/api/history?entity=api&limit=1");
    let newest = &list["versions"][0];
    assert_eq!(
        (&newest["entity"], &newest["kind"], &newest["by"]),
        (&json!("Api"), &json!("changed"), &json!("bob"))
    );
    assert!(newest["type"].as_str().unwrap().contains("81"), "{newest}");
    let next = list["nextCursor"].as_str().unwrap();
    let (_, rest) = get(&vera, &format!("/api/history?entity=api&limit=1&cursor={next}"));
    assert_eq!((&rest["versions"][0]["version"], &rest["nextCursor"]), (&first, &Value::Null));
    let (_, shown) = get(&vera, &format!("/api/history/show?entity=Api&version={first}"));
    assert_eq!(shown["text"], "Api [service]\nport = 80\n");
    let (_, diff) = get(&vera, &format!("/api/history/diff?entity=Api&version={first}"));
    assert!(diff["diff"].as_str().unwrap().contains("-port = 80\n+port = 81"), "{diff}");
    for (path, status) in [
        ("/api/history?entity=nothing", 404),
        ("/api/history/show?entity=Api&version=99", 404),
        ("/api/history/show?version=1", 404),
        ("/api/history/diff?version=1&entity=Api&filename=plan.md", 404),
        ("/api/history?entity=Api&filename=plan.md", 404),
        ("/api/history?entity=Api&cursor=zzz", 404),
    ] {
        assert_eq!(get(&vera, path).0, status, "{path}");
    }

    let undo = json!({"action": "undo", "by": bob.session});
    assert!(vera.refused("history", &undo).contains("a role with the scope `write`"));
    let one = json!({"action": "undo", "by": bob.session, "entity": "Api", "dryRun": true});
    let dry = alice.call("history", &one);
    assert_eq!(dry["undone"].as_array().unwrap().len(), 1, "{dry}");
    let done = bob.call("history", &undo);
    let undone = done["undone"].as_array().unwrap();
    let of = |name: &str, member: &str| {
        undone
            .iter()
            .find(|one| one["entity"] == name && !one[member].is_null())
            .unwrap_or_else(|| panic!("{name}: {done}"))
    };
    assert_eq!(of("Api", "type")["change"], "changed");
    assert_eq!(of("Own", "type")["change"], "deleted");
    assert_eq!(
        (&of("Own", "observation")["observation"], &of("Own", "observation")["change"]),
        (&json!("is new"), &json!("deleted"))
    );
    assert!(undone.iter().any(|one| one["filename"] == "plan.md"), "{done}");
    let left = &done["left"][0];
    assert_eq!(left["entity"], "Store");
    assert!(left["changedBy"][0].as_str().unwrap().starts_with("alice"), "{left}");
    assert_eq!(get(&vera, &format!("/api/history/diff?entity=Api&version={first}")).1["diff"], "");

    let folder = TempDir::new().unwrap();
    let url = format!("http://{}/mcp", alice.server.address);
    let key = key_of(&made["key"]);
    let run = |words: &[&str]| {
        let variables = [("MEMORY_BANK_URL", url.as_str()), ("MEMORY_BANK_API_KEY", key.as_str())];
        let output = command(&folder, &variables).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let number = first.to_string();
    assert_eq!(run(&["history", "--entity", "Api"]).lines().count(), 3);
    assert_eq!(run(&["history", "Api", "--entity", "--show", &number]), "Api [service]\nport = 80\n");
    assert!(run(&["diff", "--entity", "Api", &number]).contains("are the same"));
    let undone = run(&["undo", "--entity", "Api", "--session", &bob.session, "--dry-run"]);
    assert_eq!(undone, "Nothing of these changes is left to be undone.\n");
    let shown = run(&["undo", "--session", &bob.session, "--yes"]);
    assert!(shown.starts_with("left  Store (service"), "{shown}");
}
