//! How processes start and stop: what is wrong is named and ends a process soon, what is missing is waited for, and who
//! is sent away loses nothing.

mod backends;
mod configuration;
mod drain;
mod production;
mod program;
mod readiness;
