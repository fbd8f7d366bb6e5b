//! `huddle migrate`: brings Postgres and the log to this version.

use crate::{
    config::ConfigArgs,
    failure::Failure,
    process::{connect_log, connect_store, prepare_log, store_failure},
};

/// Bring the database and the log to this version; safe to run again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Creates or updates the schema in Postgres, then makes sure that every partition of the log exists on NATS and goes on
above what is stored. Several at once are fine: one does the work.

Examples:
  huddle migrate --config huddle.toml
  huddle migrate --set store.url=postgres://huddle@127.0.0.1/huddle --skip-log")]
pub(crate) struct Args {
    /// Only the database, not the log.
    #[arg(long)]
    skip_log: bool,
}

pub(crate) async fn run(args: Args, config: &ConfigArgs) -> Result<(), Failure> {
    let config = config.load_for_backends()?;
    let version = huddle_store_postgres::migrate(&config.store).await.map_err(store_failure)?;
    println!("database: schema {version}");
    if !args.skip_log {
        let store = connect_store(&config).await?;
        let log = connect_log(&config).await?;
        prepare_log(&config, &log, &store).await?;
        println!("log: {} partition(s) ready", log.partitions().iter().count());
    }
    Ok(())
}
