//! The root of the paths below `/api/v1`.

/// The beginning of the paths.
pub(crate) const ROOT: &str = "/api/v1/";
