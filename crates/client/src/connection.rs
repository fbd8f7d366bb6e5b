//! One open socket: writes requests, hands replies to those who wait for them and everything else to the incoming
//! queue, and notices when the gateway is gone.

use std::{pin::pin, time::Duration};

use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use huddle_proto::gateway::v1::{ClientFrame, Ping, client_frame::Request};
use tokio::{sync::mpsc, time::timeout};
use tokio_tungstenite::tungstenite::{
    self, Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::{
    Disconnect, Encoding, Incoming,
    handshake::Socket,
    pending::PendingRequests,
    wire::{self, Received},
};

/// After this much silence the gateway is asked for a sign of life.
const SILENCE_BEFORE_PING: Duration = Duration::from_secs(5);
/// How long it then has before it counts as gone.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// How long the other side's part of a close may take.
const CLOSE_WAIT: Duration = Duration::from_secs(1);
/// The id of a ping: nobody waits for the reply, it only has to come.
const PING_ID: &str = "ping";
/// The close code that stands for a close frame without one (RFC 6455, section 7.1.5).
const NO_CLOSE_CODE: u16 = 1005;

/// What the writing half is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Write a frame.
    Write(ClientFrame),
    /// Close the connection after what was asked before.
    Close,
}

/// The task of one connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) encoding: Encoding,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// Weak: the connection ends with the last client handle.
    pub(crate) pings: mpsc::WeakSender<Command>,
    pub(crate) pending: PendingRequests,
    pub(crate) incoming: mpsc::Sender<Incoming>,
}

impl Connection {
    /// Runs until the connection has ended and [`Incoming::Closed`] is in the queue.
    pub(crate) async fn run(self, socket: Socket, early: Vec<Incoming>) {
        let Self { encoding, commands, pings, pending, incoming } = self;
        let disconnect = {
            let (sink, stream) = socket.split();
            let mut reader = pin!(async {
                for frame in early {
                    // Nobody listens any longer: the connection still serves requests.
                    let _ = incoming.send(frame).await;
                }
                read(stream, encoding, &pings, &pending, &incoming).await
            });
            let mut writer = pin!(write(sink, commands, encoding));
            let disconnect = tokio::select! {
                disconnect = reader.as_mut() => disconnect,
                written = writer.as_mut() => {
                    // The gateway may have said why before the socket broke.
                    let said = timeout(CLOSE_WAIT, reader).await.ok();
                    match (written, said) {
                        (Ok(()), _) => Disconnect::ClosedHere,
                        (Err(_), Some(said)) => said,
                        (Err(broken), None) => broken,
                    }
                }
            };
            // Before the command queue closes, so that whoever finds it closed finds the reason too.
            pending.close(&disconnect);
            disconnect
        };
        tracing::debug!(%disconnect, "connection ended");
        let _ = incoming.send(Incoming::Closed(disconnect)).await;
    }
}

async fn write(
    mut sink: SplitSink<Socket, Message>,
    mut commands: mpsc::Receiver<Command>,
    encoding: Encoding,
) -> Result<(), Disconnect> {
    let broken = |error: tungstenite::Error| disconnect_of(&error);
    let mut next = commands.recv().await;
    while let Some(Command::Write(frame)) = next {
        let message =
            wire::encode(&frame, encoding).map_err(|error| Disconnect::Protocol { problem: error.to_string() })?;
        sink.feed(message).await.map_err(broken)?;
        // What has gathered goes out in one write.
        next = if let Ok(command) = commands.try_recv() {
            Some(command)
        } else {
            sink.flush().await.map_err(broken)?;
            commands.recv().await
        };
    }
    let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    match timeout(CLOSE_WAIT, sink.send(Message::Close(Some(close)))).await {
        Ok(sent) => sent.map_err(broken),
        Err(_) => Ok(()),
    }
}

async fn read(
    mut stream: SplitStream<Socket>,
    encoding: Encoding,
    pings: &mpsc::WeakSender<Command>,
    pending: &PendingRequests,
    incoming: &mpsc::Sender<Incoming>,
) -> Disconnect {
    let mut asked = false;
    loop {
        // Only the time spent waiting for the socket counts: a full queue is not the gateway's silence.
        let patience = if asked { ANSWER_WAIT } else { SILENCE_BEFORE_PING };
        let message = match timeout(patience, stream.next()).await {
            Err(_) if asked => return Disconnect::Silent,
            Err(_) => {
                asked = true;
                ask_for_a_sign_of_life(pings);
                continue;
            }
            Ok(None) => return Disconnect::Broken { problem: "it ended".to_owned() },
            Ok(Some(Err(error))) => return disconnect_of(&error),
            Ok(Some(Ok(message))) => message,
        };
        asked = false;
        match message {
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            Message::Close(frame) => {
                // One more poll writes the answering close frame.
                let _ = timeout(CLOSE_WAIT, stream.next()).await;
                return closed_by(frame);
            }
            message @ (Message::Text(_) | Message::Binary(_)) => {
                match wire::decode(message, encoding).and_then(wire::receive) {
                    Ok(Received::Reply { reply_to, content }) => pending.resolve(&reply_to, content),
                    Ok(Received::Incoming(frame)) => {
                        let _ = incoming.send(frame).await;
                    }
                    Ok(Received::Ignored) => {}
                    Err(error) => return Disconnect::Protocol { problem: error.to_string() },
                }
            }
        }
    }
}

fn ask_for_a_sign_of_life(pings: &mpsc::WeakSender<Command>) {
    let ping = ClientFrame { id: PING_ID.to_owned(), request: Some(Request::Ping(Ping {})) };
    if let Some(pings) = pings.upgrade() {
        // A full queue holds frames that ask for replies just as well.
        let _ = pings.try_send(Command::Write(ping));
    }
}

pub(crate) fn closed_by(frame: Option<CloseFrame>) -> Disconnect {
    match frame {
        Some(frame) => Disconnect::Closed { code: frame.code.into(), reason: frame.reason.as_str().to_owned() },
        None => Disconnect::Closed { code: NO_CLOSE_CODE, reason: String::new() },
    }
}

pub(crate) fn disconnect_of(error: &tungstenite::Error) -> Disconnect {
    match error {
        tungstenite::Error::Capacity(_) | tungstenite::Error::Utf8(_) => {
            Disconnect::Protocol { problem: error.to_string() }
        }
        tungstenite::Error::Io(error) => Disconnect::Broken { problem: error.to_string() },
        _ => Disconnect::Broken { problem: error.to_string() },
    }
}
