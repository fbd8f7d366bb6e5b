//! Owns how the processes of a cluster reach each other: directly, or each through wires of its own.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
};

use anyhow::{Context as _, Result};
use huddle_devstack::{Nats, Postgres, Routes, free_port};

use crate::faults::wire::{Protocol, Wire, Wires};

/// The name of Postgres among the wires.
const POSTGRES: &str = "postgres";

/// Which addresses each process is told.
pub(crate) struct Wiring {
    /// Of a cluster that is not wired, none.
    wires: Option<Wires>,
    /// Where each node of NATS serves clients, by its name.
    nats: BTreeMap<String, SocketAddr>,
    postgres: Option<(SocketAddr, String)>,
}

impl Wiring {
    pub(crate) fn new(wired: bool) -> Self {
        Self { wires: wired.then(Wires::default), nats: BTreeMap::new(), postgres: None }
    }

    /// The routes of so many nodes of NATS, each through a wire of its own in each direction; none where they find each
    /// other.
    pub(crate) fn routes(&mut self, nodes: usize) -> Result<Option<Routes>> {
        let Some(wires) = self.wires.as_mut().filter(|_| nodes > 1) else { return Ok(None) };
        let ports = (0..nodes).map(|_| free_port()).collect::<Result<Vec<_>>>()?;
        let mut via = vec![Vec::new(); nodes];
        for (from, via) in via.iter_mut().enumerate() {
            for (to, port) in ports.iter().enumerate().filter(|(to, _)| *to != from) {
                let wire = Wire::to(local(*port), Protocol::Any)?;
                via.push(wire.address());
                wires.add(&node_name(from), &node_name(to), wire);
            }
        }
        Ok(Some(Routes { ports, via }))
    }

    /// Says where the backends are; `database` is the URL of Huddle's own.
    pub(crate) fn backends(&mut self, nats: &mut Nats, postgres: &Postgres, database: &str) -> Result<()> {
        for index in 0..nats.urls().len() {
            let node = nats.node(index);
            let address = node.url().strip_prefix("nats://").context("a URL of NATS")?.parse()?;
            self.nats.insert(node.name().to_owned(), address);
        }
        self.postgres = Some((local(postgres.port()), database.to_owned()));
        Ok(())
    }

    /// What a process is told to reach the backends through its own wires; nothing in a cluster without wires, where the
    /// configuration file says it.
    pub(crate) fn settings_of_backends(&mut self, process: &str) -> Result<Vec<(String, String)>> {
        let Some(wires) = &mut self.wires else { return Ok(Vec::new()) };
        let mut servers = Vec::new();
        for (node, address) in &self.nats {
            let wire = Wire::to(*address, Protocol::Nats)?;
            servers.push(format!("nats://{}", wire.address()));
            wires.add(process, node, wire);
        }
        let (address, database) = self.postgres.as_ref().context("the backends are not known yet")?;
        let wire = Wire::to(*address, Protocol::Any)?;
        let url = database.replacen(&format!("@{address}/"), &format!("@{}/", wire.address()), 1);
        wires.add(process, POSTGRES, wire);
        Ok(vec![("log.servers".to_owned(), format!("{servers:?}")), ("store.url".to_owned(), url)])
    }

    /// The URL at which `process` reaches the service `name`, which listens at `url`.
    pub(crate) fn url_for(&mut self, process: &str, name: &str, url: String) -> Result<String> {
        let Some(wires) = &mut self.wires else { return Ok(url) };
        let address = url.strip_prefix("http://").context("the URL of a service")?.parse()?;
        let wire = Wire::to(address, Protocol::Any)?;
        let url = format!("http://{}", wire.address());
        wires.add(process, name, wire);
        Ok(url)
    }

    /// All wires that were made.
    pub(crate) fn into_wires(self) -> Wires {
        self.wires.unwrap_or_default()
    }
}

fn node_name(index: usize) -> String {
    format!("n{}", index + 1)
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
