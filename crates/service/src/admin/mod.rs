//! The admin endpoint: liveness, readiness and metrics over HTTP/1.1, at an address of its own that is not for the public.
//! One request a connection, no bodies read, nothing kept.

mod server;
#[cfg(test)]
mod tests;

pub use server::{AdminConfig, AdminServer, BindError};
