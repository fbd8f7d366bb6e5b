//! The whole of Huddle on this machine: backends and services as child processes, in order up and in order down; or all
//! of it in this process ([`single`]).

mod data_dir;
mod demo;
mod http;
mod ports;
mod ready;
mod services;
pub(crate) mod single;

use std::{path::PathBuf, sync::Arc, time::Instant};

use anyhow::{Context as _, Result, anyhow};
use huddle_auth::VerifierOptions;
use huddle_devstack::{Nats, NatsOptions, Postgres, PostgresOptions, Process, Signal, Tools};
use tokio::time::{Duration, Instant as Deadline};

pub(crate) use self::{data_dir::DataDir, ready::Ready};
use self::{
    data_dir::State,
    ports::local,
    ready::{Addresses, Kept},
    services::{Role, Services},
};

/// How long the whole stop may take before what is left is killed: Ctrl-C answers within 5 s.
const STOP_MAX: Duration = Duration::from_millis(4_600);
/// How long the members of each group of services may take.
const STAGE_MAX: Duration = Duration::from_millis(1_200);
/// How long Postgres may take for an immediate shutdown when an orderly one took too long.
const QUIT_MAX: Duration = Duration::from_millis(300);
/// Lines of a log that an error quotes.
const QUOTED_LINES: usize = 20;
/// The database of all services.
const DATABASE: &str = "huddle";

/// What to bring up.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) data_dir: Arc<DataDir>,
    /// Arguments for every service, after its name and configuration file.
    pub(crate) service_arguments: Vec<String>,
}

/// Tells on standard error how far it is.
#[derive(Debug)]
pub(crate) struct Progress {
    begin: Instant,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { begin: Instant::now() }
    }

    pub(crate) fn say(&self, what: &str) {
        eprintln!("[{:5.1} s] {what}", self.begin.elapsed().as_secs_f32());
    }
}

/// What runs. Dropping it kills everything.
#[derive(Debug, Default)]
pub(crate) struct Stack {
    // Before the backends: fields are dropped in this order.
    services: Services,
    postgres: Option<Postgres>,
    nats: Option<Nats>,
}

impl Stack {
    /// Starts everything and waits until it can be used. After an error, or when the future is dropped, what has been
    /// started runs: [`stop`](Self::stop) it.
    pub(crate) async fn bring_up(&mut self, plan: &Plan, progress: &Progress) -> Result<Ready> {
        let data_dir = &plan.data_dir;
        let tools = Tools::locate()?;
        let mut state = data_dir.state()?;
        let secrets = data_dir.secrets()?;

        progress.say("starting NATS");
        let nats = NatsOptions {
            data_dir: Some(data_dir.path("nats")),
            preferred_port: state.nats_port,
            ..NatsOptions::default()
        };
        let nats = self.nats.insert(Nats::start(&tools, nats).await?);
        state.nats_port = port_of(&nats.url());

        progress.say("starting Postgres");
        let postgres = PostgresOptions {
            data_dir: Some(data_dir.path("postgres")),
            preferred_port: state.postgres_port,
            ..PostgresOptions::default()
        };
        let postgres = self.postgres.insert(Postgres::start(&tools, postgres).await?);
        let database_url = postgres.create_database(DATABASE).await?;
        state.postgres_port = Some(postgres.port());
        data_dir.keep_state(&state)?;

        let backends = services::Backends { nats_url: nats.url(), database_url };
        self.services.start(plan, &backends, &secrets, &mut state, progress).await?;
        let ready = self.ready(plan, &secrets, &state)?;
        if !state.demo_created {
            progress.say("creating the demo team");
            let directory = demo::connect(local(state.ports.directory)).await?;
            demo::create(directory, &secrets.service_token).await.context("cannot create the demo team")?;
            state.demo_created = true;
            data_dir.keep_state(&state)?;
        }
        progress.say("ready");
        Ok(ready)
    }

    fn ready(&mut self, plan: &Plan, secrets: &data_dir::Secrets, state: &State) -> Result<Ready> {
        let (Some(nats), Some(postgres)) = (&mut self.nats, &self.postgres) else {
            return Err(anyhow!("the backends do not run"));
        };
        let mut pids = vec![("nats", nats.node(0).pid()), ("postgres", postgres.pid())];
        pids.extend(self.services.pids());
        let ports = &state.ports;
        let addresses = Addresses {
            gateway: local(ports.gateway),
            history: local(ports.history),
            directory: local(ports.directory),
            admin: [
                ("gateway", local(ports.gateway_admin)),
                ("history", local(ports.history_admin)),
                ("directory", local(ports.directory_admin)),
                ("persistence", local(ports.persistence_admin)),
            ],
        };
        let data_dir = &plan.data_dir;
        let kept = Kept::Cluster {
            data_dir: data_dir.root().to_owned(),
            nats_url: nats.url(),
            config: data_dir.path(services::CONFIG),
            logs: data_dir.path(services::LOGS),
        };
        let auth = VerifierOptions { secret: Some(secrets.user_secret.clone()), ..VerifierOptions::default() };
        Ready::new(addresses, auth, demo::DemoTeam::Told, pids, kept)
    }

    /// Whether nothing has been started.
    pub(crate) fn is_empty(&self) -> bool {
        self.nats.is_none() && self.postgres.is_none()
    }

    /// The first process that has ended although nobody stopped it, and the end of its log.
    pub(crate) fn find_ended(&mut self) -> Option<anyhow::Error> {
        let nats = self.nats.iter_mut().map(|nats| nats.node(0).process());
        let postgres = self.postgres.iter_mut().map(Postgres::process);
        nats.chain(postgres).chain(self.services.processes()).find_map(|process| {
            let status = process.exit_status().ok().flatten()?;
            Some(unexpected_end(process, &status.to_string()))
        })
    }

    /// Stops everything in order: gateway, directory and history, persistence, Postgres and NATS. What takes too long is
    /// killed; all of it is over within 5 s.
    pub(crate) async fn stop(&mut self) {
        let deadline = Deadline::now() + STOP_MAX;
        for stage in [&[Role::Gateway][..], &[Role::Directory, Role::History], &[Role::Persistence]] {
            let mut processes: Vec<&mut Process> = self.services.of(stage).collect();
            stop_all(&mut processes, Signal::Terminate, deadline.min(Deadline::now() + STAGE_MAX)).await;
        }
        let Self { postgres, nats, .. } = self;
        tokio::join!(
            async {
                if let Some(postgres) = postgres {
                    let process = postgres.process();
                    let orderly = deadline - QUIT_MAX;
                    if !stop_by(process, Signal::Interrupt, orderly).await {
                        stop_all(&mut [process], Signal::Quit, deadline).await;
                    }
                }
            },
            async {
                if let Some(nats) = nats {
                    stop_all(&mut [nats.node(0).process()], Signal::Terminate, deadline).await;
                }
            }
        );
    }

    /// Kills everything at once.
    pub(crate) fn kill(&mut self) {
        let nats = self.nats.iter_mut().map(|nats| nats.node(0).process());
        let postgres = self.postgres.iter_mut().map(Postgres::process);
        for process in self.services.processes().chain(postgres).chain(nats) {
            kill(process);
        }
    }
}

fn port_of(url: &str) -> Option<u16> {
    url.rsplit_once(':')?.1.parse().ok()
}

/// Asks all of `processes` to end, and kills those that still run at `deadline`.
async fn stop_all(processes: &mut [&mut Process], signal: Signal, deadline: Deadline) {
    for process in &mut *processes {
        ask_to_end(process, signal);
    }
    for process in processes {
        if process.wait(deadline.saturating_duration_since(Deadline::now())).await.is_err() {
            kill(process);
        }
    }
}

/// Asks `process` to end; says whether it has by `deadline`.
async fn stop_by(process: &mut Process, signal: Signal, deadline: Deadline) -> bool {
    ask_to_end(process, signal);
    process.wait(deadline.saturating_duration_since(Deadline::now())).await.is_ok()
}

fn ask_to_end(process: &mut Process, signal: Signal) {
    // Fails only when it has ended by itself.
    if process.is_running() && process.signal(signal).is_ok() {
        // One that somebody paused would not see the first signal.
        let _ = process.signal(Signal::Continue);
    }
}

fn kill(process: &mut Process) {
    if process.is_running()
        && let Err(error) = process.kill9()
    {
        tracing::warn!(process = process.name(), %error, "process not killed");
    }
}

fn unexpected_end(process: &Process, status: &str) -> anyhow::Error {
    let (name, pid, log) = (process.name(), process.pid(), process.log_path().display());
    anyhow!(
        "{name} (pid {pid}) ended unexpectedly ({status}); the end of its log {log}:\n{}",
        process.log_tail(QUOTED_LINES)
    )
}

/// The program that runs, to start the services from and to paste.
fn own_program() -> Result<PathBuf> {
    std::env::current_exe().context("cannot find the running program")
}
