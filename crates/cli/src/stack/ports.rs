//! Which port each service listens on.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use anyhow::Result;
use huddle_devstack::free_port;
use serde::{Deserialize, Serialize};

/// The gateway's port where nothing else is known: the one that people remember.
const GATEWAY_PORT: u16 = 8080;

/// The ports of the services on 127.0.0.1; 0 where none has been chosen yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Ports {
    pub(super) gateway: u16,
    pub(super) history: u16,
    pub(super) directory: u16,
    pub(super) gateway_admin: u16,
    pub(super) history_admin: u16,
    pub(super) directory_admin: u16,
    pub(super) persistence_admin: u16,
}

impl Ports {
    /// The same ports as far as they are free, others where they are taken. Somebody may be quicker to take one.
    pub(super) fn choose(&self) -> Result<Self> {
        let mut taken = HashSet::new();
        let mut choose = |last: u16| {
            let mut port = last;
            while port == 0 || taken.contains(&port) || !is_free(port) {
                port = free_port()?;
            }
            taken.insert(port);
            anyhow::Ok(port)
        };
        Ok(Self {
            gateway: choose(if self.gateway == 0 { GATEWAY_PORT } else { self.gateway })?,
            history: choose(self.history)?,
            directory: choose(self.directory)?,
            gateway_admin: choose(self.gateway_admin)?,
            history_admin: choose(self.history_admin)?,
            directory_admin: choose(self.directory_admin)?,
            persistence_admin: choose(self.persistence_admin)?,
        })
    }
}

/// `port` of this machine.
pub(super) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(local(port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_stay_the_same_unless_somebody_took_them() {
        let first = Ports { gateway: free_port().unwrap(), ..Ports::default() }.choose().unwrap();
        assert_eq!(first.choose().unwrap(), first);
        let _other = TcpListener::bind(local(first.history)).unwrap();
        let second = first.choose().unwrap();
        assert_ne!(second.history, first.history);
        assert_eq!((second.gateway, second.directory), (first.gateway, first.directory));
    }
}
