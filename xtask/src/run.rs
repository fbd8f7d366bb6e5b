//! Owns how this program starts others: always with a closed standard input, and with errors that name the command.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::repo;

/// What a failed command printed last is enough to see why.
const ERROR_LINES_MAX: usize = 20;

/// A command that runs in the root of the checkout and is never asked anything.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(repo::root()).stdin(Stdio::null());
    command
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command whose output goes to the terminal.
pub(crate) fn visibly(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", line(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", line(command));
    }
    Ok(())
}

/// Runs a command whose output goes to the terminal, and also returns the lines that it wrote to one of its outputs.
pub(crate) fn visibly_and_noted(command: &mut Command, output: Output) -> Result<(Vec<String>, bool)> {
    match output {
        Output::Standard => command.stdout(Stdio::piped()),
        Output::Error => command.stderr(Stdio::piped()),
    };
    let mut child = command.spawn().with_context(|| format!("cannot start {}", line(command)))?;
    let mut lines = Vec::new();
    let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn std::io::Read>);
    let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn std::io::Read>);
    if let Some(pipe) = stdout.or(stderr) {
        for text in BufReader::new(pipe).lines() {
            let text = text.with_context(|| format!("cannot read what {} says", line(command)))?;
            println!("{text}");
            lines.push(text);
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for {}", line(command)))?;
    Ok((lines, status.success()))
}

/// One of the two outputs of a program.
#[derive(Clone, Copy)]
pub(crate) enum Output {
    Standard,
    Error,
}

/// Runs a command and returns what it printed; what it printed last is part of the error when it fails.
pub(crate) fn quietly(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", line(command)))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let said = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
        let lines: Vec<_> = said.lines().collect();
        let shown = &lines[lines.len().saturating_sub(ERROR_LINES_MAX)..];
        bail!("{} failed ({}); its last lines:\n{}", line(command), output.status, shown.join("\n"));
    }
    Ok(stdout.into_owned())
}

/// Whether a command starts and succeeds; its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    format!("`{}`", words.join(" "))
}
