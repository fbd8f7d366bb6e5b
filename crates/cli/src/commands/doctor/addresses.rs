//! Who can reach what listens.

use std::net::{IpAddr, SocketAddr};

use super::{
    check::Outcome,
    finding::{Finding, Id},
};

/// For whom an address is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Clients, through a proxy that has TLS.
    Clients,
    /// The operator's own network.
    Operator,
}

/// Judges the addresses of these settings.
pub(crate) fn check(settings: &[(&str, SocketAddr, Audience)]) -> Outcome {
    let findings = settings.iter().filter(|(_, address, _)| is_open(address.ip())).map(|(setting, address, audience)| {
        let reach = if address.ip().is_unspecified() { "all networks of this machine" } else { "a public address" };
        let found = format!("`{setting}` is {address}: {reach}");
        match audience {
            Audience::Clients => Finding::warning(
                Id::AddressPublic,
                found,
                "put a proxy with TLS in front, and let only the proxy reach this address; doctor cannot see whether \
                 that is so already",
            ),
            Audience::Operator => Finding::warning(
                Id::AddressExposed,
                found,
                "listen on an address of a private network, or close the port to everybody else; doctor cannot see \
                 whether that is so already",
            ),
        }
    });
    let findings: Vec<Finding> = findings.collect();
    Outcome::found_or(findings, Id::Addresses, "everything listens on this machine or in private networks only")
}

/// Whether more than this machine and a private network can reach it.
fn is_open(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => !(ip.is_loopback() || ip.is_private() || ip.is_link_local()),
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()),
    }
}

/// Where something that listens on `address` can be reached from this machine; `None` when it chose its port itself.
pub(crate) fn reachable(address: SocketAddr) -> Option<SocketAddr> {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    (address.port() != 0).then(|| SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_can_reach_is_told_from_what_a_private_network_can() {
        let is_open = |address: &str| is_open(address.parse::<IpAddr>().unwrap());
        for open in ["0.0.0.0", "::", "8.8.8.8", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(is_open(open), "{open}");
        }
        for private in ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.1", "fd00::1", "fe80::1", "::ffff:127.0.0.1"] {
            assert!(!is_open(private), "{private}");
        }
    }

    #[test]
    fn an_address_of_all_networks_is_asked_on_this_machine() {
        let reach = |address: &str| reachable(address.parse().unwrap()).map(|address| address.to_string());
        assert_eq!(reach("0.0.0.0:80").as_deref(), Some("127.0.0.1:80"));
        assert_eq!(reach("[::]:80").as_deref(), Some("[::1]:80"));
        assert_eq!(reach("10.0.0.1:80").as_deref(), Some("10.0.0.1:80"));
        assert_eq!(reach("127.0.0.1:0"), None);
    }
}
