//! The links that are cut, as they must behave for the other tests to mean anything.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use memory_bank_test_postgres::Link;

/// A server that sends back what it gets.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).and_then(|()| stream.write_all(&byte)).is_ok() {}
            });
        }
    });
    port
}

fn answers(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stream.write_all(b"x").is_ok() && stream.read_exact(&mut [0]).is_ok()
}

#[test]
fn a_cut_link_is_silent_and_passes_new_connections_after_that() {
    let link = Link::to(echo());
    let connect = || TcpStream::connect(("127.0.0.1", link.port())).unwrap();
    let mut old = connect();
    assert!(answers(&mut old));
    link.cut();
    let mut new = connect();
    assert!(!answers(&mut old), "what was open passed");
    assert!(!answers(&mut new), "a new connection passed");
    link.mend();
    assert!(!answers(&mut old), "the old connection came back");
    assert!(answers(&mut connect()));
}
