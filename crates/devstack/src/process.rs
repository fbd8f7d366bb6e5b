//! Owns a child process: its log, its signals, and that it ends.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::watchdog::Watchdog;

/// How often an exit or a log line is looked for. Not tied to a runtime's child reaper: a process may outlive the
/// tokio runtime that started it, as when tests with a runtime each share one server.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How long a dropped process has between its last signal and SIGKILL. Postgres needs up to 5 s of it when one of its
/// own children hangs.
const DROP_GRACE: Duration = Duration::from_secs(6);

/// Lines of a child's log that an error quotes.
const QUOTED_LINES: usize = 30;

/// The part of a log that is searched for its last lines.
const LOG_TAIL_BYTES_MAX: u64 = 64 * 1024;

/// The signals that tests and the development stack send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT; for Postgres a fast shutdown.
    Interrupt,
    /// SIGTERM; asks for an orderly end.
    Terminate,
    /// SIGQUIT; for Postgres an immediate shutdown without a checkpoint.
    Quit,
    /// SIGKILL; cannot be caught.
    Kill,
    /// SIGSTOP; the process stands still until [`Signal::Continue`].
    Stop,
    /// SIGCONT.
    Continue,
    /// SIGHUP; for servers that reload their configuration.
    HangUp,
}

impl Signal {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "INT",
            Self::Terminate => "TERM",
            Self::Quit => "QUIT",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
            Self::HangUp => "HUP",
        }
    }
}

impl From<Signal> for rustix::process::Signal {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Interrupt => Self::INT,
            Signal::Terminate => Self::TERM,
            Signal::Quit => Self::QUIT,
            Signal::Kill => Self::KILL,
            Signal::Stop => Self::STOP,
            Signal::Continue => Self::CONT,
            Signal::HangUp => Self::HUP,
        }
    }
}

/// A running child in a process group of its own, so that a Ctrl-C at the terminal reaches only us.
///
/// What it prints goes to a log file. Dropping it ends the whole group and reaps the child; that blocks the thread for
/// as long as the child takes to end, at most a few seconds.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    exited: Option<ExitStatus>,
    log: PathBuf,
    /// Where this child's output begins; the file may hold that of earlier ones.
    log_start_bytes: u64,
    last_signal: Signal,
    /// Present while the child is not reaped, and never longer: its pid may then belong to somebody else.
    watchdog: Option<Watchdog>,
}

impl Process {
    /// Starts `command` with both outputs appended to the file `log`, whose directory is made if needed, and with an
    /// empty standard input. Whatever the command says about these three is overridden.
    ///
    /// `name` is for messages only. The process ends with SIGKILL when it is dropped.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be started; the error names both.
    pub fn spawn(name: &str, command: Command, log: &Path) -> Result<Self> {
        Self::spawn_with_last_signal(name, command, log, Signal::Kill)
    }

    /// As [`Process::spawn`], and a drop (or this program's death) sends `last_signal`. After a drop SIGKILL follows
    /// when the child is still there after 6 s.
    pub fn spawn_with_last_signal(name: &str, mut command: Command, log: &Path, last_signal: Signal) -> Result<Self> {
        let output = open_log(log)?;
        let log_start_bytes = output.metadata()?.len();
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let child =
            command.spawn().with_context(|| format!("cannot start {name} ({})", command.get_program().display()))?;
        let mut process = Self {
            name: name.to_owned(),
            child,
            exited: None,
            log: log.to_owned(),
            log_start_bytes,
            last_signal,
            watchdog: None,
        };
        let watchdog = Watchdog::over(process.pid(), last_signal);
        process.watchdog = Some(watchdog.with_context(|| format!("cannot watch over {name}"))?);
        Ok(process)
    }

    /// The name given at the start.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id; of a process that has ended, the one it had.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file that holds its output.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// How it ended, or `None` while it runs.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        if self.exited.is_none() {
            let status = self.child.try_wait().with_context(|| format!("cannot ask after {}", self.name))?;
            if status.is_some() {
                self.exited = status;
                self.watchdog = None;
            }
        }
        Ok(self.exited)
    }

    /// Whether it has not ended yet. A process that is stopped by SIGSTOP runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.exit_status(), Ok(None))
    }

    /// Sends a signal to the process itself, not to its children.
    ///
    /// # Errors
    /// When it has ended: its pid may belong to somebody else by now.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if let Some(status) = self.exit_status()? {
            bail!("{} has ended already ({status})", self.name);
        }
        let pid = self.rustix_pid()?;
        rustix::process::kill_process(pid, signal.into())
            .with_context(|| format!("cannot send SIG{} to {}", signal.name(), self.name))
    }

    /// Kills it with SIGKILL and reaps it. Its children live on, as they would after a crash.
    pub fn kill9(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::Kill)?;
        let status = self.child.wait().with_context(|| format!("cannot reap {}", self.name))?;
        self.exited = Some(status);
        self.watchdog = None;
        Ok(status)
    }

    /// Stops it from running (SIGSTOP), as a machine that hangs: its sockets stay open and silent.
    pub fn pause(&mut self) -> Result<()> {
        self.signal(Signal::Stop)
    }

    /// Lets a paused process go on.
    pub fn resume(&mut self) -> Result<()> {
        self.signal(Signal::Continue)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `bound`; the error quotes its log.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn wait(&mut self, bound: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + bound;
        loop {
            if let Some(status) = self.exit_status()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                bail!("{} still runs after {bound:?}; {}", self.name, self.quoted_log());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Asks it to end with `signal`, and kills it when it has not after `grace`. A paused process is resumed first. One
    /// that has ended already is fine.
    pub async fn stop(&mut self, signal: Signal, grace: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.exit_status()? {
            return Ok(status);
        }
        self.signal(signal)?;
        self.signal_if_running(Signal::Continue)?;
        match self.wait(grace).await {
            Ok(status) => Ok(status),
            Err(_) => self.kill9(),
        }
    }

    /// Waits until the output of this process holds `text`.
    ///
    /// # Errors
    /// When it ends before that, or `bound` has passed; the error quotes its log.
    pub async fn wait_for_output(&mut self, text: &str, bound: Duration) -> Result<()> {
        let deadline = Instant::now() + bound;
        loop {
            let ended = self.exit_status()?;
            if self.output()?.contains(text) {
                return Ok(());
            }
            if let Some(status) = ended {
                bail!("{} ended ({status}) and never said {text:?}; {}", self.name, self.quoted_log());
            }
            if Instant::now() >= deadline {
                bail!("{} did not say {text:?} within {bound:?}; {}", self.name, self.quoted_log());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Everything that this process has printed so far; bytes that are not UTF-8 are replaced.
    pub fn output(&self) -> Result<String> {
        self.read_log(self.log_start_bytes).with_context(|| format!("cannot read {}", self.log.display()))
    }

    /// The last `lines` lines that this process has printed, at most 64 KiB of them; empty when its log cannot be read.
    pub fn log_tail(&self, lines: usize) -> String {
        let length = fs::metadata(&self.log).map_or(0, |metadata| metadata.len());
        let start = self.log_start_bytes.max(length.saturating_sub(LOG_TAIL_BYTES_MAX));
        let text = self.read_log(start).unwrap_or_default();
        let all: Vec<_> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// The end of the log as a part of an error message.
    pub(crate) fn quoted_log(&self) -> String {
        format!("the end of its log {}:\n{}", self.log.display(), self.log_tail(QUOTED_LINES))
    }

    fn read_log(&self, start_bytes: u64) -> std::io::Result<String> {
        let mut file = File::open(&self.log)?;
        file.seek(SeekFrom::Start(start_bytes))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn signal_if_running(&mut self, signal: Signal) -> Result<()> {
        if self.exit_status()?.is_some() { Ok(()) } else { self.signal(signal) }
    }

    fn rustix_pid(&self) -> Result<rustix::process::Pid> {
        let raw = i32::try_from(self.pid()).context("a pid beyond i32")?;
        rustix::process::Pid::from_raw(raw).context("a pid of zero")
    }

    /// Signals the whole group, whose id is the child's pid. Only before the child is reaped.
    fn signal_group(&self, signal: Signal) {
        if let Ok(group) = self.rustix_pid() {
            // Fails only when nobody of the group is left.
            let _ = rustix::process::kill_process_group(group, signal.into());
        }
    }

    fn ended_within(&mut self, bound: Duration) -> bool {
        let deadline = Instant::now() + bound;
        while self.is_running() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        true
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_running() {
            return;
        }
        if self.last_signal != Signal::Kill {
            self.signal_group(self.last_signal);
            self.signal_group(Signal::Continue);
            if self.ended_within(DROP_GRACE) {
                return;
            }
        }
        self.signal_group(Signal::Kill);
        // A killed child is reaped at once; an error would mean that somebody else reaped it.
        let _ = self.child.wait();
        self.watchdog = None;
    }
}

fn open_log(path: &Path) -> Result<File> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot open the log {}", path.display()))
}
