//! A TCP proxy that counts round trips.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// How long an answer is held back, so that everything a client sends without waiting for it counts as one trip.
const DELAY: Duration = Duration::from_millis(30);

/// A proxy on a free port of 127.0.0.1.
#[derive(Debug)]
pub struct CountingProxy {
    port: u16,
    trips: Arc<AtomicUsize>,
}

impl CountingProxy {
    /// Passes everything on to this port of 127.0.0.1.
    #[must_use]
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("its number").port();
        let trips = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&trips);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(("127.0.0.1", target)).expect("the target");
                let answered = Arc::new(AtomicBool::new(true));
                pass(&client, &server, {
                    let (answered, counted) = (Arc::clone(&answered), Arc::clone(&counted));
                    // A message of the client after a reply starts another round trip.
                    move || {
                        if answered.swap(false, Ordering::SeqCst) {
                            counted.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
                pass(&server, &client, move || {
                    thread::sleep(DELAY);
                    answered.store(true, Ordering::SeqCst);
                });
            }
        });
        Self { port, trips }
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The round trips since the last call.
    pub fn take(&self) -> usize {
        self.trips.swap(0, Ordering::SeqCst)
    }
}

fn pass(from: &TcpStream, to: &TcpStream, before: impl Fn() + Send + 'static) {
    from.set_nodelay(true).expect("a socket");
    let (mut from, mut to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
    thread::spawn(move || {
        let mut buffer = vec![0; 256 * 1024];
        while let Ok(length) = from.read(&mut buffer) {
            if length == 0 {
                break;
            }
            before();
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        // The other direction ends as well: the ends of a broken connection must both be notified.
        let _closed = to.shutdown(Shutdown::Both);
    });
}
