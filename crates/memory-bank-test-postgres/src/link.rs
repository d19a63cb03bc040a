//! A network between two programs that can be cut: a forwarder on loopback. While it is cut, nothing passes
//! and nothing is refused, as when a cable is unplugged; after that the old connections stay silent, as behind a firewall that has
//! forgotten them, and new ones pass.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How often a waiting forwarder looks whether it may go on.
const PAUSE: Duration = Duration::from_millis(5);

struct State {
    /// How often the link was cut; a connection passes while this has the value that it had at its beginning.
    cuts: AtomicU64,
    is_cut: AtomicBool,
    is_over: AtomicBool,
}

/// Forwards connections to a port until it is dropped.
pub struct Link {
    address: SocketAddrV4,
    state: Arc<State>,
}

impl Link {
    /// A link to a port of 127.0.0.1.
    ///
    /// # Panics
    /// There is no free port.
    #[must_use]
    pub fn to(target: u16) -> Self {
        Self::between(Ipv4Addr::LOCALHOST, SocketAddrV4::new(Ipv4Addr::LOCALHOST, target))
    }

    /// A link from an address of this machine to another one.
    ///
    /// # Panics
    /// There is no free port.
    #[must_use]
    pub fn between(here: Ipv4Addr, target: SocketAddrV4) -> Self {
        let listener = TcpListener::bind((here, 0)).expect("a free port");
        let address = SocketAddrV4::new(here, listener.local_addr().expect("the port").port());
        let state = Arc::new(State {
            cuts: AtomicU64::new(0),
            is_cut: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&shared);
                std::thread::spawn(move || forward(client, target, &state));
            }
        });
        Self { address, state }
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The address to connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// From now on nothing passes.
    pub fn cut(&self) {
        self.state.is_cut.store(true, Ordering::SeqCst);
        self.state.cuts.fetch_add(1, Ordering::SeqCst);
    }

    /// New connections pass again.
    pub fn mend(&self) {
        self.state.is_cut.store(false, Ordering::SeqCst);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        self.cut();
        self.mend();
        // Wakes the listener.
        let _connected = TcpStream::connect(self.address);
    }
}

/// Connects a client with the target, as soon as the link passes.
fn forward(client: TcpStream, target: SocketAddrV4, state: &Arc<State>) {
    while state.is_cut.load(Ordering::SeqCst) && !state.is_over.load(Ordering::SeqCst) {
        std::thread::sleep(PAUSE);
    }
    let cuts = state.cuts.load(Ordering::SeqCst);
    let Ok(server) = TcpStream::connect(target) else { return };
    let _slower = (client.set_nodelay(true), server.set_nodelay(true));
    let (Ok(other_client), Ok(other_server)) = (client.try_clone(), server.try_clone()) else { return };
    let shared = Arc::clone(state);
    std::thread::spawn(move || pass(other_server, other_client, cuts, &shared));
    pass(client, server, cuts, state);
}

/// Passes bytes from one stream to another one until it ends, or until the link was cut.
fn pass(mut from: TcpStream, mut to: TcpStream, cuts: u64, state: &State) {
    let mut bytes = [0; 16 * 1024];
    loop {
        let read = from.read(&mut bytes).unwrap_or(0);
        if state.cuts.load(Ordering::SeqCst) != cuts {
            // Silent for ever. The streams stay open until the test is over.
            while !state.is_over.load(Ordering::SeqCst) {
                std::thread::sleep(PAUSE * 10);
            }
            return;
        }
        if read == 0 || to.write_all(bytes.get(..read).unwrap_or_default()).is_err() {
            let _closed = (from.shutdown(Shutdown::Read), to.shutdown(Shutdown::Write));
            return;
        }
    }
}
