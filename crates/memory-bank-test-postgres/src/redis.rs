//! A real Redis for tests, one process each, on a port of its own.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::Place;

/// How long it may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A Redis that keeps nothing on the disk. Dropped, it is gone.
#[derive(Debug)]
pub struct TestRedis {
    process: Child,
    place: Place,
    port: u16,
}

impl TestRedis {
    /// A Redis on a free port.
    #[must_use]
    pub fn start() -> Self {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        Self::start_on(port)
    }

    /// A Redis on this port of 127.0.0.1.
    #[must_use]
    pub fn start_on(port: u16) -> Self {
        Self::start_with(port, &[])
    }

    /// The same with more options of `redis-server`.
    #[must_use]
    pub fn start_with(port: u16, options: &[&str]) -> Self {
        Self::start_at(&Place::here(), port, options)
    }

    /// The same at another place.
    #[must_use]
    pub fn start_at(place: &Place, port: u16, options: &[&str]) -> Self {
        let address = place.address().to_string();
        let process = place
            .command("redis-server")
            .args(["--port", &port.to_string(), "--bind", &address, "--save", "", "--appendonly", "no"])
            // It has no password; without this it would serve its own machine only.
            .args(["--protected-mode", "no"])
            .args(options)
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is not installed: run scripts/setup");
        let redis = Self { process, place: place.clone(), port };
        let began = Instant::now();
        while TcpStream::connect((place.address(), port)).is_err() {
            assert!(began.elapsed() < START_TIMEOUT, "Redis did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        redis
    }

    /// The connection string.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}:{}", self.place.address(), self.port)
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process, for tests that stop and continue it.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _ended = self.process.wait();
    }
}
