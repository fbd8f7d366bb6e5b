//! The process that has the directory.

use std::{fs, net::SocketAddr};

use huddle_embedded::Holder;
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::Instance;
use crate::{
    commands::doctor::{admin, check::Outcome, finding::Id},
    config::ConfigArgs,
};

/// Where `huddle up` keeps what the next start wants to find again.
const STATE: &str = "state.json";
/// The setting of its one admin endpoint.
const ADMIN: &str = "admin.gateway";

/// The part of that file that tells where the process answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    ports: Ports,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ports {
    admin: u16,
}

/// Says which process has the directory, if any.
pub(super) fn holder(instance: &Instance) -> Outcome {
    let found = match huddle_embedded::holder(&instance.directory) {
        Ok(None) => "not running".to_owned(),
        Ok(Some(Holder { pid: Some(pid) })) => format!("running (pid {pid})"),
        Ok(Some(Holder { pid: None })) => "running".to_owned(),
        Err(error) => return Outcome::Skipped(format!("the lock file cannot be read: {error}")),
    };
    Outcome::ok(Id::Process, found)
}

/// Where the process says whether it is ready.
#[derive(Debug)]
pub(super) struct Admin(SocketAddr);

impl Admin {
    /// The address that is set; else the port that the last start took.
    pub(super) fn new(instance: &Instance, sources: &ConfigArgs) -> Self {
        let mut address = instance.config.admin.gateway;
        if !sources.is_set(ADMIN) {
            let state = fs::read(instance.directory.join(STATE)).ok();
            let state: Option<State> = state.and_then(|text| serde_json::from_slice(&text).ok());
            if let Some(port) = state.map(|state| state.ports.admin).filter(|port| *port != 0) {
                address.set_port(port);
            }
        }
        Self(address)
    }

    pub(super) async fn check(&self, instance: &Instance) -> Outcome {
        let directory = instance.directory.clone();
        match spawn_blocking(move || huddle_embedded::holder(&directory)).await {
            Ok(Ok(Some(_))) => admin::readiness(Id::Readiness, "huddle up", ADMIN, self.0).await,
            Ok(Ok(None)) => Outcome::Skipped("no process runs".to_owned()),
            Ok(Err(_)) | Err(_) => Outcome::Skipped("the lock file cannot be read".to_owned()),
        }
    }
}
