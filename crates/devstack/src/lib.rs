//! Starts and stops real nats-server, Postgres and MariaDB processes, with private data directories on free ports of 127.0.0.1.
//!
//! Tests use it for the backends that they need, and `huddle up --cluster` for its own. Nothing here needs root, and
//! root may use it too: Postgres refuses to run as root and is then run as `nobody` (see [`Postgres`]), and so is MariaDB.
//!
//! # Nothing is left running
//!
//! A [`Process`] ends when it is dropped, on a panic too. When this program itself dies without a chance to drop
//! anything (`kill -9`, a test runner's timeout), a watchdog beside each child sees that and ends it.
//!
//! # Example
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use huddle_devstack::{Nats, NatsOptions, Postgres, PostgresOptions, Tools};
//!
//! let tools = Tools::locate()?;
//! let mut nats = Nats::start(&tools, NatsOptions::default()).await?;
//! let postgres = Postgres::start(&tools, PostgresOptions::for_tests()).await?;
//! let database = postgres.create_database("huddle").await?;
//! println!("{} and {database}", nats.url());
//!
//! nats.node(0).kill9()?;
//! nats.node(0).restart().await?;
//! # Ok(())
//! # }
//! ```

mod account;
mod data_dir;
mod mariadb;
mod nats;
mod password;
mod ports;
mod postgres;
mod process;
mod tools;
mod watchdog;

pub use mariadb::MariaDb;
pub use nats::{Nats, NatsNode, NatsOptions, NatsRelease, Routes};
pub use ports::free_port;
pub use postgres::{Postgres, PostgresOptions};
pub use process::{Process, Signal};
pub use tools::Tools;

/// What a server does before it says that something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It syncs to disk: nothing acknowledged is lost in a power cut.
    Synced,
    /// It hands the data to the operating system: nothing acknowledged is lost when the process is killed.
    Relaxed,
}
