//! How a command fails: what is printed, and with which exit code the program ends.

use std::{fmt, process::ExitCode};

use huddle_service::config::ConfigError;

/// The exit code of wrong usage, as clap's own errors have it, and of a wrong configuration.
const EXIT_USAGE: u8 = 2;
const EXIT_FAILURE: u8 = 1;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    error: anyhow::Error,
    exit_code: u8,
}

impl Failure {
    /// The command was right and could not be done.
    pub(crate) fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self { error: error.into(), exit_code: EXIT_FAILURE }
    }

    /// The command was right and could not be done; `advice` says what to do.
    pub(crate) fn with_advice(error: impl Into<anyhow::Error>, advice: impl fmt::Display) -> Self {
        let told = Self::failed(error);
        Self::failed(anyhow::anyhow!("{told}; {advice}"))
    }

    /// The command line or the configuration is wrong.
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { error: error.into(), exit_code: EXIT_USAGE }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        self.exit_code.into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.error.to_string();
        f.write_str(&last)?;
        for cause in self.error.chain().skip(1) {
            let cause = cause.to_string();
            // Many errors repeat their source in their own text.
            if !last.contains(&cause) {
                write!(f, ": {cause}")?;
                last = cause;
            }
        }
        Ok(())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once() {
        let inner = anyhow::anyhow!("connection refused");
        let failure = Failure::failed(inner.context("cannot reach it: connection refused").context("no log"));
        assert_eq!(failure.to_string(), "no log: cannot reach it: connection refused");
    }
}
