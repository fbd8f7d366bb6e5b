//! Where one process listens: at the addresses that were set, or else near the usual ones.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The settings that hold an address of the process.
const SETTINGS: [&str; 4] = ["gateway.listen", "history.listen", "directory.listen", "admin.gateway"];

/// Which addresses were set on purpose: these are taken, or the start fails.
#[derive(Debug)]
pub(crate) struct Fixed(Vec<&'static str>);

impl Fixed {
    /// Those of which `is_set` says so.
    pub(crate) fn those(is_set: impl Fn(&str) -> bool) -> Self {
        Self(SETTINGS.into_iter().filter(|setting| is_set(setting)).collect())
    }

    pub(super) fn contains(&self, setting: &str) -> bool {
        self.0.contains(&setting)
    }
}

/// The ports of the last start; 0 where there was none.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Ports {
    pub(super) gateway: u16,
    pub(super) history: u16,
    pub(super) directory: u16,
    pub(super) admin: u16,
}

/// An address that is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    address: SocketAddr,
    is_fixed: bool,
}

impl Wish {
    /// `address`, whatever the port of the last time, if it `is_fixed`; else at the port of the last time, if any.
    pub(super) fn new(mut address: SocketAddr, is_fixed: bool, last_port: u16) -> Self {
        if !is_fixed && last_port != 0 {
            address.set_port(last_port);
        }
        Self { address, is_fixed }
    }

    /// Lets `bind` take the address, or one with a free port when that fails and the address is not fixed.
    pub(super) async fn bind<T, E>(self, mut bind: impl AsyncFnMut(SocketAddr) -> Result<T, E>) -> Result<T, E> {
        match bind(self.address).await {
            Err(_) if !self.is_fixed => bind(SocketAddr::new(self.address.ip(), 0)).await,
            outcome => outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    async fn taken_port(wish: Wish) -> Result<u16, std::io::Error> {
        wish.bind(async |address| Ok(TcpListener::bind(address)?.local_addr()?.port())).await
    }

    #[tokio::test]
    async fn an_address_gives_way_when_it_is_taken_unless_it_is_fixed() {
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = other.local_addr().unwrap();
        assert_ne!(taken_port(Wish::new(address, false, 0)).await.unwrap(), address.port());
        assert!(taken_port(Wish::new(address, true, 0)).await.is_err());
        drop(other);
        let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        assert_eq!(taken_port(Wish::new(default, false, address.port())).await.unwrap(), address.port());
        assert_eq!(taken_port(Wish::new(address, true, 1)).await.unwrap(), address.port());
    }
}
