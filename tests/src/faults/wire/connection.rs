//! Owns one connection through a wire: both of its ends, and what is under way between them.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpSocket, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    hold::{Hold, Lookout},
    nats::Splitter,
    rules::{Rules, Shared, Slow, Way},
};

/// What is read at once.
const CHUNK_BYTES_MAX: usize = 16 * 1024;
/// What each direction holds of what is under way, beside what the operating system does. More is not read.
const UNDER_WAY_BYTES_MAX: usize = 128 * 1024;
const UNDER_WAY_CHUNKS_MAX: usize = 4_096;
/// What the operating system holds for us to read, about: without it that would grow to megabytes.
pub(super) const RECEIVE_BUFFER_BYTES: u32 = 64 * 1024;
/// With a limit, bytes go in so many portions each second.
const PORTIONS_PER_SECOND: u64 = 50;

/// The shortest time after which TCP sends again, on Linux.
const RETRANSMISSION_TIMEOUT_MIN: Duration = Duration::from_millis(200);

/// The connection is dead, and whoever still has an end of it is to be told by a reset.
struct Reset;

impl From<io::Error> for Reset {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// Serves a connection that was accepted, until it ends.
pub(super) async fn serve(shared: Arc<Shared>, mut client: TcpStream) {
    let mut rules = shared.rules.subscribe();
    let resets = rules.borrow_and_update().resets;
    let begin = {
        let mut rules = rules.clone();
        tokio::select! {
            biased;
            () = is_reset(&mut rules, resets) => Err(Reset),
            begin = connect(&shared, &mut client) => begin,
        }
    };
    let (mut server, first) = match begin {
        Ok(Some(begin)) => begin,
        // The client gave up, and nothing of it may come to the target.
        Ok(None) => return,
        Err(Reset) => return reset(&client),
    };
    let outcome = {
        let connection = Connection { shared: &shared, is_held: AtomicBool::new(false) };
        let (client_reader, client_writer) = client.split();
        let (server_reader, server_writer) = server.split();
        let up = connection.carry(Way::Up, first, client_reader, server_writer);
        let down = connection.carry(Way::Down, Vec::new(), server_reader, client_writer);
        tokio::select! {
            biased;
            () = is_reset(&mut rules, resets) => Err(Reset),
            outcome = async { tokio::try_join!(up, down) } => outcome.map(drop),
        }
    };
    if outcome.is_err() {
        // In a black hole nobody hears of an end, not even of one that came from the other direction.
        let is_heard = |rules: &Rules| rules.is_cut || rules.resets != resets || !rules.is_silent_at_all();
        // An error means that the wire is gone.
        let _ = rules.wait_for(is_heard).await;
        reset(&client);
        reset(&server);
    }
}

/// Makes the end of `stream` that comes when it is dropped a reset.
pub(super) fn reset(stream: &TcpStream) {
    // It fails for a connection that is dead already.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

async fn is_reset(rules: &mut watch::Receiver<Rules>, resets: u64) {
    // An error means that the wire is gone, and with it this task.
    let _ = rules.wait_for(|rules| rules.is_cut || rules.resets != resets).await;
}

/// Connects to the target as soon as nothing is silent, and returns what the client has said until then; nothing when the
/// client has gone away in the meantime.
async fn connect(shared: &Shared, client: &mut TcpStream) -> Result<Option<(TcpStream, Vec<u8>)>, Reset> {
    let mut rules = shared.rules.subscribe();
    let (mut said, mut chunk) = (Vec::new(), vec![0; CHUNK_BYTES_MAX]);
    while rules.borrow_and_update().is_silent_at_all() {
        tokio::select! {
            biased;
            changed = rules.changed() => changed.map_err(|_| Reset)?,
            read = client.read(&mut chunk), if said.len() < UNDER_WAY_BYTES_MAX => match read? {
                0 => return Ok(None),
                length => said.extend_from_slice(&chunk[..length]),
            },
        }
    }
    let target = rules.borrow().target.ok_or(Reset)?;
    Ok(Some((dial(target).await?, said)))
}

async fn dial(target: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    let stream = socket.connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

struct Connection<'a> {
    shared: &'a Shared,
    /// Whether a direction stands still at a pattern: then the end of either end is the end of the connection.
    is_held: AtomicBool,
}

/// Bytes on their way.
struct UnderWay {
    due: Instant,
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl Connection<'_> {
    /// Carries one direction to its end. `first` goes before everything that is read.
    async fn carry(&self, way: Way, first: Vec<u8>, reader: ReadHalf<'_>, writer: WriteHalf<'_>) -> Result<(), Reset> {
        let (sender, receiver) = mpsc::channel(UNDER_WAY_CHUNKS_MAX);
        let taking = Taking {
            connection: self,
            way,
            rules: self.shared.rules.subscribe(),
            splitter: Splitter::default(),
            lookout: Lookout::default(),
            room: Arc::new(Semaphore::new(UNDER_WAY_BYTES_MAX)),
            last_due: Instant::now(),
            sender,
        };
        let rules = self.shared.rules.subscribe();
        tokio::try_join!(taking.run(first, reader), give(way, rules, receiver, writer)).map(drop)
    }

    /// Waits until `hold` is over, and returns what came in the meantime.
    async fn stand_still(&self, hold: Arc<Hold>, reader: &mut ReadHalf<'_>) -> Result<Vec<u8>, Reset> {
        self.is_held.store(true, Ordering::SeqCst);
        let standing = Standing { hold, is_held: &self.is_held };
        let (mut later, mut chunk) = (Vec::new(), vec![0; CHUNK_BYTES_MAX]);
        loop {
            tokio::select! {
                biased;
                () = standing.hold.over() => return Ok(later),
                read = reader.read(&mut chunk), if later.len() < UNDER_WAY_BYTES_MAX => match read? {
                    0 => return Err(Reset),
                    length => later.extend_from_slice(&chunk[..length]),
                },
            }
        }
    }
}

/// One direction stands still for as long as this is there.
struct Standing<'a> {
    hold: Arc<Hold>,
    is_held: &'a AtomicBool,
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.hold.end();
        self.is_held.store(false, Ordering::SeqCst);
    }
}

/// One direction's near end: takes what comes, as far as it may go on.
struct Taking<'a> {
    connection: &'a Connection<'a>,
    way: Way,
    rules: watch::Receiver<Rules>,
    splitter: Splitter,
    lookout: Lookout,
    room: Arc<Semaphore>,
    last_due: Instant,
    sender: mpsc::Sender<UnderWay>,
}

impl Taking<'_> {
    async fn run(mut self, first: Vec<u8>, mut reader: ReadHalf<'_>) -> Result<(), Reset> {
        if !first.is_empty() {
            self.take(&first, &mut reader).await?;
        }
        let mut buffer = vec![0; CHUNK_BYTES_MAX];
        loop {
            let length = self.read(&mut reader, &mut buffer).await?;
            if length == 0 {
                return if self.connection.is_held.load(Ordering::SeqCst) { Err(Reset) } else { Ok(()) };
            }
            self.take(&buffer[..length], &mut reader).await?;
        }
    }

    /// Reads while the direction is not silent. A silent one is not read: its sender notices when the operating system's
    /// buffers are full.
    async fn read(&mut self, reader: &mut ReadHalf<'_>, buffer: &mut [u8]) -> Result<usize, Reset> {
        loop {
            if self.rules.borrow_and_update().is_silent(self.way) {
                self.rules.changed().await.map_err(|_| Reset)?;
                continue;
            }
            tokio::select! {
                biased;
                changed = self.rules.changed() => changed.map_err(|_| Reset)?,
                length = reader.read(buffer) => return Ok(length?),
            }
        }
    }

    async fn take(&mut self, chunk: &[u8], reader: &mut ReadHalf<'_>) -> Result<(), Reset> {
        let shared = self.connection.shared;
        let mut next = chunk.to_owned();
        while !next.is_empty() {
            let bytes = shared.filtered(self.way, &mut self.splitter, &next).map_err(|malformed| {
                eprintln!("a wire resets a connection: {malformed}");
                Reset
            })?;
            next.clear();
            if let Some(hold) = self.lookout.stopped_by(&shared.holds(self.way), &bytes) {
                next = self.connection.stand_still(hold, reader).await?;
            }
            for portion in bytes.chunks(CHUNK_BYTES_MAX) {
                self.send(portion.to_owned()).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), Reset> {
        let delay = {
            let Rules { slow, loss, .. } = &*self.rules.borrow();
            slow.as_ref().map_or(Duration::ZERO, latency) + retransmission(slow.as_ref(), *loss)
        };
        // Chunks keep their order, whatever the jitter.
        let due = if delay.is_zero() { self.last_due } else { self.last_due.max(Instant::now() + delay) };
        self.last_due = due;
        // A chunk is never longer than the room for all.
        let permits = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(permits).await.map_err(|_| Reset)?;
        self.sender.send(UnderWay { due, bytes, _room: room }).await.map_err(|_| Reset)
    }
}

fn latency(slow: &Slow) -> Duration {
    let jitter = slow.jitter.as_secs_f64();
    let spread = if jitter > 0.0 { rand::random_range(-jitter..=jitter) } else { 0.0 };
    Duration::from_secs_f64((slow.latency.as_secs_f64() + spread).max(0.0))
}

/// What a chunk that is lost costs: its sender waits for the acknowledgement, and what comes after it waits, too.
fn retransmission(slow: Option<&Slow>, loss: f64) -> Duration {
    if loss > 0.0 && rand::random_bool(loss) {
        RETRANSMISSION_TIMEOUT_MIN + 2 * slow.map_or(Duration::ZERO, |slow| slow.latency)
    } else {
        Duration::ZERO
    }
}

/// One direction's far end: gives what is under way when its time has come.
async fn give(
    way: Way,
    mut rules: watch::Receiver<Rules>,
    mut receiver: mpsc::Receiver<UnderWay>,
    mut writer: WriteHalf<'_>,
) -> Result<(), Reset> {
    while let Some(chunk) = receiver.recv().await {
        sleep_until(chunk.due).await;
        let mut rest = VecDeque::from(chunk.bytes);
        while !rest.is_empty() {
            let limit = rules.wait_for(|rules| !rules.is_silent(way)).await.map_err(|_| Reset)?.slow;
            let limit = limit.and_then(|slow| slow.bytes_per_second);
            let portion = limit.map_or(rest.len(), |limit| portion_bytes(limit).min(rest.len()));
            let portion: Vec<u8> = rest.drain(..portion).collect();
            writer.write_all(&portion).await?;
            if let Some(limit) = limit {
                sleep(time_of(portion.len(), limit)).await;
            }
        }
    }
    // Nobody hears of the end before the silence does.
    rules.wait_for(|rules| !rules.is_silent(way)).await.map_err(|_| Reset)?;
    writer.shutdown().await?;
    Ok(())
}

fn portion_bytes(bytes_per_second: u64) -> usize {
    usize::try_from((bytes_per_second / PORTIONS_PER_SECOND).max(1)).unwrap_or(usize::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "thousands")]
fn time_of(bytes: usize, bytes_per_second: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / bytes_per_second as f64)
}
