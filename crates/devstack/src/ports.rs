//! Owns the choice of free TCP ports.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use anyhow::{Result, bail};

/// Below the ports that Linux and macOS give to outgoing connections, so that none of those takes the port of a server
/// between its end and its restart.
const PORTS: Range<u16> = 20_000..32_000;

const ATTEMPTS_MAX: usize = 200;

/// A port of 127.0.0.1 that nobody listens on now. Somebody may a moment later: a caller that starts a server on it
/// must be ready to try another.
///
/// # Errors
/// When a great many tries found none.
pub fn free_port() -> Result<u16> {
    for _ in 0..ATTEMPTS_MAX {
        let port = rand::random_range(PORTS);
        if is_free(port) {
            return Ok(port);
        }
    }
    bail!("no free port among {}..{} of 127.0.0.1", PORTS.start, PORTS.end)
}

/// `preferred` when it is free, another one otherwise.
pub(crate) fn free_port_near(preferred: Option<u16>) -> Result<u16> {
    match preferred {
        Some(port) if is_free(port) => Ok(port),
        _ => free_port(),
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
