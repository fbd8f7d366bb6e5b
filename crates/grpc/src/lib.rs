//! What the gRPC services share: listening and draining, also within one process, who calls and until when, errors,
//! metrics, and waiting for a position to be stored. It knows no service's messages and judges nobody's rights.
#![deny(missing_docs)]

mod call;
mod deadline;
mod error;
mod host;
mod memory;
mod metrics;
mod server;
mod stored;

pub use call::{Call, page_limit, position, team_id, user_id};
pub use deadline::Deadline;
pub use error::CallError;
pub use host::{Host, Names, Parts, StartError};
pub use memory::{MemoryConnector, MemoryIncoming, memory};
pub use metrics::{CallMetrics, CallTimer};
pub use server::{BindError, MESSAGE_BYTES_MAX, ServeError};
pub use stored::Stored;
