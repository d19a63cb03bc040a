//! Three PostgreSQL under Patroni, which agree by etcd who is the primary.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::processes::{Program, as_postgres, free_ports, listens, until};
use crate::servers::{output, programs};

/// How long the cluster may take to have a primary and two replicas.
const READY: Duration = Duration::from_secs(90);
const NODES: usize = 3;

/// The cluster.
pub struct Patroni {
    home: PathBuf,
    nodes: [Option<Program>; NODES],
    ports: [u16; NODES],
    bin: PathBuf,
    _etcd: Program,
}

impl Patroni {
    /// Starts it. With `is_synchronous` a commit is acknowledged when a replica has it.
    pub fn start(home: &Path, is_synchronous: bool) -> anyhow::Result<Self> {
        let home = home.join("patroni");
        fs::create_dir(&home)?;
        fs::set_permissions(&home, fs::Permissions::from_mode(0o777))?;
        let [client, peer] = free_ports()?;
        let mut etcd = as_postgres("etcd")?;
        let urls = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        etcd.arg("--data-dir").arg(home.join("etcd"));
        etcd.args(["--listen-client-urls", &urls.0, "--advertise-client-urls", &urls.0]);
        etcd.args(["--listen-peer-urls", &urls.1, "--unsafe-no-fsync"]);
        let etcd = Program::start(etcd, &home.join("etcd.log")).context("needs Debian's etcd-server")?;
        until("the start of etcd", READY, || listens(client))?;
        let (ports, rest) = (free_ports()?, free_ports::<NODES>()?);
        let bin = programs()?;
        let mut cluster = Self { home, nodes: [None, None, None], ports, bin, _etcd: etcd };
        for (node, rest) in rest.into_iter().enumerate() {
            cluster.configure(node, client, rest, is_synchronous)?;
            cluster.run(node)?;
        }
        cluster.wait_until_whole()?;
        Ok(cluster)
    }

    fn configure(&self, node: usize, etcd: u16, rest: u16, is_synchronous: bool) -> anyhow::Result<()> {
        let folder = self.home.join(format!("node-{node}"));
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777))?;
        let (folder, bin, port) = (folder.display(), self.bin.display(), self.ports[node]);
        let text = format!(
            "scope: bank\nname: node-{node}\n\
             restapi: {{listen: '127.0.0.1:{rest}', connect_address: '127.0.0.1:{rest}'}}\n\
             etcd3: {{hosts: ['127.0.0.1:{etcd}']}}\n\
             bootstrap:\n  dcs:\n    ttl: 20\n    loop_wait: 2\n    retry_timeout: 5\n    synchronous_mode: {is_synchronous}\n    \
             postgresql:\n      use_pg_rewind: true\n      \
             parameters: {{max_connections: 100, wal_log_hints: 'on', hot_standby: 'on'}}\n  \
             initdb: [{{encoding: UTF8}}, {{auth-local: trust}}, {{auth-host: trust}}]\n  \
             pg_hba: ['host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust', 'local all all trust']\n\
             postgresql:\n  listen: 127.0.0.1:{port}\n  connect_address: 127.0.0.1:{port}\n  data_dir: {folder}/data\n  \
             bin_dir: {bin}\n  pgpass: {folder}/pgpass\n  \
             authentication:\n    superuser: {{username: postgres, password: unused}}\n    \
             replication: {{username: replicator, password: unused}}\n    rewind: {{username: rewinder, password: unused}}\n  \
             parameters: {{unix_socket_directories: '{folder}'}}\n"
        );
        Ok(fs::write(self.file(node), text)?)
    }

    fn file(&self, node: usize) -> PathBuf {
        self.home.join(format!("node-{node}.yml"))
    }

    /// Starts the Patroni of a node, which starts its PostgreSQL.
    pub fn run(&mut self, node: usize) -> anyhow::Result<()> {
        let mut patroni = as_postgres("patroni")?;
        patroni.arg(self.file(node)).env("HOME", &self.home).env("LC_ALL", "C.UTF-8").current_dir("/");
        let log = self.home.join(format!("node-{node}.log"));
        self.nodes[node] = Some(Program::start(patroni, &log).context("needs Debian's patroni")?);
        Ok(())
    }

    /// Kills a node: Patroni and PostgreSQL at once, as a power failure does.
    pub fn kill(&mut self, node: usize) -> anyhow::Result<()> {
        self.nodes[node] = None;
        // The postmaster leaves the group of its parent.
        let pid = self.postmaster(node)?;
        let children = output(Command::new("ps").args(["-o", "pid=", "--ppid", &pid])).unwrap_or_default();
        let mut kill = Command::new("kill");
        kill.arg("-KILL").arg(&pid).args(children.split_whitespace());
        // Children end by themselves when the postmaster is gone.
        let _sent = output(&mut kill);
        Ok(())
    }

    /// Stops a primary from sending changes to its replicas.
    pub fn hold_back(&self, primary: usize) -> anyhow::Result<()> {
        let children =
            output(Command::new("ps").args(["-o", "pid=,args=", "--ppid", &self.postmaster(primary)?]))?;
        let senders: Vec<&str> = children
            .lines()
            .filter(|line| line.contains("walsender"))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        ensure!(!senders.is_empty(), "the primary has no replicas");
        output(Command::new("kill").arg("-STOP").args(senders))?;
        Ok(())
    }

    fn postmaster(&self, node: usize) -> anyhow::Result<String> {
        let pid = fs::read_to_string(self.home.join(format!("node-{node}/data/postmaster.pid")))?;
        Ok(pid.lines().next().context("postmaster.pid is empty")?.trim().to_owned())
    }

    /// Each node's role, whether it runs, and its lag in bytes.
    fn members(&self) -> anyhow::Result<Vec<Value>> {
        let mut list = as_postgres("patronictl")?;
        list.arg("-c")
            .arg(self.file(0))
            .args(["list", "-f", "json"])
            .env("LC_ALL", "C.UTF-8")
            .current_dir("/");
        let reply: Value = serde_json::from_str(&output(&mut list)?)?;
        Ok(reply.as_array().cloned().unwrap_or_default())
    }

    /// The node that is the primary.
    pub fn primary(&self) -> anyhow::Result<usize> {
        for member in self.members()? {
            if member["Role"] == "Leader" && member["State"] == "running" {
                let node =
                    member["Member"].as_str().and_then(|name| name.strip_prefix("node-")?.parse().ok());
                return node.context("a member has no number");
            }
        }
        bail!("there is no primary")
    }

    /// Waits until there are a primary and two replicas that follow it.
    pub fn wait_until_whole(&self) -> anyhow::Result<()> {
        let is_whole = |members: &[Value]| {
            let running = |member: &&Value| {
                ["running", "streaming"].contains(&member["State"].as_str().unwrap_or_default())
            };
            let replicas = |member: &&Value| member["Role"] != "Leader" && member["Lag in MB"] == 0;
            members.iter().filter(running).count() == NODES
                && members.iter().filter(replicas).count() == NODES - 1
        };
        until("a whole cluster", READY, || self.members().is_ok_and(|members| is_whole(&members)))
    }

    /// Hands the part of the primary over to a replica, in order.
    pub fn switch_over(&self) -> anyhow::Result<()> {
        let primary = self.primary()?;
        let mut switch = as_postgres("patronictl")?;
        switch.arg("-c").arg(self.file(0)).args([
            "switchover",
            "--force",
            "--master",
            &format!("node-{primary}"),
        ]);
        output(switch.env("LC_ALL", "C.UTF-8").current_dir("/"))?;
        Ok(())
    }

    /// A connection string that names all nodes, and takes the primary.
    pub fn url(&self, role: &str) -> String {
        let hosts: Vec<String> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!(
            "postgres://{role}@{}/postgres?sslmode=disable&target_session_attrs=read-write",
            hosts.join(",")
        )
    }

    /// The connection strings of all nodes, as a list of standbys.
    pub fn urls_of_nodes(&self, role: &str) -> String {
        let url = |port: &u16| format!("postgres://{role}@127.0.0.1:{port}/postgres?sslmode=disable");
        self.ports.iter().map(url).collect::<Vec<_>>().join(" ")
    }

    /// Runs SQL on the primary, as the superuser.
    pub fn psql(&self, sql: &str) -> anyhow::Result<String> {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", &self.url("postgres"), "-c", sql]);
        output(&mut psql)
    }
}

impl Drop for Patroni {
    fn drop(&mut self) {
        for node in 0..NODES {
            let _gone = self.kill(node);
        }
    }
}
