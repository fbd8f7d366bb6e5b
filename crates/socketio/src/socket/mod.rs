//! Socket.IO on top of Engine.IO: namespaces, events, acknowledgements.

mod application;
mod client;
mod decode;
mod encode;
mod event_frame;
#[expect(clippy::module_inception, reason = "the socket is what this module is named after")]
mod socket;

use std::{rc::Rc, sync::Arc};

pub use application::{AckId, Application, ConnectRefused, ConnectRequest, Event, Handler};
pub use event_frame::EventFrame;
pub use socket::Socket;

pub(crate) use decode::decode_text;

use self::{client::Client, encode::DEFAULT_NAMESPACE};
use crate::{Config, engine};

/// Socket.IO as an application of Engine.IO.
pub(crate) struct SocketIo {
    application: Rc<dyn Application>,
    config: Arc<Config>,
    namespaces: Rc<[Arc<str>]>,
}

impl SocketIo {
    pub(crate) fn new(application: Rc<dyn Application>, config: Arc<Config>) -> Self {
        let configured = config.namespaces.iter().map(String::as_str);
        let namespaces = std::iter::once(DEFAULT_NAMESPACE).chain(configured).map(Into::into).collect();
        Self { application, config, namespaces }
    }
}

impl engine::Application for SocketIo {
    fn open(&self, session: engine::Session) -> Rc<dyn engine::Handler> {
        let application = Rc::clone(&self.application);
        Client::start(application, Arc::clone(&self.config), Rc::clone(&self.namespaces), session)
    }
}
