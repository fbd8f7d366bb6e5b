//! The log on real NATS servers.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod advance;
mod bus;
mod inspect;
mod one_node;
mod permissions;
mod production;
mod refusals;
mod support;
mod three_nodes;
mod went_back;
