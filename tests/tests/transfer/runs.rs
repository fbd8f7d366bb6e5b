//! Runs of `huddle export` and `huddle import`, some of them killed on the way.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use huddle_tests::huddle;
use rand::RngExt as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::{sleep, timeout},
};

/// A run is killed once it has told of this many teams, at most. Two of them leave some to the run that is not killed.
const TEAMS_BEFORE_A_KILL_MAX: u32 = 10;
/// And so much later, at most: in the middle of the next team.
const DELAY_OF_A_KILL_MAX: Duration = Duration::from_millis(40);
const PATIENCE: Duration = Duration::from_mins(2);

/// Runs commands in a directory of their own.
pub(crate) struct Runs {
    files: TempDir,
}

impl Runs {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { files: tempfile::tempdir()? })
    }

    pub(crate) fn files(&self) -> &Path {
        self.files.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.files().join(name)
    }

    /// Exports to `file`; what does it is killed twice.
    pub(crate) async fn export_killed(&self, instance: &[&str], file: &str) -> Result<Value> {
        for _ in 0..2 {
            self.kill("export", instance, file, "exported").await?;
            ensure!(!self.path(file).exists(), "the file has its name before it is whole");
        }
        let told = self.run("export", instance, file).await?;
        ensure!(told["continued"].as_u64() > Some(0), "it began anew: {told}");
        Ok(told)
    }

    /// Imports `file`; what does it is killed while it stores, and while it verifies.
    pub(crate) async fn import_killed(&self, instance: &[&str], file: &str) -> Result<Value> {
        self.kill("import", instance, file, "imported").await?;
        self.kill("import", instance, file, "verified").await?;
        let told = self.run("import", instance, file).await?;
        ensure!(told["present"] == told["events"] && told["verified"] == true, "everything was stored: {told}");
        Ok(told)
    }

    /// Runs the command to its end, and returns what it told last.
    ///
    /// # Errors
    /// When it fails; the error is what it said.
    pub(crate) async fn run(&self, command: &str, instance: &[&str], file: &str) -> Result<Value> {
        let output = timeout(PATIENCE, self.command(command, instance, file)?.output()).await??;
        let (told, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "huddle {command}: {}: {said}", output.status);
        let last: Value = serde_json::from_str(told.lines().last().context("it told nothing")?)?;
        ensure!(last["step"] == "done", "{last}");
        Ok(last)
    }

    /// Runs the command and kills it with SIGKILL at a random moment, some teams after the beginning of `step`.
    async fn kill(&self, command: &str, instance: &[&str], file: &str, step: &str) -> Result<()> {
        let (teams, delay) = {
            let mut rng = rand::rng();
            (rng.random_range(1..=TEAMS_BEFORE_A_KILL_MAX), rng.random_range(Duration::ZERO..=DELAY_OF_A_KILL_MAX))
        };
        eprintln!("huddle {command} {file}: killed {delay:?} after it {step} {teams} teams");
        let mut child = self.command(command, instance, file)?.spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let mut told = 0;
        while told < teams {
            let Some(line) = timeout(PATIENCE, lines.next_line()).await?? else {
                bail!("huddle {command} ended after {told} teams: {}", child.wait().await?);
            };
            let line: Value = serde_json::from_str(&line)?;
            told += u32::from(line["step"] == step && line["team"].is_string());
        }
        sleep(delay).await;
        child.start_kill()?;
        let status = child.wait().await?;
        ensure!(status.code().is_none(), "huddle {command} ended before it was killed: {status}");
        Ok(())
    }

    fn command(&self, command: &str, instance: &[&str], file: &str) -> Result<Command> {
        let mut huddle = Command::from(huddle()?);
        huddle.arg(command).args(instance).arg("--json").arg(file).current_dir(self.files());
        huddle.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Ok(huddle)
    }
}
