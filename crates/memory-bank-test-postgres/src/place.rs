//! Where a program of a test runs: on the loopback interface of this process, or in a network namespace with an address of its own.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::panic::resume_unwind;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A place for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    address: Ipv4Addr,
    /// A process that is there; `None` = the namespace of this process.
    holder: Option<u32>,
}

impl Place {
    /// The loopback interface of this process.
    #[must_use]
    pub fn here() -> Self {
        Self { address: Ipv4Addr::LOCALHOST, holder: None }
    }

    /// The namespace of a process that lives as long as the place is used.
    pub(crate) fn of(holder: u32, address: Ipv4Addr) -> Self {
        Self { address, holder: Some(holder) }
    }

    /// The address that programs at this place listen on.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The address at which programs there reach this process.
    #[must_use]
    pub fn router(&self) -> Ipv4Addr {
        let [first, second, third, _] = self.address.octets();
        Ipv4Addr::new(first, second, third, 1)
    }

    /// A command that runs a program there. The process that is started becomes the program.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let Some(holder) = self.holder else { return Command::new(program) };
        let mut command = Command::new(installed("nsenter"));
        command.arg(format!("--net=/proc/{holder}/ns/net")).arg("--").arg(program);
        command
    }

    /// Runs something there, on a thread of its own. The threads that it starts are there, too.
    ///
    /// # Panics
    /// The namespace is gone, or `act` panics.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let there = || {
            if let Some(holder) = self.holder {
                enter(holder);
            }
            act()
        };
        std::thread::scope(|scope| scope.spawn(there).join()).unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Whether a program there can open a connection to this address within a time.
    ///
    /// # Panics
    /// The connection is refused: then nothing is known about the way to the address.
    #[must_use]
    pub fn reaches(&self, address: SocketAddrV4, within: Duration) -> bool {
        match self.within(|| TcpStream::connect_timeout(&address.into(), within)) {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::TimedOut => false,
            Err(error) => panic!("a connection to {address}: {error}"),
        }
    }
}

/// Moves this thread to the network namespace of a process.
#[cfg(target_os = "linux")]
fn enter(holder: u32) {
    use std::os::fd::AsFd;

    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    let namespace = std::fs::File::open(format!("/proc/{holder}/ns/net")).expect("a network namespace");
    let moved = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
    moved.expect("a network namespace that may be entered");
}

#[cfg(not(target_os = "linux"))]
fn enter(_holder: u32) {
    unreachable!("network namespaces are Linux's");
}

/// The path of a program that the search path of an ordinary user, or an empty one, may not lead to.
pub(crate) fn installed(program: &str) -> String {
    let mut paths =
        ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map(|folder| format!("{folder}/{program}")).into_iter();
    paths.find(|path| Path::new(path).exists()).unwrap_or_else(|| program.to_owned())
}
