//! The whole of Huddle in this process: one file for log and store, and the four services over it.

mod addresses;
mod place;
mod services;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use huddle_embedded::Embedded;
use huddle_log::Log as _;
use huddle_service::{config::Secret, health::Readiness, lifecycle::Shutdown};
use huddle_store::PartitionStore as _;
use tokio::time::timeout;
use tonic::transport::Channel;

pub(crate) use self::{addresses::Fixed, place::Place};
use self::{addresses::Ports, place::State, services::Services};
use super::{
    data_dir::random_secret,
    demo::{self, DemoTeam},
    ready::{Addresses, Kept, Ready},
};
use crate::{config::Config, failure::Failure, process::Process};

/// What must work before the process is ready.
const COMPONENTS: [&str; 4] = ["log", "history", "directory", "persistence"];
/// How long that may take. What is in the log only by then is carried into the store later.
const READY_TIMEOUT: Duration = Duration::from_mins(1);
/// Added to `gateway.drain` before what is still at work is cut off.
const DRAIN_MARGIN: Duration = Duration::from_secs(3);
/// How long closing the file may take. What was acknowledged is on the disk long before.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// What to run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) fixed: Fixed,
    pub(crate) place: Place,
}

/// All services, running.
#[derive(Debug)]
pub(crate) struct Single {
    process: Process,
    embedded: Arc<Embedded>,
    // Dropped after the file in it has been closed: then it may be removed.
    _place: Arc<Place>,
}

impl Single {
    /// Opens the file, takes the addresses and starts the services. Once all of them work and the demo team is there,
    /// `tell` is called. Nothing is written before the file is known to be good, and this process's alone.
    pub(crate) async fn start(plan: Plan, tell: impl FnOnce(&Ready) + Send + 'static) -> Result<Self, Failure> {
        let clock = Clock(Instant::now());
        let directory = plan.place.directory().to_owned();
        let file = huddle_embedded::Config { directory, ..plan.config.embedded.clone() };
        let embedded = Embedded::open(&file).await.map_err(Failure::failed)?;
        clock.say("file opened");
        let single = Box::pin(Self::start_services(plan, Arc::clone(&embedded), tell, clock)).await;
        if single.is_err() {
            close(&embedded).await;
        }
        single
    }

    async fn start_services(
        plan: Plan,
        embedded: Arc<Embedded>,
        tell: impl FnOnce(&Ready) + Send + 'static,
        clock: Clock,
    ) -> Result<Self, Failure> {
        let Plan { mut config, fixed, place } = plan;
        let state = place.state()?;
        prepare(&embedded).await?;
        let auth = &mut config.auth;
        // A secret that somebody has set is one that others rely on: its tokens are not for whoever opens a page.
        let team = match (config.gateway.listen.ip().is_loopback(), &auth.secret) {
            (true, None) => DemoTeam::SignIn,
            (true, Some(_)) => DemoTeam::Told,
            (false, _) => DemoTeam::None,
        };
        if auth.secret.is_none() {
            auth.secret = Some(Secret::new(place.secret()?));
        }
        let service_token = auth.service_token.get_or_insert_with(|| Secret::new(random_secret())).expose().to_owned();
        let drain_timeout = config.gateway.drain + DRAIN_MARGIN;
        let process = Process::new(config, &COMPONENTS, drain_timeout);
        let verifier = process.verifier().await?;

        let services =
            Box::pin(Services::bind(&process, &embedded, &verifier, &fixed, &state.ports, &service_token, team))
                .await?;
        let ready = ready(&process, &services, &place, team)?;
        let (place, directory) = (Arc::new(place), services.directory_channel());
        // The next start looks for what was chosen, not for what was set.
        let port = |setting, address: SocketAddr, last| if fixed.contains(setting) { last } else { address.port() };
        let last = &state.ports;
        let ports = Ports {
            gateway: port("gateway.listen", services.gateway(), last.gateway),
            history: port("history.listen", services.history(), last.history),
            directory: port("directory.listen", services.directory(), last.directory),
            admin: port("admin.gateway", services.admin(), last.admin),
        };
        let start = Start {
            readiness: process.readiness.clone(),
            place: Arc::clone(&place),
            state,
            ports,
            directory,
            service_token,
            team,
            clock,
        };
        services.spawn(&process);
        start.clock.say("services started");
        process.lifecycle.spawn("start", async move {
            if start.finish().await? {
                tell(&ready);
            }
            anyhow::Ok(())
        });
        watch(&process, &embedded);
        Ok(Self { process, embedded, _place: place })
    }

    pub(crate) fn shutdown(&self) -> Shutdown {
        self.process.shutdown()
    }

    /// Runs until a shutdown is asked for, or a part fails; ends everything in order, and closes the file.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let Self { process, embedded, _place } = self;
        let outcome = process.lifecycle.run_until_requested().await;
        close(&embedded).await;
        outcome.map_err(Failure::failed)
    }
}

/// Makes the partitions of a new file, so that nobody finds them missing.
async fn prepare(embedded: &Embedded) -> Result<()> {
    for partition in embedded.partitions().iter() {
        let stored = embedded.progress(partition).await?;
        embedded.prepare(partition, stored).await?;
    }
    Ok(())
}

/// Ends the process when the file cannot be written for good.
fn watch(process: &Process, embedded: &Arc<Embedded>) {
    let (shutdown, embedded) = (process.shutdown(), Arc::clone(embedded));
    process.lifecycle.spawn_background("file", async move {
        tokio::select! {
            () = shutdown.hard().cancelled() => Ok(()),
            reason = embedded.failed() => Err(anyhow!(
                "the data cannot be written any longer ({reason}); see to the disk and start again: what was \
                 acknowledged is in the file"
            )),
        }
    });
}

async fn close(embedded: &Embedded) {
    if timeout(CLOSE_MAX, embedded.close()).await.is_err() {
        tracing::warn!("the file was not closed in time; the next start takes a little longer");
    }
}

fn ready(process: &Process, services: &Services, place: &Place, team: DemoTeam) -> Result<Ready> {
    let addresses = Addresses {
        gateway: services.gateway(),
        history: services.history(),
        directory: services.directory(),
        // One endpoint answers for all.
        admin: ["gateway", "history", "directory", "persistence"].map(|service| (service, services.admin())),
    };
    let kept = match place {
        Place::Kept(directory) => {
            Kept::File { data_dir: directory.canonicalize().context("cannot resolve the data directory")? }
        }
        Place::Memory(_) => Kept::Nothing,
    };
    Ready::new(addresses, process.config.auth.verifier_options(), team, vec![("huddle", std::process::id())], kept)
}

/// What is left to do once the services run.
struct Start {
    readiness: Readiness,
    place: Arc<Place>,
    state: State,
    ports: Ports,
    directory: Channel,
    service_token: String,
    team: DemoTeam,
    clock: Clock,
}

impl Start {
    /// Waits for everything, makes the demo team if this is the first start, and keeps what the next one wants to know.
    /// Says whether all is ready; a shutdown may come before.
    async fn finish(self) -> Result<bool> {
        match timeout(READY_TIMEOUT, self.readiness.wait_until_ready()).await {
            Ok(true) => self.clock.say("services ready"),
            Ok(false) => return Ok(false),
            Err(_) => return Err(anyhow!("not ready after {READY_TIMEOUT:?}: {}", problems(&self.readiness))),
        }
        let mut state = State { ports: self.ports, ..self.state.clone() };
        if !state.demo_created && self.team != DemoTeam::None {
            match demo::create(self.directory, &self.service_token).await {
                Ok(()) => {
                    state.demo_created = true;
                    self.clock.say("demo team created");
                }
                // The chat works without it; the next start tries again.
                Err(error) => tracing::warn!(error = format!("{error:#}"), "cannot create the demo team"),
            }
        }
        if state != self.state {
            self.place.keep_state(&state)?;
        }
        self.clock.say("ready");
        Ok(true)
    }
}

fn problems(readiness: &Readiness) -> String {
    let checks = readiness.report().checks.into_iter();
    let problems: Vec<String> = checks.filter_map(|check| Some(format!("{}: {}", check.name, check.reason?))).collect();
    problems.join("; ")
}

/// Since when the process starts.
#[derive(Debug, Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn say(self, step: &str) {
        tracing::info!(after = ?self.0.elapsed(), "{step}");
    }
}
