//! Measures the server over HTTP next to pgbench, in one run on one machine, to show the overhead of network, MCP,
//! authentication and limits over PostgreSQL. PostgreSQL, Redis and the binary run only for the measurement.

mod figures;
mod load;
mod mixed;
mod outside;
mod pgbench;
mod profile;
mod servers;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use memory_bank_core::clock::SystemEntropy;
use memory_bank_core::identity::{Environment, PlainKey};
use serde_json::{Value, json};

use crate::figures::{Figures, Kind, ratios, table};
use crate::load::{Connection, Script};
use crate::servers::{Postgres, Redis, Served, operate};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the server over HTTP beside pgbench; prints a table in Markdown.
#[derive(Parser)]
struct Arguments {
    /// A first look: one short round.
    #[arg(long)]
    quick: bool,
    /// How often everything is measured.
    #[arg(long)]
    rounds: Option<usize>,
    /// For how many seconds at a time.
    #[arg(long)]
    seconds: Option<u64>,
    /// How many connections.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Instead of rounds: a mixed load for this many minutes, with the memory of the server.
    #[arg(long)]
    mixed: Option<u64>,
    /// Reads and edits sent by wrk, and the time of a start on a prepared schema.
    #[arg(long)]
    limits: bool,
    /// With `--limits`: a folder for samples of where the server spends its processor time, taken by perf.
    #[arg(long, requires = "limits")]
    profile: Option<PathBuf>,
    /// Fails if what is expected does not hold. By default a slow machine fails nothing.
    #[arg(long)]
    check: bool,
    /// Only measurements whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// The binary; the one beside this program when absent.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Where PostgreSQL keeps its data. The folder for temporary files when absent.
    #[arg(long)]
    place: Option<PathBuf>,
}

/// The document that is read, and how its text begins.
const DOCUMENT: &str = "notes.md";
const TELLING: &str = "What everybody should know";
/// The role that serves: neither superuser nor BYPASSRLS, owner of nothing.
const ROLE: &str = "bench_server";

/// Others who use the same database, so that it plans as it does for many: a hundred projects of twenty documents.
const OTHERS: &str = "\
    INSERT INTO users (name) SELECT 'user-' || i FROM generate_series(1, 100) i; \
    INSERT INTO projects (owner_id, name, slug) SELECT id, name, name FROM users WHERE name LIKE 'user-%'; \
    INSERT INTO memberships (user_id, project_id, role) \
        SELECT owner_id, id, 'owner' FROM projects WHERE slug LIKE 'user-%' ON CONFLICT DO NOTHING; \
    INSERT INTO api_keys (user_id, project_id, key_hash, key_prefix) \
        SELECT owner_id, id, sha256(slug::bytea), 'mbmcp_live_x' FROM projects WHERE slug LIKE 'user-%'; \
    INSERT INTO documents (project_id, path, content, etag) SELECT p.id, 'notes-' || i || '.md', \
        repeat('- a line of some words, as notes have them' || E'\\n', 48), '0123456789abcdef' \
        FROM projects p, generate_series(1, 20) i WHERE p.slug LIKE 'user-%'";

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // One thread: the load must not take the processors from the measured server.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let binary = match &arguments.server {
        Some(server) => server.clone(),
        None => std::env::current_exe()?.with_file_name("memory-bank-mcp"),
    };
    let place = arguments.place.clone().unwrap_or_else(std::env::temp_dir);
    let home = tempfile::Builder::new().prefix("memory-bank-bench").tempdir_in(place)?;
    let (rounds, seconds) = if arguments.quick { (1, 2) } else { (7, 4) };
    let rounds = arguments.rounds.unwrap_or(rounds).max(1);
    let length = Duration::from_secs(arguments.seconds.unwrap_or(seconds).max(1));
    let mut bench = Bench::start(&binary, home.path(), arguments.connections.max(1)).await?;
    bench.is_outside = arguments.limits;
    if let Some(minutes) = arguments.mixed {
        return mixed::measure(&bench, Duration::from_secs(60 * minutes.max(1))).await;
    }
    println!(
        "{rounds} rounds, each kind for {} s in each, {} connections; medians of the rounds.\n",
        length.as_secs(),
        bench.connections
    );
    // Of a server that has answered nothing.
    bench.restart(&binary)?;
    let mut idle = bench.streaming.resident()?;
    let only = arguments.only.as_deref().unwrap_or_default();
    let all = if arguments.limits { &Kind::LIMITS[..] } else { &Kind::ALL };
    let kinds: Vec<Kind> = all.iter().copied().filter(|kind| kind.name().contains(only)).collect();
    let mut results: Vec<Vec<Figures>> = kinds.iter().map(|_| Vec::new()).collect();
    for round in 1..=rounds {
        if round > 1 {
            // One process may be faster than another all its life: which data its threads pass to each other differs.
            bench.restart(&binary)?;
            idle = bench.streaming.resident()?;
        }
        for (kind, results) in kinds.iter().zip(&mut results) {
            let figures = bench.weighed(*kind, length).await;
            let figures = figures.with_context(|| format!("{} could not be measured", kind.name()))?;
            eprintln!("round {round}: {}: {:.0} a second", kind.name(), figures.rate);
            results.push(figures);
        }
    }
    let found: Vec<(Kind, Figures)> =
        kinds.iter().zip(&results).map(|(kind, results)| (*kind, Figures::median(results))).collect();
    println!("{}", table(&found));
    println!(
        "The last three columns are processor time a request, which hardly depends on what else the machine does.\n"
    );
    let (ratios, mut all_hold) = ratios(&kinds, &results, arguments.limits);
    println!("{ratios}");
    if arguments.limits {
        let (starts, holds) = bench.starts(&binary)?;
        println!("{starts}");
        all_hold &= holds;
    }
    if let Some(folder) = &arguments.profile {
        profile::record(&bench, folder).await?;
    }
    println!(
        "### Resident memory of the last server\n\n| | of its own, MiB | with the pages of the program, MiB |\n|---|---:|---:|"
    );
    for (when, (own, all)) in
        [("before the first request", idle), ("after the last round", bench.streaming.resident()?)]
    {
        println!("| {when} | {:.1} | {:.1} |", mebibytes(own), mebibytes(all));
    }
    ensure!(all_hold || !arguments.check, "not all holds that is expected");
    Ok(())
}

/// A document of two kilobytes.
fn document(first: &str) -> String {
    let line = "- a line of some words, as notes have them, of which there are a few\n";
    format!("# Notes\n\n{first}\n\n{}\n", line.repeat(28))
}

fn mebibytes(kibibytes: u64) -> f64 {
    f64::from(u32::try_from(kibibytes).unwrap_or(u32::MAX)) / 1024.0
}

fn serve(binary: &Path, url: &str, redis_url: &str, json: &str) -> anyhow::Result<Served> {
    let variables = [
        ("DATABASE_URL", url),
        ("REDIS_URL", redis_url),
        ("RATE_LIMIT_IP_PER_MINUTE", "1000000"),
        ("MCP_JSON_RESPONSE", json),
    ];
    Served::start(binary, &variables)
}

/// Everything that runs.
struct Bench {
    connections: usize,
    /// Whether wrk sends the requests.
    is_outside: bool,
    key: String,
    /// A key for each connection, of a project of its own.
    keys: Vec<String>,
    /// So many keys that none of them is busy enough for a lease.
    many_keys: Vec<String>,
    key_id: String,
    user: String,
    project: String,
    home: PathBuf,
    streaming: Served,
    json: Served,
    redis: Redis,
    postgres: Postgres,
}

impl Bench {
    async fn start(binary: &Path, home: &Path, connections: usize) -> anyhow::Result<Self> {
        let postgres = Postgres::start(home)?;
        let redis = Redis::start(home)?;
        let owner = postgres.url("postgres");
        operate(binary, &owner, &["migrate"])?;
        postgres.psql(&format!("CREATE ROLE {ROLE} LOGIN; GRANT app_server TO {ROLE}"))?;
        let made = operate(binary, &owner, &["bootstrap", "--user", "alice", "--project", "atlas"])?;
        // The limits are on, and wide enough.
        let wide = ["keys", "create", "--user", "alice", "--project", "atlas", "--rate-limit", "1000000"];
        let key = operate(binary, &owner, &wide)?;
        let (key, key_id) = (text(&key, "/key")?, text(&key, "/id")?);
        let mut keys = Vec::new();
        for number in 0..connections {
            let project = format!("atlas-{number}");
            operate(binary, &owner, &["bootstrap", "--user", "alice", "--project", &project])?;
            let wide =
                ["keys", "create", "--user", "alice", "--project", &project, "--rate-limit", "1000000"];
            keys.push(text(&operate(binary, &owner, &wide)?, "/key")?);
        }
        let (user, project) = (text(&made, "/user/id")?, text(&made, "/project/id")?);
        let many_keys = create_keys(&postgres, home, &user, &project)?;
        let (url, redis_url) = (postgres.url(ROLE), redis.url());
        let serve = |json: &str| serve(binary, &url, &redis_url, json);
        let (streaming, json) = (serve("false")?, serve("true")?);
        let home = home.to_owned();
        let bench = Self {
            connections,
            is_outside: false,
            key,
            keys,
            many_keys,
            key_id,
            user,
            project,
            home,
            streaming,
            json,
            redis,
            postgres,
        };
        bench.write_documents().await?;
        bench.write_scripts()?;
        Ok(bench)
    }

    /// Ends both servers and starts new ones.
    fn restart(&mut self, binary: &Path) -> anyhow::Result<()> {
        let (url, redis_url) = (self.postgres.url(ROLE), self.redis.url());
        self.streaming = serve(binary, &url, &redis_url, "false")?;
        self.json = serve(binary, &url, &redis_url, "true")?;
        Ok(())
    }

    /// The document that is read, and one for each connection that edits, so that no edit waits for another.
    async fn write_documents(&self) -> anyhow::Result<()> {
        let mut connection = Connection::open(self.streaming.address).await?;
        let body = document(TELLING);
        let names = (0..self.connections).map(|number| format!("notes-{number}.md"));
        for name in std::iter::once(DOCUMENT.to_owned()).chain(names) {
            let arguments = json!({"filename": name, "content": body});
            let request = self.stateless(self.streaming.address, "write_memory_bank_file", &arguments);
            connection.ask(&request).await?;
        }
        self.postgres.psql(OTHERS)?;
        self.postgres.psql("VACUUM ANALYZE")?;
        Ok(())
    }

    /// Measures, and reports the processor time per request, which hardly depends on other load.
    async fn weighed(&self, kind: Kind, length: Duration) -> anyhow::Result<Figures> {
        let before = self.worked()?;
        let mut figures = self.measure(kind, length).await?;
        if figures.work == [Duration::ZERO; 3] {
            // The moment before the measurement counts here, too; pgbench has none.
            let is_theirs = matches!(kind, Kind::PgbenchRead | Kind::PgbenchFunction | Kind::PgbenchEdit);
            let warm = if is_theirs { 1.0 } else { 1.1 };
            figures.weigh(before, self.worked()?, length.mul_f64(warm));
        }
        Ok(figures)
    }

    /// The processor time until now: of PostgreSQL, of Redis and of both servers.
    fn worked(&self) -> anyhow::Result<[Duration; 3]> {
        let server = self.streaming.worked()? + self.json.worked()?;
        Ok([self.postgres.worked()?, self.redis.worked()?, server])
    }

    async fn measure(&self, kind: Kind, length: Duration) -> anyhow::Result<Figures> {
        let read = json!({"filename": DOCUMENT});
        let (streaming, json) = (self.streaming.address, self.json.address);
        let (address, scripts) = match kind {
            Kind::PgbenchRead => return self.pgbench("read.sql", length),
            Kind::PgbenchFunction => return self.pgbench("function.sql", length),
            Kind::PgbenchEdit => return self.pgbench("edit.sql", length),
            Kind::Stateless => {
                let requests = vec![self.stateless(streaming, "read_memory_bank_file", &read)];
                (streaming, self.each(|_| Script { requests: requests.clone(), expects: TELLING, end: None }))
            }
            Kind::ManyKeys => {
                let of = |key: &String| load::stateless_call(streaming, key, "read_memory_bank_file", &read);
                let scripts = self.each(|number| {
                    let keys = self.many_keys.iter().skip(number).step_by(self.connections);
                    Script { requests: keys.map(of).collect(), expects: TELLING, end: None }
                });
                (streaming, scripts)
            }
            Kind::SessionEvents => (streaming, self.sessions(streaming, &[reading(&read)], TELLING).await?),
            Kind::SessionJson => (json, self.sessions(json, &[reading(&read)], TELLING).await?),
            Kind::SessionTools => (streaming, self.sessions(streaming, &[tools()], "\"tools\":").await?),
            Kind::Edit => {
                let scripts = self.each(|number| {
                    let write = |first: &str| {
                        let name = format!("notes-{number}.md");
                        let arguments = json!({"filename": name, "content": document(first)});
                        self.stateless(streaming, "write_memory_bank_file", &arguments)
                    };
                    Script {
                        requests: vec![write("one"), write("another")],
                        expects: "\"isError\":false",
                        end: None,
                    }
                });
                (streaming, scripts)
            }
            Kind::AppendTogether | Kind::AppendSpread => {
                // Each round begins with the same, short documents.
                self.postgres
                    .psql("DELETE FROM documents WHERE path IN ('progress.md', 'active-context.md')")?;
                let mut scripts = Vec::new();
                for number in 0..self.connections {
                    let arguments =
                        json!({"action": "Measured", "description": format!("connection {number}")});
                    let key = if kind == Kind::AppendSpread { self.keys.get(number) } else { None };
                    let key = key.unwrap_or(&self.key);
                    let request = load::stateless_call(streaming, key, "track_progress", &arguments);
                    scripts.push(Script { requests: vec![request], expects: "\"isError\":false", end: None });
                }
                (streaming, scripts)
            }
        };
        if !self.is_outside {
            return Ok(Figures::of(&load::run(address, scripts, length).await?));
        }
        // This also makes the server know the keys.
        outside::check(address, &scripts).await?;
        let before = self.worked()?;
        let mut figures = outside::run(&self.home, address, &scripts, length)?;
        figures.weigh(before, self.worked()?, length);
        outside::check(address, &scripts).await?;
        for script in scripts {
            if let Some(end) = script.end {
                Connection::open(address).await?.ask(&end).await?;
            }
        }
        Ok(figures)
    }

    /// The times from the start of a process to its listening, on the prepared schema.
    fn starts(&self, binary: &Path) -> anyhow::Result<(String, bool)> {
        let (url, redis_url) = (self.postgres.url(ROLE), self.redis.url());
        let mut times = Vec::new();
        for _ in 0..21 {
            let began = Instant::now();
            let served = Served::start(binary, &[("DATABASE_URL", &url), ("REDIS_URL", &redis_url)])?;
            times.push(began.elapsed());
            drop(served);
        }
        times.sort_unstable();
        let at = |place: usize| times.get(place).copied().unwrap_or_default().as_secs_f64() * 1000.0;
        let holds = at(10) < 60.0;
        let verdict = if holds { "holds" } else { "**does not hold**" };
        let shown = format!(
            "Start on a prepared schema, until it listens: {:.0} ms ({:.0} to {:.0}, 21 starts); expected under 60: {verdict}\n",
            at(10),
            at(0),
            at(20)
        );
        Ok((shown, holds))
    }

    fn each(&self, script: impl Fn(usize) -> Script) -> Vec<Script> {
        (0..self.connections).map(script).collect()
    }

    /// A session for each connection, and the same messages in it.
    async fn sessions(
        &self,
        address: std::net::SocketAddr,
        messages: &[Value],
        expects: &'static str,
    ) -> anyhow::Result<Vec<Script>> {
        let mut scripts = Vec::new();
        for _ in 0..self.connections {
            let handshake = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
                "protocolVersion": "2025-11-25", "capabilities": {},
                "clientInfo": {"name": "bench", "version": "1"}}});
            let request = self.request(address, &[], &handshake);
            let mut connection = Connection::open(address).await?;
            let answer = String::from_utf8_lossy(connection.ask(&request).await?).into_owned();
            let session = answer.lines().find_map(|line| line.strip_prefix("mcp-session-id: "));
            let session = session.context("the handshake brings no session")?.trim().to_owned();
            let headers = [("MCP-Protocol-Version", "2025-11-25"), ("Mcp-Session-Id", &session)];
            let requests = messages.iter().map(|message| self.request(address, &headers, message)).collect();
            let end = Some(load::request("DELETE", &self.key, address, &headers, ""));
            scripts.push(Script { requests, expects, end });
        }
        Ok(scripts)
    }

    /// A call as clients of the protocol without sessions send it.
    fn stateless(&self, address: std::net::SocketAddr, tool: &str, arguments: &Value) -> Vec<u8> {
        load::stateless_call(address, &self.key, tool, arguments)
    }

    fn request(&self, address: std::net::SocketAddr, headers: &[(&str, &str)], message: &Value) -> Vec<u8> {
        load::request("POST", &self.key, address, headers, &message.to_string())
    }
}

/// Makes a thousand keys of a user in a project; returns them.
fn create_keys(postgres: &Postgres, home: &Path, user: &str, project: &str) -> anyhow::Result<Vec<String>> {
    let keys: Vec<PlainKey> =
        (0..1000).map(|_| PlainKey::generate(Environment::Live, &SystemEntropy)).collect();
    let rows: Vec<String> = keys
        .iter()
        .map(|key| {
            let (hash, prefix) = (key.hash().to_hex(), key.prefix());
            format!("('{user}', '{project}', decode('{hash}', 'hex'), '{prefix}', 1000000)")
        })
        .collect();
    let columns = "user_id, project_id, key_hash, key_prefix, rate_limit";
    let file = home.join("keys.sql");
    std::fs::write(&file, format!("INSERT INTO api_keys ({columns}) VALUES {};", rows.join(", ")))?;
    postgres.psql_file(&file)?;
    Ok(keys.iter().map(|key| key.expose().to_owned()).collect())
}

/// A call of a tool.
fn calling(tool: &str, arguments: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

fn reading(read: &Value) -> Value {
    calling("read_memory_bank_file", read)
}

fn tools() -> Value {
    json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})
}

fn text(value: &Value, place: &str) -> anyhow::Result<String> {
    let text = value.pointer(place).and_then(Value::as_str);
    Ok(text.with_context(|| format!("{place} is missing: {value}"))?.to_owned())
}
