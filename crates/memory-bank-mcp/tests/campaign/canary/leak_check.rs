//! Checks every byte of an answer for canaries.
//!
//! No answer contains a canary of the other project, plain or in base64. A key without `read` gets no canary of its own
//! project either, except those that the request itself sent, labels of keys if it may administer keys, and, in replayed
//! answers, canaries that the key sent before. A revoked key gets no canary and no success.

use super::tenant::{Access, CanaryLocation, Persona, Tenant};
use crate::harness::wire::{Answer, Request};

/// The facts that decide which canaries a reply may contain.
pub(crate) struct Rules<'a> {
    pub(crate) own: &'a Tenant,
    pub(crate) others: &'a Tenant,
    pub(crate) persona: &'a Persona,
    /// The rights of the key during the call; `None` = they changed meanwhile.
    pub(crate) access: Option<Access>,
}

/// Checks an answer.
///
/// # Errors
/// Text that the reply must not contain.
pub(crate) fn judge(request: &Request, answer: &Answer, rules: &Rules<'_>) -> Result<(), String> {
    let seen = everything(answer);
    for form in encodings(&rules.others.mark) {
        if let Some(at) = memchr::memmem::find(&seen, form.as_bytes()) {
            return Err(format!("a canary of `{}`: {}", rules.others.slug, excerpt(&seen, at)));
        }
    }
    let Some(access) = rules.access else { return Ok(()) };
    if access.void {
        return check_void(request, answer, &seen, rules);
    }
    if !access.reads {
        return check_without_read(request, &seen, rules);
    }
    Ok(())
}

/// Head and body in lower case. The encodings are compared in lower case, too.
fn everything(answer: &Answer) -> Vec<u8> {
    let mut all = answer.head.clone().into_bytes();
    all.extend_from_slice(&answer.body);
    all.make_ascii_lowercase();
    all
}

/// A mark plain, and in base64 at each of the three possible offsets.
fn encodings(mark: &str) -> [String; 4] {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    let shifted = |shift: usize| {
        let text = STANDARD_NO_PAD.encode(format!("{}{mark}", "_".repeat(shift)));
        // The first and the last characters depend on the neighbouring bytes.
        let first = if shift == 0 { 0 } else { 4 };
        text.chars().take(text.len() - 4).skip(first).collect::<String>().to_ascii_lowercase()
    };
    [mark.to_owned(), shifted(0), shifted(1), shifted(2)]
}

/// Whether a request is about keys, in either of the REST interfaces.
fn of_keys(request: &Request) -> bool {
    ["/api/keys", "/api/v1/keys"].iter().any(|path| request.path.starts_with(path))
}

fn check_without_read(request: &Request, seen: &[u8], rules: &Rules<'_>) -> Result<(), String> {
    let sent = request.text().to_ascii_lowercase();
    for (at, canary) in canaries(seen, &rules.own.mark) {
        let is_label =
            canary.as_bytes().get(rules.own.mark.len()) == Some(&(CanaryLocation::Label.character() as u8));
        let allowed = sent.contains(&canary)
            || (is_label && rules.persona.administers && of_keys(request))
            || (request.stream && rules.persona.has_sent(&canary));
        if !allowed {
            return Err(format!("a canary of its own project, without `read`: {}", excerpt(seen, at)));
        }
    }
    Ok(())
}

/// Calls that need no data may still succeed for some seconds if the notification of a revocation was lost; others may not.
fn check_void(request: &Request, answer: &Answer, seen: &[u8], rules: &Rules<'_>) -> Result<(), String> {
    let sent = request.text().to_ascii_lowercase();
    if let Some((at, _)) =
        canaries(seen, &rules.own.mark).into_iter().find(|(_, canary)| !sent.contains(canary.as_str()))
    {
        return Err(format!("a canary, after the key was revoked: {}", excerpt(seen, at)));
    }
    let names = ["\"filename\"", "\"entity\"", "\"note\"", "\"backupid\""];
    let wants_data = sent.contains("tools/call") && names.iter().any(|word| sent.contains(word));
    let made_key = of_keys(request) && (200..300).contains(&answer.status);
    let done = answer
        .message()
        .is_some_and(|message| message["result"].is_object() && message["result"]["isError"] != true);
    if made_key || (wants_data && done) {
        return Err(format!("a success, after the key was revoked: {}", excerpt(seen, 0)));
    }
    Ok(())
}

/// The canaries of a project in a text, with their offsets; a truncated one counts, too.
pub(crate) fn canaries(seen: &[u8], mark: &str) -> Vec<(usize, String)> {
    memchr::memmem::find_iter(seen, mark.as_bytes())
        .map(|at| {
            let rest = &seen[at + mark.len()..];
            let number = rest.iter().skip(1).take(7).take_while(|byte| byte.is_ascii_digit()).count();
            let length = if rest.first().is_some_and(u8::is_ascii_lowercase) { 1 + number } else { 0 };
            (at, String::from_utf8_lossy(&seen[at..at + mark.len() + length]).into_owned())
        })
        .collect()
}

/// The text around an offset.
fn excerpt(seen: &[u8], at: usize) -> String {
    let from = at.saturating_sub(200);
    let to = (at + 200).min(seen.len());
    format!("…{}…", String::from_utf8_lossy(&seen[from..to]))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::super::tenant::MARK;
    use super::*;
    use crate::harness::random::Random;

    struct Bench {
        own: Tenant,
        others: Tenant,
        persona: Persona,
    }

    impl Bench {
        fn new(scopes: &str) -> Self {
            let mut random = Random::new(1);
            let persona = Persona::new("p".to_owned(), 0, "k".to_owned(), "i".to_owned(), scopes);
            Self { own: Tenant::new("own", &mut random), others: Tenant::new("others", &mut random), persona }
        }

        fn judge(&self, sent: &str, answer: &Answer) -> Result<(), String> {
            let request = Request { method: "POST", body: sent.to_owned(), ..Request::default() };
            let access = Some(self.persona.access());
            let Self { own, others, persona } = self;
            judge(&request, answer, &Rules { own, others, persona, access })
        }
    }

    fn answer(body: &str) -> Answer {
        Answer { status: 200, body: body.as_bytes().to_vec(), complete: true, ..Answer::default() }
    }

    #[test]
    fn a_foreign_canary_is_found_anywhere_in_a_reply() {
        let bench = Bench::new("");
        let canary = bench.others.canary(CanaryLocation::Text);
        assert_eq!(bench.judge("", &answer("nothing")), Ok(()));
        let mut found = vec![
            answer(&format!("data: {{\"x\": \"{canary}\"}}")),
            answer(&canary.to_uppercase()),
            answer(&canary.chars().take(MARK).collect::<String>()),
            Answer { head: format!("HTTP/1.1 200 OK\r\nX-Who: {canary}\r\n"), ..Answer::default() },
        ];
        found.extend(["", "a", "ab"].map(|before| answer(&STANDARD.encode(format!("{before}{canary}")))));
        for answer in &found {
            bench.judge("", answer).expect_err("a leak");
        }
        // A leak stays a leak if the key sent the text itself.
        bench.judge(&canary, &answer(&canary)).expect_err("a leak");
    }

    #[test]
    fn a_key_without_read_may_get_back_only_its_own_canaries() {
        let bench = Bench::new("write");
        let (sent, kept) = (bench.own.canary(CanaryLocation::Text), bench.own.canary(CanaryLocation::Text));
        assert_eq!(bench.judge(&sent, &answer(&sent)), Ok(()));
        bench.judge(&sent, &answer(&format!("{sent} {kept}"))).expect_err("a leak");
        assert_eq!(Bench::new("read").judge("", &answer(&kept)), Ok(()));
    }

    #[test]
    fn a_revoked_key_may_get_nothing() {
        let bench = Bench::new("");
        bench.persona.change(true, true);
        let done = answer(r#"{"result": {"isError": false}}"#);
        let write = r#"{"method": "tools/call", "params": {"arguments": {"filename": "a.md"}}}"#;
        bench.judge(write, &done).expect_err("a success");
        bench.judge("", &answer(&bench.own.canary(CanaryLocation::Text))).expect_err("a leak");
        assert_eq!(bench.judge(r#"{"method": "ping"}"#, &done), Ok(()));
    }

    #[test]
    fn compressed_bodies_are_searched() {
        let (listener, canary) = (std::net::TcpListener::bind("127.0.0.1:0").unwrap(), "bcdfghjkmnpq");
        let address = listener.local_addr().unwrap().to_string();
        let serving = std::thread::spawn(move || {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(canary.as_bytes()).unwrap();
            let packed = packed.finish().unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            std::io::Read::read(&mut stream, &mut [0; 4096]).unwrap();
            let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            for byte in packed {
                stream.write_all(&[b"1\r\n".as_slice(), &[byte], b"\r\n"].concat()).unwrap();
            }
            stream.write_all(b"0\r\n\r\n").unwrap();
        });
        let request = Request { method: "GET", path: "/".to_owned(), ..Request::default() };
        let answer = crate::harness::wire::Connection::default().exchange(&address, "", &request);
        serving.join().unwrap();
        assert!(answer.complete);
        assert_eq!(answer.text(), canary);
    }
}
