//! Socket.IO on top of Engine.IO: namespaces, events, acknowledgements.

mod application;
mod encode;
mod event_frame;
mod socket;

pub use application::{AckId, Application, ConnectRefused, ConnectRequest, Event, Handler};
pub use event_frame::EventFrame;
pub use socket::Socket;
