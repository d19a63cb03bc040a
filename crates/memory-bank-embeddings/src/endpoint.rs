//! Endpoint, in the next slice.
