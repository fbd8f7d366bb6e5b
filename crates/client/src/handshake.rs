//! From an address to a connection that the gateway has welcomed.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use huddle_proto::gateway::v1::{ClientFrame, Hello, client_frame::Request, server_frame::Content};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest as _,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};

use crate::{
    ClientOptions, ConnectError, Disconnect, Incoming, Welcome,
    connection::{closed_by, disconnect_of},
    wire::{self, Received},
};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How long the whole way to the gateway's welcome may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest frame that is taken from a gateway, in bytes: far above any that there is.
const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// What is read from the socket at once, in bytes, and what gathers before a write: small enough for thousands of
/// connections in one process.
const BUFFER_BYTES: usize = 16 * 1024;
/// The id of the `hello`; later requests count from 1.
const HELLO_ID: &str = "0";

/// A welcomed connection, and what the gateway sent before it had answered.
pub(crate) struct Opened {
    pub(crate) socket: Socket,
    pub(crate) welcome: Welcome,
    pub(crate) early: Vec<Incoming>,
}

pub(crate) async fn open(options: &ClientOptions) -> Result<Opened, ConnectError> {
    match timeout(CONNECT_TIMEOUT, open_unbounded(options)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ConnectError::TimedOut { url: options.url.to_string(), waited: CONNECT_TIMEOUT }),
    }
}

async fn open_unbounded(options: &ClientOptions) -> Result<Opened, ConnectError> {
    let mut request = (&*options.url).into_client_request().map_err(|error| refused(options, &error))?;
    if request.uri().scheme_str() != Some("ws") {
        let problem = "the address begins with ws:// (TLS is not supported here)".to_owned();
        return Err(ConnectError::InvalidUrl { url: options.url.to_string(), problem });
    }
    let subprotocol = HeaderValue::from_static(options.encoding.subprotocol());
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    // Without TCP_NODELAY small frames wait for the acknowledgement of the one before.
    let connecting = Box::pin(connect_async_with_config(request, Some(config), true));
    let (mut socket, _) = connecting.await.map_err(|error| refused(options, &error))?;
    let (welcome, early) = hello(&mut socket, options).await?;
    Ok(Opened { socket, welcome, early })
}

async fn hello(socket: &mut Socket, options: &ClientOptions) -> Result<(Welcome, Vec<Incoming>), ConnectError> {
    let hello = Hello { token: options.token.as_str().to_owned() };
    let frame = ClientFrame { id: HELLO_ID.to_owned(), request: Some(Request::Hello(hello)) };
    let message = wire::encode(&frame, options.encoding).map_err(protocol)?;
    socket.send(message).await.map_err(|error| disconnect_of(&error))?;
    let mut early = Vec::new();
    loop {
        let message = match socket.next().await {
            None => return Err(Disconnect::Broken { problem: "it ended".to_owned() }.into()),
            Some(message) => message.map_err(|error| disconnect_of(&error))?,
        };
        match message {
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            Message::Close(frame) => return Err(closed_by(frame).into()),
            message @ (Message::Text(_) | Message::Binary(_)) => {
                let frame = wire::decode(message, options.encoding).map_err(protocol)?;
                match wire::receive(frame).map_err(protocol)? {
                    Received::Reply { content: Content::Welcome(welcome), .. } => {
                        return Ok((Welcome::from_wire(&welcome).map_err(protocol)?, early));
                    }
                    Received::Reply { content: Content::Error(error), .. } => {
                        return Err(ConnectError::Refused(wire::refusal(error)));
                    }
                    Received::Reply { .. } | Received::Ignored => {}
                    Received::Incoming(incoming) => early.push(incoming),
                }
            }
        }
    }
}

fn protocol(error: impl std::fmt::Display) -> Disconnect {
    Disconnect::Protocol { problem: error.to_string() }
}

fn refused(options: &ClientOptions, error: &tungstenite::Error) -> ConnectError {
    let url = options.url.to_string();
    match error {
        tungstenite::Error::Url(_) | tungstenite::Error::HttpFormat(_) => {
            ConnectError::InvalidUrl { url, problem: error.to_string() }
        }
        tungstenite::Error::Http(response) => ConnectError::NotAWebSocket { url, status: response.status().as_u16() },
        tungstenite::Error::Io(error) => ConnectError::Unreachable { url, problem: error.to_string() },
        _ => ConnectError::Unreachable { url, problem: error.to_string() },
    }
}
