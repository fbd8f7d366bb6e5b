//! Owns clients of Socket.IO: a process of Node, `tests/clients/fleet_socketio.mjs`, that says what they do and see.
//!
//! It reads its plan, one line of JSON, then the words `quiet` and `stop`, from its standard input. Each line that it
//! writes is one of a recording without its time.

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use huddle_devstack::Tools;
use huddle_verify::recording::Note;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::watch,
    time::timeout,
};

use super::{
    Phase,
    cast::{GatewayAddress, Kind, Plan},
};
use crate::{Access, faults::recorder::Recorder};

/// How long the process may take to end.
const END_BOUND: Duration = Duration::from_secs(10);
/// What an error quotes of what it said.
const QUOTED_CHARACTERS: usize = 2_000;

pub(super) struct SocketIo {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    errors: std::path::PathBuf,
    recorder: Recorder,
}

#[derive(Serialize)]
struct FleetPlan<'a> {
    gateways: Vec<Gateway<'a>>,
    clients: Vec<ClientPlan<'a>>,
}

#[derive(Serialize)]
struct Gateway<'a> {
    name: &'a str,
    url: &'a str,
}

#[derive(Serialize)]
struct ClientPlan<'a> {
    name: &'a str,
    token: String,
    teams: &'a [String],
    gateway: usize,
    version: u8,
    transports: &'static [&'static str],
    messages_per_second: f64,
    seed: u32,
}

/// A line without its time.
#[derive(Deserialize)]
struct Told {
    client: String,
    connection: u32,
    #[serde(flatten)]
    note: Note,
}

impl SocketIo {
    pub(super) async fn start(
        plans: &[Plan],
        access: &Access,
        gateways: &[GatewayAddress],
        recorder: Recorder,
    ) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/fleet_socketio.mjs");
        let errors = recorder.path().with_file_name("socketio.log");
        let mut node = Command::new("node");
        node.arg(script).env("NODE_PATH", Tools::locate()?.node_modules()?);
        node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(fs::File::create(&errors)?).kill_on_drop(true);
        let mut process = node.spawn().context("cannot start node: is it installed?")?;
        let mut input = process.stdin.take().context("no standard input")?;
        let output = BufReader::new(process.stdout.take().context("no standard output")?).lines();
        let plan = FleetPlan {
            gateways: gateways.iter().map(|it| Gateway { name: &it.name, url: &it.http }).collect(),
            clients: plans.iter().map(|plan| client_plan(plan, access)).collect::<Result<_>>()?,
        };
        input.write_all(format!("{}\n", serde_json::to_string(&plan)?).as_bytes()).await?;
        Ok(Self { process, input, output, errors, recorder })
    }

    pub(super) async fn run(mut self, mut phase: watch::Receiver<Phase>) -> Result<()> {
        loop {
            tokio::select! {
                line = self.output.next_line() => match line? {
                    Some(line) => self.take(&line)?,
                    None => bail!(self.problem("ended by themselves")),
                },
                // Whoever told the phases has gone: so has the run.
                changed = phase.changed() => {
                    if changed.is_err() || *phase.borrow_and_update() == Phase::Stop {
                        return self.end().await;
                    }
                    self.input.write_all(b"quiet\n").await?;
                }
            }
        }
    }

    async fn end(mut self) -> Result<()> {
        self.input.write_all(b"stop\n").await?;
        let rest = async {
            while let Some(line) = self.output.next_line().await? {
                self.take(&line)?;
            }
            anyhow::Ok(self.process.wait().await?)
        };
        let Ok(status) = timeout(END_BOUND, rest).await else { bail!(self.problem("do not end")) };
        ensure!(status?.success(), self.problem("failed"));
        Ok(())
    }

    fn take(&self, line: &str) -> Result<()> {
        let told: Told = serde_json::from_str(line).with_context(|| format!("Socket.IO clients said {line}"))?;
        self.recorder.note(&told.client, told.connection, told.note);
        Ok(())
    }

    fn problem(&self, what: &str) -> String {
        let said = fs::read_to_string(&self.errors).unwrap_or_default();
        let start = said.char_indices().rev().nth(QUOTED_CHARACTERS).map_or(0, |(index, _)| index);
        format!("the Socket.IO clients {what}; they said:\n{}", &said[start..])
    }
}

fn client_plan<'a>(plan: &'a Plan, access: &Access) -> Result<ClientPlan<'a>> {
    let Kind::SocketIo(version, transport) = plan.kind else { bail!("{} is no client of Socket.IO", plan.name) };
    Ok(ClientPlan {
        name: &plan.name,
        token: access.token(&plan.name)?,
        teams: &plan.teams,
        gateway: plan.gateway,
        version,
        transports: transport.names(),
        messages_per_second: plan.messages_per_second,
        // The script's generator has 32 bits.
        seed: u32::try_from(plan.seed & u64::from(u32::MAX)).unwrap_or_default(),
    })
}
