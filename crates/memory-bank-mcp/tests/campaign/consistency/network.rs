//! The network between servers, PostgreSQL, its standbys and Redis, of which each way can be cut.
//!
//! A test has network namespaces where the system permits them, and the packets of a way that is cut vanish. As that needs a namespace for
//! the test itself, it runs once more in a process of its own there. Otherwise a way is a forwarder; the run says so, and fails under
//! continuous integration. Some ways
//! are forwarders in any case: one that was cut has forgotten the connections that it had, as a firewall has after a failure.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use memory_bank_test_postgres::{Direction, Link, Namespaces, Place};
use tempfile::TempDir;

use crate::harness::leave_out;

/// `forwarders` = no namespaces. The test itself sets it where it runs once more: to a folder with the name of the network namespace
/// outside and, once the test has begun in its own, of that one.
const VARIABLE: &str = "MEMORY_BANK_CAMPAIGN_NETWORK";
const OUTSIDE: &str = "outside";
const INSIDE: &str = "inside";
/// The ways to a namespace: those of root, and those of other users where the system has namespaces of users.
const UNSHARE: [&[&str]; 2] = [&["--net"], &["--user", "--map-current-user", "--keep-caps", "--net"]];
/// How long a way that passes may take to answer on a busy machine, and how long one must be silent to count as cut.
const ANSWER: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_millis(150);
/// What makes Redis and PostgreSQL answer: a command, and the request for TLS.
pub(crate) const TO_REDIS: &[u8] = b"PING\r\n";
pub(crate) const TO_POSTGRESQL: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];

/// The network of a test.
pub(crate) enum Network {
    Namespaces(Namespaces),
    Forwarders,
}

/// The way from one place to a server at another one.
pub(crate) enum Way {
    Packets { from: Place, to: Place, port: u16 },
    Forwarder { link: Link, hello: &'static [u8] },
}

/// Runs the test of this name in a network of its own.
pub(crate) fn in_own_network(name: &str, test: impl FnOnce(Network)) {
    let wanted = std::env::var_os(VARIABLE);
    if let Some(folder) = wanted.as_deref().filter(|value| *value != OsStr::new("forwarders")) {
        let outside = fs::read_to_string(Path::new(folder).join(OUTSIDE)).expect("`forwarders`, or nothing");
        assert_ne!(namespace(), outside, "the network of the machine is not changed");
        match namespaces() {
            Ok(namespaces) => {
                fs::write(Path::new(folder).join(INSIDE), namespace()).unwrap();
                test(Network::Namespaces(namespaces));
            }
            Err(reason) => println!("no network namespaces: {reason}"),
        }
        return;
    }
    if wanted.is_none() && cfg!(target_os = "linux") {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join(OUTSIDE), namespace()).unwrap();
        for way in UNSHARE {
            let mut again = Command::new("unshare");
            again.args(way).arg("--").arg(std::env::current_exe().unwrap());
            let ran = again.args([name, "--exact", "--nocapture"]).env(VARIABLE, folder.path()).status();
            if folder.path().join(INSIDE).exists() {
                assert!(ran.unwrap().success(), "in network namespaces of its own");
                return;
            }
        }
    }
    if wanted.is_none() {
        leave_out(
            "without network namespaces (Debian's iproute2 and util-linux) connections are cut at forwarders",
        );
    } else {
        println!("This run cuts connections at forwarders, as {VARIABLE} says.");
    }
    test(Network::Forwarders);
}

/// The name of the network namespace of this process.
fn namespace() -> String {
    fs::read_link("/proc/self/ns/net").unwrap().to_str().unwrap().to_owned()
}

/// Namespaces, if the system permits all that they need.
fn namespaces() -> Result<Namespaces, String> {
    let mut namespaces = Namespaces::new()?;
    namespaces.add()?;
    Ok(namespaces)
}

impl Network {
    /// A place for a program.
    pub(crate) fn place(&mut self) -> Place {
        match self {
            Self::Namespaces(namespaces) => namespaces.add().unwrap(),
            Self::Forwarders => Place::here(),
        }
    }

    /// The way from one place to a program at another one.
    pub(crate) fn way(&self, from: &Place, to: &Place, port: u16, hello: &'static [u8]) -> Way {
        match self {
            Self::Namespaces(_) => Way::Packets { from: from.clone(), to: to.clone(), port },
            Self::Forwarders => Way::forwarder(from, SocketAddrV4::new(to.address(), port), hello),
        }
    }

    /// What it is made of.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Self::Namespaces(_) => "partitions between network namespaces: packets vanish",
            Self::Forwarders => "partitions at forwarders, without network namespaces",
        }
    }
}

impl Way {
    /// A forwarder, from the address at which a place reaches this process.
    pub(crate) fn forwarder(from: &Place, to: SocketAddrV4, hello: &'static [u8]) -> Self {
        Self::Forwarder { link: Link::between(from.router(), to), hello }
    }

    /// The address of the program at its end.
    pub(crate) fn address(&self) -> SocketAddrV4 {
        match self {
            Self::Packets { to, port, .. } => SocketAddrV4::new(to.address(), *port),
            Self::Forwarder { link, .. } => link.address(),
        }
    }

    /// Whether it is cut by its packets, in one direction or both.
    pub(crate) fn is_of_packets(&self) -> bool {
        matches!(self, Self::Packets { .. })
    }

    /// A forwarder has one direction only: both.
    fn cut(&self, direction: Direction) {
        match self {
            Self::Packets { from, to, .. } => direction.cut(from, to),
            Self::Forwarder { link, .. } => link.cut(),
        }
    }

    fn mend(&self, direction: Direction) {
        match self {
            Self::Packets { from, to, .. } => direction.mend(from, to),
            Self::Forwarder { link, .. } => link.mend(),
        }
    }

    /// Whether a new connection passes within a time.
    fn passes(&self, within: Duration) -> bool {
        match self {
            Self::Packets { from, to, port } => from.reaches(SocketAddrV4::new(to.address(), *port), within),
            Self::Forwarder { link, hello } => {
                let mut stream = TcpStream::connect(link.address()).unwrap();
                stream.set_read_timeout(Some(within)).unwrap();
                stream.write_all(hello).is_ok() && stream.read_exact(&mut [0]).is_ok()
            }
        }
    }
}

/// Cuts ways for a while, and makes sure that they carried nothing meanwhile and carry again afterwards.
pub(crate) fn cut(ways: &[&Way], direction: Direction, outage: Duration) {
    let began = Instant::now();
    ways.iter().for_each(|way| way.cut(direction));
    for way in ways {
        assert!(!way.passes(SILENCE), "a way that is cut passes: {}", way.address());
    }
    std::thread::sleep(outage.saturating_sub(began.elapsed()));
    ways.iter().for_each(|way| way.mend(direction));
    for way in ways {
        assert!(way.passes(ANSWER), "a way does not pass any more: {}", way.address());
    }
}
