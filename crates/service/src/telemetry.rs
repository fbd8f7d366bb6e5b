//! Log output: format, levels and destination. It never decides what is logged.

use std::io::{self, IsTerminal};

use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Dependencies that speak at a level that helps nobody who runs Huddle. A filter that names one of them wins.
const QUIET: &str = "actix_http=warn,actix_server=warn,async_nats=warn,h2=warn,hyper=warn,hyper_util=warn,mio=warn,\
                     sqlx=warn,tonic=warn,tower=warn";

/// How a process logs. Everything goes to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// `text` for people, `json` (one object a line) for collectors. Default: `text`.
    pub format: Format,
    /// Levels: a level for everything (`info`), then per target (`huddle_gateway=debug`), separated by commas.
    /// Default: `info`.
    pub filter: String,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { format: Format::Text, filter: "info".to_owned() }
    }
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people: coloured on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error(
        "the log filter {filter:?} is not understood: {source}; \
         `telemetry.filter` takes a form like \"info\" or \"info,huddle_gateway=debug\""
    )]
    Filter {
        /// The filter as configured.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The process already has a subscriber.
    #[error("logging is already set up in this process")]
    AlreadyInstalled(#[from] tracing_subscriber::util::TryInitError),
}

/// Installs the process's log output. To be called once, by programs only.
pub fn init(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    subscriber(config, io::stderr, io::stderr().is_terminal())?.try_init()?;
    Ok(())
}

fn subscriber<W>(
    config: &TelemetryConfig,
    writer: W,
    colours: bool,
) -> Result<impl Subscriber + Send + Sync, TelemetryError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .parse(format!("{QUIET},{}", config.filter))
        .map_err(|source| TelemetryError::Filter { filter: config.filter.clone(), source })?;
    let output = fmt::layer().with_writer(writer).with_ansi(colours);
    let output = match config.format {
        Format::Text => output.boxed(),
        Format::Json => output.json().flatten_event(true).boxed(),
    };
    Ok(Registry::default().with(filter).with(output))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Capture(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Capture {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log_of(format: Format, filter: &str, logging: impl FnOnce()) -> String {
        let capture = Capture::default();
        let writer = capture.clone();
        let config = TelemetryConfig { format, filter: filter.to_owned() };
        let subscriber = subscriber(&config, move || writer.clone(), false).unwrap();
        tracing::subscriber::with_default(subscriber, logging);
        let bytes = capture.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_lines_hold_the_fields_of_the_event() {
        let log = log_of(Format::Json, "info", || tracing::info!(team = "7", "message stored"));
        let line: serde_json::Value = serde_json::from_str(log.trim()).unwrap();
        assert_eq!(line["message"], "message stored");
        assert_eq!(line["team"], "7");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn the_filter_decides_what_is_written() {
        let log = log_of(Format::Text, "info,quiet_one=warn", || {
            tracing::debug!("too detailed");
            tracing::info!(target: "quiet_one", "too quiet");
            tracing::info!("just right");
        });
        assert!(log.contains("just right"), "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
    }

    #[test]
    fn noisy_dependencies_are_quiet_unless_named() {
        let noise = || tracing::debug!(target: "h2", "frame");
        assert_eq!(log_of(Format::Text, "debug", noise), "");
        assert!(log_of(Format::Text, "debug,h2=debug", noise).contains("frame"));
    }

    #[test]
    fn a_broken_filter_names_the_setting() {
        let config = TelemetryConfig { filter: "huddle=loud".to_owned(), ..TelemetryConfig::default() };
        let error = subscriber(&config, io::sink, false).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("telemetry.filter") && error.contains("huddle=loud"), "{error}");
    }
}
