//! The error of a variable that cannot be used. It shows no secret.

/// An invalid variable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    /// An invalid value.
    #[error("`{name}` is `{value}`; it takes {takes}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// The allowed values.
        takes: &'static str,
    },
    /// An invalid secret; only a well-known beginning of it is shown.
    #[error("`{name}` cannot be used (it is {kind}; no more of it is shown); it takes {takes}")]
    InvalidSecret {
        /// The variable.
        name: String,
        /// The kind of its value.
        kind: &'static str,
        /// The allowed values.
        takes: &'static str,
    },
    /// A variable is missing.
    #[error("`{name}` is not set; it takes {takes}, since {reason}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// The allowed values.
        takes: &'static str,
        /// Why it is needed.
        reason: &'static str,
    },
    /// Rules that cannot be read.
    #[error("`{name}` cannot be used: {why}")]
    Mapping {
        /// The variable.
        name: &'static str,
        /// The rule and what is wrong.
        why: memory_bank_core::identity::MalformedMapping,
    },
    /// A value is given twice.
    #[error("both `{name}` and `{name}_FILE` are set; set one of them")]
    SetTwice {
        /// The variable.
        name: &'static str,
    },
    /// A file that a variable names cannot be read.
    #[error("`{name}` is `{path}`, which cannot be read: {reason}; it takes {takes}")]
    File {
        /// The variable.
        name: String,
        /// Its value.
        path: String,
        /// The reason.
        reason: String,
        /// The allowed values.
        takes: &'static str,
    },
}
