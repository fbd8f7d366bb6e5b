//! The way to Postgres, which can fall silent: connections stay open, and nothing gets through.

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Bytes on their way in one direction of one connection.
const BUFFER_BYTES: usize = 16 * 1024;

pub(crate) struct Cable {
    pub(crate) port: u16,
    is_open: watch::Sender<bool>,
}

impl Cable {
    /// A port that leads to `target`.
    pub(crate) async fn lay(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (is_open, gate) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else { continue };
                let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                tokio::spawn(carry(near_read, far_write, gate.clone()));
                tokio::spawn(carry(far_read, near_write, gate.clone()));
            }
        });
        Self { port, is_open }
    }

    /// Lets nothing through any longer.
    pub(crate) fn cut(&self) {
        self.is_open.send_replace(false);
    }

    /// Lets everything through again, what was held up first.
    pub(crate) fn mend(&self) {
        self.is_open.send_replace(true);
    }
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut gate: watch::Receiver<bool>) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if gate.wait_for(|is_open| *is_open).await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
