//! Proves that a campaign detects leaks: it runs against stub servers, one of which leaks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use serde_json::json;

use super::run::Campaign;
use super::tenant::{CanaryLocation, Persona, Tenant, locked};
use crate::harness::random::Random;

/// A server that answers everything with this text.
fn serve(text: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let text: Arc<str> = text.into();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let text = Arc::clone(&text);
            std::thread::spawn(move || answer(&stream, &text));
        }
    });
    address
}

/// Answers until the client disconnects.
fn answer(stream: &TcpStream, text: &str) -> Option<()> {
    let mut lines = BufReader::new(stream);
    loop {
        let (mut length, mut status) = (0, "200 OK");
        loop {
            let mut line = String::new();
            lines.read_line(&mut line).ok().filter(|read| *read > 0)?;
            if let Some(number) = line.strip_prefix("Content-Length: ") {
                length = number.trim().parse().unwrap();
            }
            if line.contains(" /api/keys/") {
                status = "404 Not Found";
            }
            if line.trim().is_empty() {
                break;
            }
        }
        lines.read_exact(&mut vec![0; length]).ok()?;
        let body = json!({"jsonrpc": "2.0", "id": 1, "result": {"text": text}}).to_string();
        let head =
            format!("HTTP/1.1 {status}\r\nMcp-Session-Id: stub\r\nContent-Length: {}\r\n\r\n", body.len());
        (&*stream).write_all(format!("{head}{body}").as_bytes()).ok()?;
    }
}

/// A short run of a reader and a writer of `alpha` against a server that answers with a text made from both projects.
fn run(text: impl Fn(&[Tenant; 2]) -> String) -> Campaign {
    let mut random = Random::new(7);
    let tenants = ["alpha", "beta"].map(|slug| Tenant::new(slug, &mut random));
    let address = serve(text(&tenants));
    let mut campaign = Campaign::new(7, 60, tenants, vec![address]);
    campaign.tools = vec![json!({"name": "get_instructions", "inputSchema": {"type": "object"}})];
    for scopes in ["", "write"] {
        let persona = Persona::new(format!("p, {scopes}"), 0, "k".to_owned(), "i".to_owned(), scopes);
        campaign.personas.write().push(Arc::new(persona));
    }
    campaign.run(|| {});
    assert!(locked(&campaign.tally).total().succeeded > 40);
    campaign
}

#[test]
fn a_leaking_server_is_detected_with_seed_and_call() {
    let report = run(|[_, beta]| beta.canary(CanaryLocation::Text)).leaks().expect("a leak");
    assert!(
        report.contains("a canary of `beta`") && report.contains("seed 7") && report.contains("POST /mcp"),
        "{report}"
    );
    let report = run(|[alpha, _]| alpha.canary(CanaryLocation::Text)).leaks().expect("a leak");
    assert!(report.contains("key of p, write") && !report.contains("key of p,  ("), "{report}");
}

#[test]
fn a_correct_server_is_not_reported() {
    assert_eq!(run(|_| "nothing".to_owned()).leaks(), None);
}
