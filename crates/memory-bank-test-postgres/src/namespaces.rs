//! A network for one test: network namespaces with one address each, and a router between them. The way between two of them
//! can be cut in either direction. The packets then vanish at the router: neither end is told, as when a cable is unplugged
//! somewhere between them, and connections that were open go on after the cut if they have not timed out.
//!
//! The router is the namespace of the process, which must be one of its own (`unshare --net`). No namespace has a name. Each one is held by
//! a process that ends when its standard input does, that is at the latest with this process, so that nothing is left over even
//! after a kill.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use crate::Place;
use crate::place::installed;

/// An address that no place has.
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 213, 255, 254);

/// The namespaces beside that of this process. Dropped, they are gone with the last program in them.
#[derive(Debug, Default)]
pub struct Namespaces {
    holders: Vec<Child>,
}

/// Which packets vanish between two places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// All.
    Both,
    /// Those from the first place to the second one.
    There,
    /// Those from the second place to the first one.
    Back,
}

impl Namespaces {
    /// Makes this process's namespace a router.
    ///
    /// # Errors
    /// The system does not let this process do that.
    pub fn new() -> Result<Self, String> {
        ip(&["link", "set", "lo", "up"])?;
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")
            .map_err(|error| format!("ip_forward: {error}"))?;
        // A kernel without such rules shows it here, not at the first cut.
        for change in ["add", "delete"] {
            change_rule(change, NOBODY, NOBODY)?;
        }
        Ok(Self::default())
    }

    /// Adds a namespace.
    ///
    /// # Errors
    /// The system does not let this process do that.
    pub fn add(&mut self) -> Result<Place, String> {
        let number = self.holders.len() + 1;
        let mut holder = Command::new(installed("unshare"))
            .args(["--net", "--", "sh", "-c", "echo begun; exec cat >/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("unshare: {error}"))?;
        let mut begun = String::new();
        let read = holder.stdout.take().map(|output| BufReader::new(output).read_line(&mut begun));
        let id = holder.id();
        self.holders.push(holder);
        if !matches!(read, Some(Ok(_))) || begun != "begun\n" {
            return Err("`unshare --net` is refused: run this as root, in a machine or container that may make network namespaces".to_owned());
        }
        let [router, own] =
            [1, 2].map(|host| Ipv4Addr::new(10, 213, u8::try_from(number).unwrap_or(0), host));
        let place = Place::of(id, own);
        let cable = format!("way{number}");
        ip(&["link", "add", &cable, "type", "veth", "peer", "name", "way", "netns", &id.to_string()])?;
        ip(&["address", "add", &format!("{router}/30"), "dev", &cable])?;
        ip(&["link", "set", &cable, "up"])?;
        for words in [
            ["link", "set", "lo", "up"].as_slice(),
            &["address", "add", &format!("{own}/30"), "dev", "way"],
            &["link", "set", "way", "up"],
            &["route", "add", "default", "via", &router.to_string()],
        ] {
            run(place.command(installed("ip")), words)?;
        }
        Ok(place)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for holder in &mut self.holders {
            let _ended = holder.kill();
            let _ended = holder.wait();
        }
    }
}

impl Direction {
    /// From now on the packets between two namespaces vanish in this direction.
    ///
    /// # Panics
    /// `ip` fails.
    pub fn cut(self, first: &Place, second: &Place) {
        self.change("add", first, second);
    }

    /// They pass again.
    ///
    /// # Panics
    /// `ip` fails.
    pub fn mend(self, first: &Place, second: &Place) {
        self.change("delete", first, second);
    }

    fn change(self, change: &str, first: &Place, second: &Place) {
        let ways = [(Self::Back, first, second), (Self::There, second, first)];
        for (_, from, to) in ways.into_iter().filter(|(other, ..)| *other != self) {
            change_rule(change, from.address(), to.address()).expect("a rule of the router");
        }
    }
}

/// Adds or deletes the rule by which packets vanish. The router looks at its rules for each packet, also for those of open connections.
fn change_rule(change: &str, from: Ipv4Addr, to: Ipv4Addr) -> Result<(), String> {
    let (from, to) = (from.to_string(), to.to_string());
    ip(&["rule", change, "from", &from, "to", &to, "priority", "100", "blackhole"])
}

fn ip(words: &[&str]) -> Result<(), String> {
    run(Command::new(installed("ip")), words)
}

fn run(mut ip: Command, words: &[&str]) -> Result<(), String> {
    let output = ip.args(words).stdin(Stdio::null()).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}
