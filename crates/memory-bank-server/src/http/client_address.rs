//! The address of a client.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;

use crate::http::forwarded;

/// The other end of the connection that a request came over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerAddress(pub(crate) SocketAddr);

/// The client's address: from the outermost trusted proxy, or the other end of the socket.
pub(crate) fn client_address(request: &Request, hops: usize) -> Option<IpAddr> {
    let socket = request.extensions().get::<PeerAddress>().map(|info| info.0.ip());
    forwarded::address(request.headers(), hops).or(socket)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::HeaderValue;

    use super::*;

    fn address(forwarded: &[&str], hops: usize) -> Option<String> {
        let mut request = Request::new(Body::empty());
        for value in forwarded {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            request.headers_mut().append("x-forwarded-for", value);
        }
        request.extensions_mut().insert(PeerAddress(SocketAddr::from(([10, 0, 0, 9], 1))));
        client_address(&request, hops).map(|address| address.to_string())
    }

    #[test]
    fn the_client_address_is_the_one_seen_by_the_outermost_trusted_proxy() {
        assert_eq!(address(&["1.1.1.1, 2.2.2.2"], 1).as_deref(), Some("2.2.2.2"));
        assert_eq!(address(&["1.1.1.1", "2.2.2.2"], 2).as_deref(), Some("1.1.1.1"));
        assert_eq!(address(&["1.1.1.1"], 0).as_deref(), Some("10.0.0.9"));
        assert_eq!(address(&["1.1.1.1"], 2).as_deref(), Some("10.0.0.9"));
        assert_eq!(address(&["1.1.1.1, 2.2.2.2:5678"], 1).as_deref(), Some("2.2.2.2"));
        assert_eq!(address(&["1.1.1.1, [2001:db8::1]:443"], 1).as_deref(), Some("2001:db8::1"));
        assert_eq!(address(&["nonsense"], 1).as_deref(), Some("10.0.0.9"));
        assert_eq!(address(&["\u{e4}\u{fffd}, 2.2.2.2"], 1).as_deref(), Some("2.2.2.2"));
        assert_eq!(address(&["\u{e4}, 1.1.1.1", "2.2.2.2"], 2).as_deref(), Some("1.1.1.1"));
        assert_eq!(address(&[], 1).as_deref(), Some("10.0.0.9"));
    }
}
