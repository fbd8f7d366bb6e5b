//! What every Huddle process shares: configuration, telemetry, lifecycle, health, metrics and the admin endpoint.
//!
//! Nothing here is global, the installed log subscriber aside: several services and any number of tests can live in one process.
//!
//! A process is put together in this order: [`config::load`], [`telemetry::init`], [`lifecycle::Lifecycle::new`],
//! [`health::Readiness::new`], [`metrics::Metrics::new`], [`admin::AdminServer::bind`], then the service itself,
//! and at the end [`lifecycle::Lifecycle::run_until_signal`].
#![deny(missing_docs)]

pub mod admin;
pub mod backoff;
pub mod config;
pub mod health;
pub mod lifecycle;
pub mod metrics;
pub mod revoked;
pub mod telemetry;
