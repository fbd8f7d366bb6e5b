//! Owns what the tests of faults share: a [`World`] is a cluster under load in which things are broken on purpose, with
//! everything written down that its clients do and see, and judged at the end.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use std::time::Duration;
//! use huddle_tests::faults::{World, WorldOptions};
//!
//! let mut world = World::start(WorldOptions::of("F1")).await?;
//! world.fault("F1", "gateway-0 killed");
//! world.cluster.gateways[0].kill9()?;
//! world.until_back(Duration::from_secs(10)).await?;
//! world.cluster.gateways[0].restart().await?;
//! world.healed("F1");
//! let measured = world.measure();
//! assert!(measured.gateways["gateway-0"].gap <= Duration::from_secs(5), "{measured}");
//! world.settle().await?;
//! world.finish().await
//! # }
//! ```

mod attempts;
mod board;
pub mod clock;
pub mod disk;
mod fleet;
mod front;
mod measure;
mod oracle;
mod recorder;
pub mod schedule;
mod tape;
mod timeline;
pub mod wire;
mod world;

pub use attempts::{Attempt, AttemptEnd, attempts};
pub use board::{Board, ClientState, Place, SendKey};
pub use fleet::{Fleet, FleetOptions, Teams};
pub use front::{Front, OldProxy};
pub use measure::{GatewayGap, Measured, UNAFFECTED_FLOOR};
pub use oracle::{DRAIN_BOUND, SETTLE_BOUND, SETTLE_MARGIN, Verdict};
pub use recorder::{Recorder, WORLD};
pub use tape::{Acceptance, ConnectionMoment, FaultMark, Tape};
pub use timeline::draw;
pub use world::{DIRECTORY_VARIABLE, SEED_VARIABLE, World, WorldOptions, files_of_runs};
