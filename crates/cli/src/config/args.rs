//! Where the configuration comes from: a file, the environment, flags.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use clap::ValueEnum;
use huddle_service::{
    config::{self, Override},
    telemetry::{self, Format, TelemetryConfig},
};

use super::{Config, Mistake, PATHS, SECRETS, place};
use crate::failure::Failure;

/// Read when it exists and no other file is named.
const DEFAULT_FILE: &str = "huddle.toml";

/// The settings that name a cluster.
const CLUSTER_SETTINGS: [&str; 3] = ["store.url", "store.url_file", "log.servers"];

/// The environment variables that carry configuration: the file's name, and all that hold two underscores.
pub(crate) const SETTING_VARIABLES: (&str, &str, &str) = ("HUDDLE_CONFIG", "HUDDLE_", "__");

/// What client commands log unless asked for more.
const QUIET_FILTER: &str = "warn";
/// What a command logs that reports failures itself.
const SILENT_FILTER: &str = "off";

/// The options that every command has.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct ConfigArgs {
    /// Configuration file. Default: ./huddle.toml if there is one.
    #[arg(long, value_name = "FILE", env = "HUDDLE_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Set one setting, such as `log.replicas=3`; wins over file and environment. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting, global = true)]
    settings: Vec<(String, String)>,
    /// What to log, such as `info` or `info,huddle_gateway=debug`; the setting `telemetry.filter`.
    #[arg(long, value_name = "FILTER", global = true)]
    log_filter: Option<String>,
    /// How to log; the setting `telemetry.format`.
    #[arg(long, value_name = "FORMAT", global = true)]
    log_format: Option<LogFormat>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as log.replicas=3".to_owned()),
    }
}

impl ConfigArgs {
    /// The file that is read, if any.
    pub(crate) fn file(&self) -> Option<&Path> {
        let present = || Some(Path::new(DEFAULT_FILE)).filter(|path| path.exists());
        self.config.as_deref().or_else(present)
    }

    /// The settings of the command line.
    pub(crate) fn overrides(&self) -> Vec<Override> {
        let setting =
            |flag: String, key: &str, value: &str| Override { flag, key: key.to_owned(), value: value.to_owned() };
        let settings = self.settings.iter().map(|(key, value)| setting(format!("--set {key}"), key, value));
        let filter =
            self.log_filter.iter().map(|filter| setting("--log-filter".to_owned(), "telemetry.filter", filter));
        let format = self.log_format.iter().map(|format| {
            let name = match format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            };
            setting("--log-format".to_owned(), "telemetry.format", name)
        });
        settings.chain(filter).chain(format).collect()
    }

    /// The same settings for a process of our own that reads another file.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let settings = self.overrides().into_iter();
        settings.flat_map(|setting| ["--set".to_owned(), format!("{}={}", setting.key, setting.value)]).collect()
    }

    /// The configuration, typed but not checked further.
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        Ok(config::load(self.file(), config::process_environment()?, &self.overrides(), &SECRETS, &PATHS)?)
    }

    /// The configuration as a service needs it: checked, tokens' keys included, and with logging set up by it.
    pub(crate) fn load_for_service(&self) -> Result<Config, Failure> {
        let config = self.load_for_backends()?;
        config.check_auth().map_err(|mistake| self.placed(mistake))?;
        Ok(config)
    }

    /// Reads what a service would that lets users in, and that is not in the configuration itself.
    pub(crate) fn check_files(&self, config: &Config) -> Result<(), Failure> {
        config.check_revoked_file().map_err(|mistake| self.placed(mistake))
    }

    /// The configuration as the one process needs it that is everything: checked, safe without a secret, and with a log
    /// output of warnings unless another was asked for.
    pub(crate) fn load_for_one_process(&self) -> Result<Config, Failure> {
        let mut config = self.load()?;
        if !self.is_set("telemetry.filter") {
            QUIET_FILTER.clone_into(&mut config.telemetry.filter);
        }
        telemetry::init(&config.telemetry).map_err(Failure::usage)?;
        for check in [Config::check, Config::check_auth_but_secret, Config::check_secret_or_local] {
            check(&config).map_err(|mistake| self.placed(mistake))?;
        }
        Ok(config)
    }

    /// The configuration as a service needs it, for a command that says itself what it finds: nothing is logged unless the
    /// flags ask for it.
    pub(crate) fn load_for_checkup(&self) -> Result<Config, Failure> {
        let config = self.load()?;
        let filter = self.log_filter.clone().unwrap_or_else(|| SILENT_FILTER.to_owned());
        telemetry::init(&TelemetryConfig { filter, ..config.telemetry.clone() }).map_err(Failure::usage)?;
        for check in [Config::check, Config::check_auth] {
            check(&config).map_err(|mistake| self.placed(mistake))?;
        }
        Ok(config)
    }

    /// The first setting that somebody has set and that names a cluster; `None` when there is none.
    pub(crate) fn cluster_setting(&self) -> Option<&'static str> {
        CLUSTER_SETTINGS.into_iter().find(|setting| self.is_set(setting))
    }

    /// Whether the setting `key` was given, by whatever source.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.origin(key).is_some()
    }

    /// The configuration as a command needs it that talks to the backends and to nobody else.
    pub(crate) fn load_for_backends(&self) -> Result<Config, Failure> {
        let config = self.load()?;
        telemetry::init(&config.telemetry).map_err(Failure::usage)?;
        config.check().map_err(|mistake| self.placed(mistake))?;
        Ok(config)
    }

    fn placed(&self, mistake: Mistake) -> Failure {
        match self.origin(&mistake.key) {
            Some(origin) => Failure::usage(anyhow!("{origin}: {mistake}")),
            None => Failure::usage(mistake),
        }
    }

    /// Where the setting `key` was given, the strongest source first; `None` when it has its default.
    fn origin(&self, key: &str) -> Option<String> {
        let flag = self.overrides().into_iter().rev().find(|setting| setting.key == key);
        let variable = format!("HUDDLE_{}", key.replace('.', "__").to_ascii_uppercase());
        flag.map(|setting| format!("flag {}", setting.flag))
            .or_else(|| env::var_os(&variable).map(|_| format!("environment variable {variable}")))
            .or_else(|| place::of(self.file()?, key))
    }

    /// Logging for commands that talk to people: nothing but warnings, unless the flags say otherwise.
    pub(crate) fn init_quiet_telemetry(&self) -> Result<(), Failure> {
        let filter = self.log_filter.clone().unwrap_or_else(|| QUIET_FILTER.to_owned());
        let format = match self.log_format {
            Some(LogFormat::Json) => Format::Json,
            Some(LogFormat::Text) | None => Format::Text,
        };
        telemetry::init(&TelemetryConfig { format, filter }).map_err(Failure::usage)
    }
}
