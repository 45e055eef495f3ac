//! The lifecycle of one instance.
