//! Where the lines go: a file that is made durable, or a stream.

use std::io;

use tokio::{
    fs::File,
    io::{AsyncWrite, AsyncWriteExt as _},
};

/// Bytes that gather before they are written.
const BUFFER_BYTES: usize = 256 * 1024;

/// Bytes after which a file is made durable: no more than these are written again after a power cut.
const SYNC_BYTES: u64 = 64 * 1024 * 1024;

/// Takes lines.
pub(super) struct Sink<'a> {
    output: Output<'a>,
    buffer: Vec<u8>,
    unsynced: u64,
}

enum Output<'a> {
    File(&'a mut File),
    Stream(&'a mut (dyn AsyncWrite + Unpin + Send)),
}

impl<'a> Sink<'a> {
    pub(super) fn file(file: &'a mut File) -> Self {
        Self { output: Output::File(file), buffer: Vec::new(), unsynced: 0 }
    }

    pub(super) fn stream(stream: &'a mut (dyn AsyncWrite + Unpin + Send)) -> Self {
        Self { output: Output::Stream(stream), buffer: Vec::new(), unsynced: 0 }
    }

    /// Where to put the next line.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Writes what has gathered, once it is worth it.
    pub(super) async fn relieve(&mut self) -> io::Result<()> {
        if self.buffer.len() < BUFFER_BYTES {
            return Ok(());
        }
        self.write().await?;
        if self.unsynced >= SYNC_BYTES { self.sync().await } else { Ok(()) }
    }

    /// Writes everything, durably where that has a meaning.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        self.write().await?;
        self.sync().await
    }

    async fn write(&mut self) -> io::Result<()> {
        match &mut self.output {
            Output::File(file) => {
                file.write_all(&self.buffer).await?;
                file.flush().await?;
            }
            Output::Stream(stream) => {
                stream.write_all(&self.buffer).await?;
                stream.flush().await?;
            }
        }
        self.unsynced += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    async fn sync(&mut self) -> io::Result<()> {
        self.unsynced = 0;
        match &mut self.output {
            Output::File(file) => file.sync_data().await,
            Output::Stream(_) => Ok(()),
        }
    }
}
