//! Cursors of lists: an opaque text that a reply contains and the same call takes back. It is bound to its call, so
//! that it cannot be used for another list.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memory_bank_core::document::Etag;
use memory_bank_core::limits;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reply::Failure;

/// The list of a cursor: the tool and the arguments that decide its content.
pub(super) struct Listing(String);

#[derive(Serialize, Deserialize)]
struct Written<P> {
    of: String,
    at: P,
}

impl Listing {
    /// The list of this tool with these arguments in this bank. The length of a page is not part of it.
    pub(super) fn new(tool: &str, bank: &str, arguments: &Value) -> Self {
        let text = format!("{tool}\n{bank}\n{arguments}");
        Self(Etag::of(&text).to_string())
    }

    /// A cursor for the position at which this list continues.
    pub(super) fn cursor<P: Serialize>(&self, at: P) -> Result<String, Failure> {
        let position = serde_json::to_string(&at).map_err(|error| Failure::Internal(error.to_string()))?;
        let written = Written { of: self.seal(&position), at };
        let text = serde_json::to_vec(&written).map_err(|error| Failure::Internal(error.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode(text))
    }

    /// The position of a cursor of this list; the beginning without one.
    ///
    /// # Errors
    /// The cursor belongs to another list.
    pub(super) fn position<P>(&self, cursor: Option<&str>) -> Result<P, Failure>
    where
        P: Serialize + for<'de> Deserialize<'de> + Default,
    {
        let Some(cursor) = cursor else { return Ok(P::default()) };
        self.parse(cursor.trim()).ok_or_else(|| {
            Failure::unquoted(
                "`cursor` does not belong to this call; send the `nextCursor` of the last reply with the same other \
                 arguments, or leave it out to begin anew",
            )
        })
    }

    fn parse<P: Serialize + for<'de> Deserialize<'de>>(&self, cursor: &str) -> Option<P> {
        if cursor.len() > limits::URI_BYTES {
            return None;
        }
        let text = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let Written { of, at } = serde_json::from_slice::<Written<P>>(&text).ok()?;
        (of == self.seal(&serde_json::to_string(&at).ok()?)).then_some(at)
    }

    /// Binds a position to the list.
    fn seal(&self, position: &str) -> String {
        Etag::of(&format!("{}\n{position}", self.0)).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cursor_opens_only_its_own_list() {
        let listing = Listing::new("graph_search", "bank", &json!({"query": "a"}));
        let cursor = listing.cursor((3_usize, 4_usize)).unwrap();
        assert_eq!(listing.position::<(usize, usize)>(Some(&cursor)).unwrap(), (3, 4));
        assert_eq!(listing.position::<(usize, usize)>(None).unwrap(), (0, 0));
        for other in [
            Listing::new("graph_search", "bank", &json!({"query": "b"})),
            Listing::new("graph_search", "other", &json!({"query": "a"})),
            Listing::new("graph_open_nodes", "bank", &json!({"query": "a"})),
        ] {
            assert!(other.position::<(usize, usize)>(Some(&cursor)).is_err());
        }
        let forged = URL_SAFE_NO_PAD.encode(r#"{"of":"0123456789abcdef","at":[9,9]}"#);
        for wrong in ["", "x", "%%%", cursor.get(1..).unwrap(), &forged, &"a".repeat(100_000)] {
            let error = listing.position::<(usize, usize)>(Some(wrong)).unwrap_err();
            assert!(matches!(error, Failure::Unquoted(text) if text.contains("nextCursor")), "{wrong:.20}");
        }
    }

    #[test]
    fn a_position_in_a_list_may_be_a_name() {
        let listing = Listing::new("list_memory_bank_files", "bank", &json!({}));
        let cursor = listing.cursor("größe.md").unwrap();
        assert_eq!(listing.position::<String>(Some(&cursor)).unwrap(), "größe.md");
    }
}
