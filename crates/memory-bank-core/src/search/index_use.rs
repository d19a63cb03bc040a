//! The use of search indexes, for metrics.

/// The use of search indexes, and refusals since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexUse {
    /// Projects with an index.
    pub projects: usize,
    /// The memory in use, and the memory reserved for builds.
    pub bytes: u64,
    /// The memory limit.
    pub max_bytes: u64,
    /// Indexes that are being built or updated, including queued ones.
    pub building: usize,
    /// Indexes that were built.
    pub built: u64,
    /// Indexes that were evicted.
    pub evicted: u64,
    /// Searches that failed because the index was being built.
    pub answered_building: u64,
    /// Searches of projects that are too large.
    pub refused_too_large: u64,
    /// Searches without room in memory.
    pub refused_busy: u64,
}
