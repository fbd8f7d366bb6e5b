//! Starting and stopping: the tasks of a process, the two stages of its shutdown, and the signals that begin it.
//! There is no global state: every [`Lifecycle`] is on its own.

mod run;
mod shutdown;
#[cfg(test)]
mod tests;

pub use run::{Lifecycle, LifecycleError};
pub use shutdown::Shutdown;
