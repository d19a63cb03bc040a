//! What the history stores: patches from which every former text is rebuilt, and lines of exported histories.

use memory_bank_core::history::{Delta, take_back_lines};
use memory_bank_core::transfer::{read_graph_line, read_history_line, write_graph_line, write_history_line};

use crate::input::texts;

/// Texts of one document, oldest first; and the bytes of a patch that somebody has made.
pub(crate) fn patches(data: &[u8]) {
    if let Ok(delta) = Delta::from_bytes(data) {
        let stored = delta.to_bytes();
        assert_eq!(Delta::from_bytes(&stored).ok(), Some(delta.clone()), "a patch is read as it was written");
        let _ = delta.undo("a text of another document\nwith two lines\n");
    }
    let texts = texts(data, 12);
    for (at, pair) in texts.windows(2).enumerate() {
        let [before, after] = pair else { continue };
        let number = i64::try_from(at).unwrap_or_default();
        for delta in
            [Delta::between(before, after), Delta::whole(before), Delta::of_version(number, before, after)]
        {
            let stored = Delta::from_bytes(&delta.to_bytes()).ok();
            assert_eq!(stored.as_ref(), Some(&delta), "a patch is read as it was written");
            assert_eq!(
                delta.undo(after).ok().as_deref(),
                Some(before.as_str()),
                "the former text is rebuilt"
            );
        }
        assert_eq!(
            take_back_lines(before, after, after).as_deref(),
            Ok(before.as_str()),
            "an own change is taken back"
        );
    }
    if let [before, after, current, ..] = texts.as_slice() {
        let _ = take_back_lines(before, after, current);
    }
}

/// A line of the exported history of a document, or of a graph.
pub(crate) fn lines(data: &[u8]) {
    if let Ok(link) = read_history_line(data) {
        let written = write_history_line(&link).expect("a copy that was read can be written");
        assert_eq!(read_history_line(&written).ok(), Some(link), "a version is read as it was written");
    }
    if let Ok(change) = read_graph_line(data) {
        let written = write_graph_line(&change).expect("a copy that was read can be written");
        assert_eq!(read_graph_line(&written).ok(), Some(change), "a change is read as it was written");
    }
}
