//! Requests over HTTP to a server on a database: MCP with and without sessions, the REST interface, OAuth, the console's session,
//! and streams. An input names what opens something by a [placeholder](placeholders).

mod fixture;
mod issuer;
mod placeholders;
mod sign_in;
mod wire;

use std::sync::{Mutex, OnceLock, PoisonError};

use self::fixture::Site;
use self::placeholders::{Placeholders, can_read, of_input};
use self::wire::{Reply, Request};
use crate::events::check_written;

/// A server, and what opens something there.
struct Fixture {
    site: Site,
    placeholders: Placeholders,
}

/// One request: a head, an empty line, a body. The length of the body is set here, so that every request is complete.
pub(crate) fn requests(data: &[u8]) {
    let _ = status(data);
}

/// The status of the reply to an input; none of an input that is not a request, or if the server closed the connection.
pub(crate) fn status(data: &[u8]) -> Option<u16> {
    static FIXTURE: OnceLock<Mutex<Fixture>> = OnceLock::new();
    let fixture = FIXTURE
        .get_or_init(|| Mutex::new(Fixture { site: Site::start(), placeholders: Placeholders::default() }));
    // After an input that failed a rule, the others are tried all the same.
    fixture.lock().unwrap_or_else(PoisonError::into_inner).check(data)
}

impl Fixture {
    fn check(&mut self, data: &[u8]) -> Option<u16> {
        let present = of_input(data);
        let values = self.placeholders.values(&self.site, &present);
        let request = Request::of(data, &values)?;
        let reply = self.site.exchange(&request);
        self.check_reply(&reply, &present);
        self.check_foreign_session(&request, &reply, &values);
        self.check_direct_call(&request, &reply);
        // A code is exchanged once; a refresh token may be used again for some seconds.
        if present.contains(&"@CODE@")
            && !present.contains(&"@REFRESH@")
            && reply.0.contains("\"access_token\"")
        {
            let again = self.site.exchange(&request);
            assert!(!again.0.contains("\"access_token\""), "a code was exchanged twice: {}", again.0);
        }
        self.placeholders.after(&present, &request, &reply);
        let (method, _) = request.line();
        let is_change =
            reply.status().is_some_and(|status| status < 300) && !matches!(method.as_str(), "GET" | "HEAD");
        if is_change
            && can_read(&present)
            && data.windows(8).any(|part| part.eq_ignore_ascii_case(b"progress"))
        {
            self.site.plant(&self.site.own);
        }
        reply.status()
    }

    /// The rules for every reply.
    fn check_reply(&self, reply: &Reply, present: &[&str]) {
        let text = &reply.0;
        assert!(!text.contains(&self.site.foreign.canary), "the reply has a text of another project: {text}");
        assert!(
            can_read(present) || !text.contains(&self.site.own.canary),
            "a reply without a credential has a text of the project: {text}"
        );
        assert_ne!(reply.status(), Some(500), "{text}");
        assert!(!text.contains("\"code\":-32603"), "{text}");
        if let Some((stream, is_whole)) = reply.events() {
            check_written(&stream, is_whole);
        }
    }

    /// A call that the server makes itself is answered as the SDK's service answers it, to which a member beside the others leads.
    fn check_direct_call(&self, request: &Request, reply: &Reply) {
        const READS: [&str; 3] = ["read_memory_bank_file", "list_memory_bank_files", "graph_search"];
        let Some(beside) = request.with_member_beside("tools/call", &READS) else { return };
        let of_service = self.site.exchange(&beside);
        assert_eq!((reply.status(), reply.message()), (of_service.status(), of_service.message()));
    }

    /// A session of another project is as good as none.
    fn check_foreign_session(&self, request: &Request, reply: &Reply, values: &[wire::Value]) {
        let Some((_, foreign)) = values.iter().find(|(name, _)| *name == "@FOREIGN@") else { return };
        let (method, target) = request.line();
        let needs_session = target == "/mcp" && matches!(method.as_str(), "GET" | "HEAD" | "DELETE");
        if needs_session && request.has_line(&format!("Mcp-Session-Id: {foreign}")) {
            let status = reply.status().unwrap_or_default();
            assert!(status == 0 || status >= 400, "a session of another project was used: {}", reply.0);
        }
    }
}
