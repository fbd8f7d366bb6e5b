//! Owns the choice of free TCP ports.

use std::{
    collections::HashSet,
    env,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    sync::{Mutex, PoisonError},
};

use anyhow::{Result, bail};

/// Below the ports that Linux and macOS give to outgoing connections, so that none of those takes the port of a server
/// between its end and its restart.
const PORTS: Range<u16> = 20_000..32_000;

const ATTEMPTS_MAX: usize = 200;

/// In this variable, nextest tells a test a number that no other test has at the same time: each gets ports of its own.
const SLOT: &str = "NEXTEST_TEST_GLOBAL_SLOT";
/// Tests that may run at the same time and have ports of their own.
const SLOTS: u16 = 16;

/// What this process has chosen: a server that is about to listen, or to be restarted, keeps its port.
static CHOSEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// A port of 127.0.0.1 that nobody listens on now, and that this process has not been given before. Another process may
/// take it a moment later: a caller that starts a server on it must be ready to try another.
///
/// # Errors
/// When a great many tries found none.
pub fn free_port() -> Result<u16> {
    let ports = ports_of(env::var(SLOT).ok().and_then(|slot| slot.parse().ok()));
    for _ in 0..ATTEMPTS_MAX {
        let port = rand::random_range(ports.clone());
        let mut chosen = CHOSEN.lock().unwrap_or_else(PoisonError::into_inner);
        if is_free(port) && chosen.get_or_insert_default().insert(port) {
            return Ok(port);
        }
    }
    bail!("no free port among {}..{} of 127.0.0.1", ports.start, ports.end)
}

/// The share of the ports that the test in `slot` has; all of them for a process that is in none.
fn ports_of(slot: Option<u16>) -> Range<u16> {
    let share = (PORTS.end - PORTS.start) / SLOTS;
    match slot {
        Some(slot) if slot < SLOTS => PORTS.start + slot * share..PORTS.start + (slot + 1) * share,
        _ => PORTS,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice_and_tests_have_shares_of_their_own() {
        let given: Vec<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        let distinct: HashSet<&u16> = given.iter().collect();
        assert_eq!(distinct.len(), given.len());
        assert_eq!(ports_of(Some(0)), 20_000..20_750);
        assert_eq!(ports_of(Some(15)), 31_250..32_000);
        assert_eq!(ports_of(Some(16)), PORTS);
        assert_eq!(ports_of(None), PORTS);
    }
}
