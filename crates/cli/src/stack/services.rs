//! The four services as child processes: their configuration, their start, and whether they are ready.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Result, anyhow};
use huddle_devstack::Process;
use tokio::time::{Instant, sleep};
use toml::{Table, Value};

use super::{
    Plan, Progress, QUOTED_LINES,
    data_dir::{Secrets, State, write_private},
    http::readiness,
    own_program,
    ports::{Ports, local},
    unexpected_end,
};
use crate::{
    config::SETTING_VARIABLES,
    process::{connect_log, connect_store, prepare_log, store_failure},
};

/// How long all services together may take until they are ready.
const READY_TIMEOUT: Duration = Duration::from_mins(1);
/// How often that is looked at.
const READY_INTERVAL: Duration = Duration::from_millis(50);
/// Ports are chosen and then taken: somebody else may be quicker this often.
const START_ATTEMPTS_MAX: usize = 3;
/// What every service says when its address is taken.
const PORT_IS_TAKEN: &str = "cannot listen on";
/// How long the gateway may take to send its clients away: the stop as a whole must be short.
const GATEWAY_DRAIN: &str = "500ms";
/// The configuration file that is written for the services.
pub(super) const CONFIG: &str = "huddle.toml";
/// Where the services' logs go.
pub(super) const LOGS: &str = "logs";

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Persistence,
    History,
    Directory,
    Gateway,
}

impl Role {
    /// Its command.
    const fn name(self) -> &'static str {
        match self {
            Self::Persistence => "persistence",
            Self::History => "history",
            Self::Directory => "directory",
            Self::Gateway => "gateway",
        }
    }

    const fn admin_port(self, ports: &Ports) -> u16 {
        match self {
            Self::Persistence => ports.persistence_admin,
            Self::History => ports.history_admin,
            Self::Directory => ports.directory_admin,
            Self::Gateway => ports.gateway_admin,
        }
    }
}

/// Where the backends are.
#[derive(Debug)]
pub(super) struct Backends {
    pub(super) nats_url: String,
    pub(super) database_url: String,
}

/// The services that run.
#[derive(Debug, Default)]
pub(super) struct Services {
    running: Vec<(Role, Process)>,
}

impl Services {
    /// Brings database and log up to date, starts all services and waits until they are ready.
    pub(super) async fn start(
        &mut self,
        plan: &Plan,
        backends: &Backends,
        secrets: &Secrets,
        state: &mut State,
        progress: &Progress,
    ) -> Result<()> {
        progress.say("preparing database and log");
        prepare(backends).await?;
        for attempt in 1.. {
            state.ports = state.ports.choose()?;
            plan.data_dir.keep_state(state)?;
            let config = config_of(backends, secrets, &state.ports)?;
            let config_file = plan.data_dir.path(CONFIG);
            write_private(&config_file, config.to_string().as_bytes())?;

            match self.start_all(plan, &config_file, &state.ports, progress).await {
                Err(_) if attempt < START_ATTEMPTS_MAX && self.found_a_port_taken() => {
                    progress.say("a port was taken at that moment; trying others");
                    // Dropping them kills them.
                    self.running.clear();
                }
                outcome => return outcome,
            }
        }
        Ok(())
    }

    async fn start_all(&mut self, plan: &Plan, config_file: &Path, ports: &Ports, progress: &Progress) -> Result<()> {
        // The gateway looks for the others at its start, and then only every other second.
        for (roles, what) in [
            (&[Role::Persistence, Role::History, Role::Directory][..], "starting persistence, history and directory"),
            (&[Role::Gateway], "starting the gateway"),
        ] {
            progress.say(what);
            for role in roles {
                self.running.push((*role, spawn(*role, plan, config_file)?));
            }
            self.wait_until_ready(ports).await?;
        }
        Ok(())
    }

    pub(super) fn pids(&self) -> impl Iterator<Item = (&'static str, u32)> {
        self.running.iter().map(|(role, process)| (role.name(), process.pid()))
    }

    pub(super) fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        self.running.iter_mut().map(|(_, process)| process)
    }

    pub(super) fn of(&mut self, roles: &[Role]) -> impl Iterator<Item = &mut Process> {
        self.running.iter_mut().filter(|(role, _)| roles.contains(role)).map(|(_, process)| process)
    }

    async fn wait_until_ready(&mut self, ports: &Ports) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        for index in 0..self.running.len() {
            let role = self.running[index].0;
            while let Err(reason) = readiness(role.admin_port(ports)).await {
                for (_, process) in &mut self.running {
                    if let Some(status) = process.exit_status()? {
                        return Err(unexpected_end(process, &status.to_string()));
                    }
                }
                if Instant::now() >= deadline {
                    let process = &self.running[index].1;
                    let (name, log) = (process.name(), process.log_path().display());
                    let tail = process.log_tail(QUOTED_LINES);
                    return Err(anyhow!("{name} is not ready ({reason}); the end of its log {log}:\n{tail}"));
                }
                sleep(READY_INTERVAL).await;
            }
        }
        Ok(())
    }

    fn found_a_port_taken(&mut self) -> bool {
        self.processes().any(|process| !process.is_running() && process.log_tail(QUOTED_LINES).contains(PORT_IS_TAKEN))
    }
}

/// Runs the migrations in this process.
async fn prepare(backends: &Backends) -> Result<()> {
    let config = crate::config::Config {
        log: huddle_log_nats::Config { servers: vec![backends.nats_url.clone()], ..Default::default() },
        store: huddle_store_postgres::Config {
            url: huddle_service::config::Secret::new(backends.database_url.clone()),
            ..Default::default()
        },
        ..Default::default()
    };
    let migrate = async {
        huddle_store_postgres::migrate(&config.store).await.map_err(store_failure)?;
        let store = connect_store(&config).await?;
        let log = connect_log(&config).await?;
        prepare_log(&config, &log, &store).await
    };
    migrate.await.map_err(|failure| anyhow!("{failure}"))
}

fn config_of(backends: &Backends, secrets: &Secrets, ports: &Ports) -> Result<Table> {
    let listen = |port: u16| Value::from(local(port).to_string());
    let url = |port: u16| Value::from(format!("http://{}", local(port)));
    let section = |settings: &[(&str, Value)]| {
        Value::Table(settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    };
    let config = section(&[
        (
            "auth",
            section(&[
                ("secret", secrets.user_secret.clone().into()),
                ("service_token", secrets.service_token.clone().into()),
            ]),
        ),
        ("log", section(&[("servers", vec![backends.nats_url.clone()].into())])),
        ("store", section(&[("url", backends.database_url.clone().into())])),
        (
            "admin",
            section(&[
                ("gateway", listen(ports.gateway_admin)),
                ("history", listen(ports.history_admin)),
                ("directory", listen(ports.directory_admin)),
                ("persistence", listen(ports.persistence_admin)),
            ]),
        ),
        (
            "gateway",
            section(&[
                ("listen", listen(ports.gateway)),
                ("history_url", url(ports.history)),
                ("directory_url", url(ports.directory)),
                ("drain", GATEWAY_DRAIN.into()),
            ]),
        ),
        ("history", section(&[("listen", listen(ports.history))])),
        ("directory", section(&[("listen", listen(ports.directory))])),
    ]);
    match config {
        Value::Table(table) => Ok(table),
        other => Err(anyhow!("a section is a {}", other.type_str())),
    }
}

fn spawn(role: Role, plan: &Plan, config_file: &Path) -> Result<Process> {
    let mut command = Command::new(own_program()?);
    command.arg(role.name()).arg("--config").arg(config_file).args(&plan.service_arguments);
    // What configures this command's own environment is not meant for the stack.
    let (file, prefix, separator) = SETTING_VARIABLES;
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name == file || (name.starts_with(prefix) && name.contains(separator)) {
            command.env_remove(&variable);
        }
    }
    let log = plan.data_dir.path(LOGS).join(format!("{}.log", role.name()));
    Process::spawn(role.name(), command, &log)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_generated_configuration_is_one() {
        let backends = Backends {
            nats_url: "nats://127.0.0.1:4222".to_owned(),
            database_url: "postgres://huddle:pass@127.0.0.1:1/huddle".to_owned(),
        };
        let secrets = Secrets { user_secret: "user".repeat(10), service_token: "service".repeat(10) };
        let ports = Ports { gateway: 1, history: 2, directory: 3, ..Ports::default() };
        let text = config_of(&backends, &secrets, &ports).unwrap().to_string();
        let config: Config = toml::from_str(&text).unwrap();
        assert_eq!(config.gateway.listen.port(), 1);
        assert_eq!(config.gateway.history_url, "http://127.0.0.1:2");
        assert_eq!(config.store.url.expose(), backends.database_url);
        assert_eq!(config.auth.verifier_options().secret, Some(secrets.user_secret));
    }
}
