//! The ways that are cut, as they must behave for the other tests to mean anything.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use memory_bank_test_postgres::{Direction, Link, Place};

use super::network::{Network, in_own_network};

/// How long an open connection may take to go on after a cut: its next repetition comes after a time that doubles.
const RESUMED: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_millis(300);

/// A server that sends back each byte that it gets, and counts them.
fn echo(place: &Place) -> (SocketAddrV4, Arc<AtomicUsize>) {
    let listener = place.within(|| TcpListener::bind((place.address(), 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    let received = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&received);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let counted = Arc::clone(&counted);
            std::thread::spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).is_ok() {
                    counted.fetch_add(1, Ordering::SeqCst);
                    if stream.write_all(&byte).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (SocketAddrV4::new(place.address(), port), received)
}

fn answers(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    stream.write_all(b"x").is_ok() && stream.read_exact(&mut [0]).is_ok()
}

#[test]
fn a_cut_forwarder_is_silent_and_passes_new_connections_after_that() {
    let link = Link::to(echo(&Place::here()).0.port());
    let connect = || TcpStream::connect(link.address()).unwrap();
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

#[test]
fn packets_that_a_cut_concerns_vanish_and_an_open_connection_goes_on_after_it() {
    in_own_network(
        "consistency::links::packets_that_a_cut_concerns_vanish_and_an_open_connection_goes_on_after_it",
        |network| {
            let Network::Namespaces(mut namespaces) = network else { return };
            let [near, far, other] = [(); 3].map(|()| namespaces.add().unwrap());
            let (address, received) = echo(&far);
            for direction in [Direction::Both, Direction::There, Direction::Back] {
                let connect = |place: &Place| place.within(|| TcpStream::connect(address)).unwrap();
                let (mut open, mut bystander) = (connect(&near), connect(&other));
                assert!(answers(&mut open));
                let before = received.load(Ordering::SeqCst);
                direction.cut(&near, &far);
                // A byte that was written vanishes without an error.
                open.write_all(b"x").unwrap();
                assert!(open.read_exact(&mut [0]).is_err(), "{direction:?}: an open connection passed");
                let arrived = received.load(Ordering::SeqCst) - before;
                assert_eq!(arrived, usize::from(direction == Direction::Back), "{direction:?}");
                assert!(!near.reaches(address, SILENCE), "{direction:?}: a new connection passed");
                assert!(answers(&mut bystander), "{direction:?}: another way was cut");
                direction.mend(&near, &far);
                open.set_read_timeout(Some(RESUMED)).unwrap();
                open.read_exact(&mut [0]).unwrap();
                assert!(near.reaches(address, RESUMED) && answers(&mut open), "{direction:?}");
            }
        },
    );
}
