//! Owns clients of Socket.IO that a test leads step by step: npm's `socket.io-client`, in
//! `tests/clients/socketio_by_hand.mjs`.

use std::{
    collections::{HashMap, VecDeque},
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use huddle_devstack::Tools;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::mpsc,
    time::{Instant, timeout_at},
};

use crate::Transport;

/// How long anything may take that a socket waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process with any number of sockets. It ends when it is dropped.
#[derive(Debug)]
pub struct Console {
    _process: Child,
    input: Input,
    sockets: Sockets,
}

type Input = Arc<tokio::sync::Mutex<ChildStdin>>;
type Sockets = Arc<Mutex<HashMap<String, mpsc::UnboundedSender<Told>>>>;

#[derive(Debug, Deserialize)]
struct Told {
    socket: String,
    event: Option<String>,
    ack: Option<u64>,
    args: Vec<Value>,
}

/// How a socket is opened.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Of `socket.io-client`: 2, 3 or 4.
    pub version: u8,
    /// How it talks.
    pub transport: Transport,
    /// Options of the library besides that: `auth`, `query`, `extraHeaders`, `reconnection`.
    pub options: Value,
}

/// A socket of Socket.IO. What it receives waits until somebody asks for it.
#[derive(Debug)]
pub struct Socket {
    name: String,
    input: Input,
    incoming: mpsc::UnboundedReceiver<Told>,
    waiting: VecDeque<Told>,
    last_ack: u64,
}

impl Console {
    /// Starts the process.
    pub fn start() -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/socketio_by_hand.mjs");
        let mut node = Command::new("node");
        node.arg(script).env("NODE_PATH", Tools::locate()?.node_modules()?);
        node.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = node.spawn().context("cannot start node")?;
        let input = process.stdin.take().context("no standard input")?;
        let output = process.stdout.take().context("no standard output")?;
        let sockets = Sockets::default();
        tokio::spawn(hand_out(output, Arc::clone(&sockets)));
        Ok(Self { _process: process, input: Arc::new(tokio::sync::Mutex::new(input)), sockets })
    }

    /// Opens a socket at `http://host:port`, or `http://host:port/namespace`; does not wait for the outcome. What is
    /// emitted before it is connected goes out right after that.
    pub async fn open(&self, url: &str, opening: Opening) -> Result<Socket> {
        let Opening { version, transport, mut options } = opening;
        options["transports"] = json!(transport.names());
        let (sender, incoming) = mpsc::unbounded_channel();
        let name = {
            let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
            let name = format!("socket-{}", sockets.len());
            sockets.insert(name.clone(), sender);
            name
        };
        let socket = Socket { name, input: Arc::clone(&self.input), incoming, waiting: VecDeque::new(), last_ack: 0 };
        socket.tell(json!({ "open": socket.name, "version": version, "url": url, "options": options })).await?;
        Ok(socket)
    }
}

async fn hand_out(output: ChildStdout, sockets: Sockets) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(told) = serde_json::from_str::<Told>(&line) else { return };
        let sockets = sockets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = sockets.get(&told.socket) {
            socket.send(told).ok();
        }
    }
}

impl Socket {
    /// Waits until it is connected.
    pub async fn connected(&mut self) -> Result<()> {
        self.take(|told| told.event.as_deref() == Some("connect")).await.map(drop)
    }

    /// Waits until the server has refused it; returns `message` and, from version 3 on, `data`.
    pub async fn refused(&mut self) -> Result<Value> {
        self.next("refused").await
    }

    /// Waits for the next event `name`; returns its only argument.
    pub async fn next(&mut self, name: &str) -> Result<Value> {
        let told = self.take(|told| told.event.as_deref() == Some(name)).await;
        let told = told.with_context(|| format!("waiting for {name}"))?;
        only(told.args)
    }

    /// The events `name` that have come and that nobody has asked for. Each an array of its arguments.
    pub fn left(&mut self, name: &str) -> Vec<Value> {
        while let Ok(told) = self.incoming.try_recv() {
            self.waiting.push_back(told);
        }
        let named = |told: &&Told| told.event.as_deref() == Some(name);
        self.waiting.iter().filter(named).map(|told| Value::from(told.args.clone())).collect()
    }

    /// Emits an event without an ack callback.
    pub async fn emit(&self, event: &str, argument: &Value) -> Result<()> {
        self.tell(json!({ "emit": self.name, "event": event, "args": [argument], "ack": null })).await
    }

    /// Emits an event and waits for its acknowledgement.
    pub async fn ask(&mut self, event: &str, argument: &Value) -> Result<Value> {
        self.last_ack += 1;
        let ack = self.last_ack;
        self.tell(json!({ "emit": self.name, "event": event, "args": [argument], "ack": ack })).await?;
        let told = self.take(|told| told.ack == Some(ack)).await;
        let told = told.with_context(|| format!("waiting for the acknowledgement of {event}"))?;
        only(told.args)
    }

    /// The auth payload of its connections from now on. For versions 3 and 4. A `resume` in it, as in that of
    /// [`Opening::options`], is kept up with what is received.
    pub async fn set_auth(&self, data: &Value) -> Result<()> {
        self.tell(json!({ "auth": self.name, "data": data })).await
    }

    /// Ends its connection; the library makes a new one by itself.
    pub async fn drop_connection(&self) -> Result<()> {
        self.tell(json!({ "drop": self.name })).await
    }

    /// Ends its connection for good.
    pub async fn close(&self) -> Result<()> {
        self.tell(json!({ "close": self.name })).await
    }

    async fn tell(&self, what: Value) -> Result<()> {
        let written = self.input.lock().await.write_all(format!("{what}\n").as_bytes()).await;
        written.context("the console does not listen")
    }

    async fn take(&mut self, is_wanted: impl Fn(&Told) -> bool) -> Result<Told> {
        if let Some(place) = self.waiting.iter().position(&is_wanted) {
            return self.waiting.remove(place).context("it was there");
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match timeout_at(deadline, self.incoming.recv()).await {
                Ok(Some(told)) if is_wanted(&told) => return Ok(told),
                Ok(Some(told)) => self.waiting.push_back(told),
                Ok(None) => bail!("{}: the console has ended; left is {:?}", self.name, self.waiting),
                Err(_) => bail!("{}: nothing within {PATIENCE:?}; left is {:?}", self.name, self.waiting),
            }
        }
    }
}

fn only(args: Vec<Value>) -> Result<Value> {
    match <[Value; 1]>::try_from(args) {
        Ok([value]) => Ok(value),
        Err(args) => bail!("{} arguments instead of one: {args:?}", args.len()),
    }
}
