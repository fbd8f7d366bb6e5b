//! The log's guarantees on one NATS server.

mod support;

huddle_log::log_conformance!(support::OneNode);
