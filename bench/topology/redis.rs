//! Several Redis: a primary with replicas that Sentinels watch, and a cluster with a replica for each primary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::processes::{Program, free_ports, listens, until};
use crate::servers::output;
use crate::watch::Metrics;

/// How long a group may take to be whole.
const READY: Duration = Duration::from_secs(60);
/// After this time without an answer a server counts as dead.
const DEAD_AFTER: &str = "2000";

/// A server of Redis, which may be dead.
struct Node {
    port: u16,
    program: Option<Program>,
    options: Vec<String>,
}

impl Node {
    fn is_primary(&self) -> bool {
        self.program.is_some() && cli(self.port, &["ROLE"]).is_ok_and(|role| role.starts_with("master"))
    }
}

/// Servers of Redis, and Sentinels, if there are any.
pub struct Group {
    home: PathBuf,
    nodes: Vec<Node>,
    sentinels: Vec<(u16, Program)>,
}

fn cli(port: u16, arguments: &[&str]) -> anyhow::Result<String> {
    output(Command::new("redis-cli").args(["-p", &port.to_string()]).args(arguments))
}

impl Group {
    /// A primary and two replicas, watched by three Sentinels.
    pub fn sentinels(home: &Path) -> anyhow::Result<Self> {
        let ports = free_ports::<6>()?;
        let mut group = Self::empty(home)?;
        for port in &ports[..3] {
            let options = if *port == ports[0] {
                Vec::new()
            } else {
                vec!["--replicaof".to_owned(), format!("127.0.0.1 {}", ports[0])]
            };
            group.add(*port, options)?;
        }
        for port in &ports[3..] {
            let file = group.home.join(format!("sentinel-{port}.conf"));
            fs::write(
                &file,
                format!(
                    "port {port}\nbind 127.0.0.1\nsentinel monitor bank 127.0.0.1 {} 2\n\
                     sentinel down-after-milliseconds bank {DEAD_AFTER}\nsentinel failover-timeout bank 5000\n",
                    ports[0]
                ),
            )?;
            let mut sentinel = Command::new("redis-server");
            sentinel.arg(&file).arg("--sentinel");
            group.sentinels.push((*port, Program::start(sentinel, &group.home.join(format!("{port}.log")))?));
        }
        let knows = |port: u16| {
            let field = |name: &str| {
                let reply = cli(port, &["SENTINEL", "master", "bank"]).unwrap_or_default();
                let mut lines = reply.lines();
                lines.by_ref().find(|line| *line == name);
                lines.next().unwrap_or_default().to_owned()
            };
            field("num-slaves") == "2" && field("num-other-sentinels") == "2"
        };
        until("Sentinels that know all", READY, || ports[3..].iter().all(|port| knows(*port)))?;
        Ok(group)
    }

    /// Three primaries with a replica each.
    pub fn cluster(home: &Path) -> anyhow::Result<Self> {
        let (ports, buses) = (free_ports::<6>()?, free_ports::<6>()?);
        let mut group = Self::empty(home)?;
        for (port, bus) in ports.iter().zip(buses) {
            let folder = group.home.join(format!("node-{port}"));
            fs::create_dir(&folder)?;
            let options =
                ["--cluster-enabled", "yes", "--cluster-node-timeout", DEAD_AFTER, "--cluster-port"];
            let mut options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
            options.extend([bus.to_string(), "--dir".to_owned(), folder.display().to_string()]);
            group.add(*port, options)?;
        }
        let nodes: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let mut create = vec!["--cluster", "create"];
        create.extend(nodes.iter().map(String::as_str));
        create.extend(["--cluster-replicas", "1", "--cluster-yes"]);
        cli(ports[0], &create)?;
        group.wait_until_whole()?;
        Ok(group)
    }

    fn empty(home: &Path) -> anyhow::Result<Self> {
        let home = home.join("redis-group");
        fs::create_dir(&home)?;
        Ok(Self { home, nodes: Vec::new(), sentinels: Vec::new() })
    }

    fn add(&mut self, port: u16, options: Vec<String>) -> anyhow::Result<()> {
        self.nodes.push(Node { port, program: None, options });
        self.run(self.nodes.len() - 1)
    }

    /// Starts a server, also one that was killed.
    pub fn run(&mut self, at: usize) -> anyhow::Result<()> {
        let node = self.nodes.get_mut(at).context("there is no such server")?;
        let mut server = Command::new("redis-server");
        server.args([
            "--port",
            &node.port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        server.args(&node.options).current_dir(&self.home);
        node.program = Some(Program::start(server, &self.home.join(format!("{}.log", node.port)))?);
        let port = node.port;
        until("the start of Redis", READY, || listens(port))
    }

    pub fn kill(&mut self, at: usize) -> anyhow::Result<()> {
        self.nodes.get_mut(at).context("there is no such server")?.program = None;
        Ok(())
    }

    /// A primary that lives.
    pub fn primary(&self) -> anyhow::Result<usize> {
        match self.nodes.iter().position(Node::is_primary) {
            Some(at) => Ok(at),
            None => bail!("no primary lives"),
        }
    }

    fn primaries(&self) -> usize {
        self.nodes.iter().filter(|node| node.is_primary()).count()
    }

    /// Waits until a replica is a primary in place of the killed one and, with Sentinels, until all servers use it, and describes how
    /// long that took. In a cluster the other nodes go on.
    pub fn followed(&self, metrics: &Metrics) -> anyhow::Result<Option<String>> {
        const CALLS: &str = "memory_bank_redis_calls_total{result=\"ok\"}";
        let killed = Instant::now();
        if self.sentinels.is_empty() {
            until("another primary", READY, || self.primaries() == 3)?;
            let took = killed.elapsed().as_secs_f64();
            return Ok(Some(format!("a replica was a primary {took:.1} s after the kill")));
        }
        until("another primary", READY, || self.primary().is_ok())?;
        let promoted = Instant::now();
        let before = metrics.of_each(CALLS)?;
        until("calls of all servers", READY, || {
            metrics.of_each(CALLS).is_ok_and(|now| now.iter().zip(&before).all(|(now, before)| now > before))
        })?;
        let (took, later) = (promoted - killed, promoted.elapsed());
        Ok(Some(format!(
            "a replica was the primary {:.1} s after the kill, and both servers used it {:.1} s later",
            took.as_secs_f64(),
            later.as_secs_f64()
        )))
    }

    /// Waits until every server has its part again.
    pub fn wait_until_whole(&self) -> anyhow::Result<()> {
        let replicas = if self.sentinels.is_empty() { 3 } else { 2 };
        until("a whole group", READY, || {
            let roles: Vec<String> =
                self.nodes.iter().map(|node| cli(node.port, &["ROLE"]).unwrap_or_default()).collect();
            let follows = |role: &&String| role.starts_with("slave") && role.contains("connected");
            let is_ok = |node: &Node| {
                !self.sentinels.is_empty()
                    || cli(node.port, &["CLUSTER", "INFO"])
                        .is_ok_and(|info| info.contains("cluster_state:ok"))
            };
            roles.iter().filter(follows).count() == replicas && self.nodes.iter().all(is_ok)
        })
    }

    /// The URL for servers.
    pub fn url(&self) -> String {
        let list = |ports: Vec<u16>| {
            ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
        };
        if self.sentinels.is_empty() {
            format!("redis+cluster://{}", list(self.nodes.iter().map(|node| node.port).collect()))
        } else {
            format!("redis+sentinel://{}/bank", list(self.sentinels.iter().map(|(port, _)| *port).collect()))
        }
    }
}
