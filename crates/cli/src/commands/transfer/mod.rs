//! What export and import share: which instance, and how progress is shown.

mod instance;
mod progress;

pub(super) use instance::{InstanceArgs, failure};
pub(super) use progress::{Display, OutputArgs, Work};
