//! Rules for documents that an edit adds to a bank.

use crate::document::DocumentPath;
use crate::error::EditError;
use crate::limits;

/// Refuses new documents past the limit of a bank that has `present` ones.
///
/// # Errors
/// The limit would be exceeded.
pub fn check_document_count(present: usize, new: usize) -> Result<(), EditError> {
    if new > 0 && present + new > limits::DOCUMENTS {
        return Err(EditError::Refused(format!(
            "the memory bank has {present} documents, at most {} are allowed; delete some first",
            limits::DOCUMENTS
        )));
    }
    Ok(())
}

/// The refusal of a new name that another file system cannot store beside an existing one.
#[must_use]
pub fn name_clash(path: &DocumentPath, other: &str) -> EditError {
    EditError::Refused(format!(
        "`{path}` differs from `{}` only by letter case, which some systems do not distinguish; use that name, or \
         rename it first",
        other.escape_debug()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_documents_are_refused_past_the_limit_and_edits_of_existing_ones_never() {
        assert!(check_document_count(limits::DOCUMENTS - 1, 1).is_ok());
        let refused = check_document_count(limits::DOCUMENTS, 1).unwrap_err().to_string();
        assert!(refused.contains(&format!("at most {} are allowed", limits::DOCUMENTS)), "{refused}");
        assert!(check_document_count(limits::DOCUMENTS + 1, 0).is_ok());
    }
}
