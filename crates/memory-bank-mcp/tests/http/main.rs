//! The binary as a server of HTTP, driven over real sockets.

mod client;
mod door;
mod keys;
mod process;
mod sessions;
