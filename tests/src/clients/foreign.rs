//! Owns the processes of clients that we did not write: `native_ws.mjs`, `native_ws.py`, `socketio_by_plan.mjs` and
//! `socketio_by_plan.py` in `tests/clients`.
//!
//! Such a process reads its plan, one line of JSON, then the words `go` and `stop`, from its standard input; it answers
//! with the words `caught_up` and `done`. What it receives it writes to the plan's `record`, each line a JSON object with
//! the connection's name, its number (`attempt`) and the frame as it came, or the name of an event of Socket.IO
//! (`socketio`), its `data` and when it came (`at_ms`, Unix time). It ends when its input does.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use huddle_devstack::Tools;
use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::{ClientKind, ConnectionPlan, Entry, Library, Record, Transport, record::Line};

/// What an error quotes of what clients said, and of what they received.
const QUOTED_CHARACTERS: usize = 2_000;

#[derive(Debug)]
pub(super) struct ForeignClients {
    kind: ClientKind,
    names: Vec<String>,
    record: PathBuf,
    errors: PathBuf,
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    heard: Vec<&'static str>,
}

#[derive(Serialize)]
struct Plan<'a> {
    record: &'a Path,
    connections: &'a [ConnectionPlan],
    client: Option<SocketIo>,
}

#[derive(Serialize)]
struct SocketIo {
    /// The library's, where it has several.
    version: Option<u8>,
    transports: &'static [&'static str],
}

impl SocketIo {
    fn of(kind: ClientKind) -> Option<Self> {
        let ClientKind::SocketIo(library, transport) = kind else { return None };
        let version = match library {
            Library::JavaScript2 => Some(2),
            Library::JavaScript3 => Some(3),
            Library::JavaScript4 => Some(4),
            Library::Python => None,
        };
        Some(Self { version, transports: Transport::names(transport) })
    }
}

impl ForeignClients {
    pub(super) async fn start(kind: ClientKind, plans: Vec<ConnectionPlan>, files: &Path) -> Result<Self> {
        let mut command = command(kind)?;
        let directory = tempfile::Builder::new().prefix("clients-").tempdir_in(files)?.keep();
        let (record, errors) = (directory.join("record"), directory.join("errors"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(fs::File::create(&errors)?).kill_on_drop(true);
        let mut process = command
            .spawn()
            .with_context(|| format!("cannot start the {kind:?} clients: is the interpreter installed?"))?;
        let input = process.stdin.take().context("no standard input")?;
        let output = BufReader::new(process.stdout.take().context("no standard output")?).lines();
        let names = plans.iter().map(|plan| plan.name.clone()).collect();
        let client = SocketIo::of(kind);
        ensure!(
            client.is_none() || plans.iter().all(|plan| plan.urls.len() == 1),
            "clients of Socket.IO have one address"
        );
        let plan = serde_json::to_string(&Plan { record: &record, connections: &plans, client })?;
        let mut clients = Self { kind, names, record, errors, process, input, output, heard: Vec::new() };
        clients.say(&plan).await?;
        Ok(clients)
    }

    pub(super) async fn say(&mut self, line: &str) -> Result<()> {
        let said = self.input.write_all(format!("{line}\n").as_bytes()).await;
        said.with_context(|| self.problem("do not listen"))
    }

    /// Waits until the clients have said `word`.
    pub(super) async fn expect(&mut self, word: &'static str, bound: Duration) -> Result<()> {
        if self.heard.contains(&word) {
            return Ok(());
        }
        match timeout(bound, self.output.next_line()).await {
            Ok(Ok(Some(line))) if line == word => {
                self.heard.push(word);
                Ok(())
            }
            Ok(Ok(Some(line))) => bail!(self.problem(&format!("said {line:?} instead of {word:?}"))),
            Ok(Ok(None)) => bail!(self.problem(&format!("ended before they said {word:?}"))),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => bail!(self.problem(&format!("did not say {word:?} within {bound:?}"))),
        }
    }

    pub(super) async fn stop(mut self, bound: Duration) -> Result<Vec<Record>> {
        self.say("stop").await?;
        let ended = timeout(bound, self.process.wait()).await;
        let status = ended.with_context(|| self.problem(&format!("did not stop within {bound:?}")))??;
        ensure!(status.success(), self.problem(&format!("ended with {status}")));
        let text = fs::read_to_string(&self.record).with_context(|| self.problem("left no record"))?;
        let mut entries: HashMap<String, Vec<Entry>> = HashMap::new();
        for line in text.lines() {
            let line: Line = serde_json::from_str(line).with_context(|| format!("{:?} received {line}", self.kind))?;
            entries.entry(line.connection.clone()).or_default().extend(line.entries()?);
        }
        let record =
            |name: &String| Record { connection: name.clone(), entries: entries.remove(name).unwrap_or_default() };
        Ok(self.names.iter().map(record).collect())
    }

    fn problem(&self, what: &str) -> String {
        let (said, received) = (end_of(&self.errors), end_of(&self.record));
        format!("the {:?} clients {what}; they said:\n{said}\nand received:\n{received}", self.kind)
    }
}

fn end_of(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let start = text.char_indices().rev().nth(QUOTED_CHARACTERS).map_or(0, |(index, _)| index);
    text[start..].to_owned()
}

fn command(kind: ClientKind) -> Result<Command> {
    let tools = Tools::locate()?;
    let script = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name);
    let node = |name: &str| {
        let mut node = Command::new("node");
        node.arg(script(name)).env("NODE_PATH", tools.node_modules()?);
        anyhow::Ok(node)
    };
    let python = |name: &str| {
        let mut python = Command::new(tools.python()?);
        python.arg(script(name));
        anyhow::Ok(python)
    };
    Ok(match kind {
        ClientKind::Node => node("native_ws.mjs")?,
        ClientKind::Python => python("native_ws.py")?,
        ClientKind::SocketIo(Library::Python, _) => python("socketio_by_plan.py")?,
        ClientKind::SocketIo(..) => node("socketio_by_plan.mjs")?,
        ClientKind::Rust => bail!("our own clients are no process"),
    })
}
