use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use anyhow::{Result, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{Instant, timeout},
};

use super::{Direction, Link, Protocol, Wire, Wires};

const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough for what would get through to get through.
const QUIET: Duration = Duration::from_millis(150);

/// A server that sends back what it gets.
struct Echo {
    address: SocketAddr,
    task: AbortHandle,
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Echo {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serve = async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    tokio::io::copy(&mut reader, &mut writer).await?;
                    writer.shutdown().await
                });
            }
        };
        Ok(Self { address, task: tokio::spawn(serve).abort_handle() })
    }
}

async fn wired() -> Result<(Echo, Wire, Link)> {
    let echo = Echo::start().await?;
    let wire = Wire::to(echo.address, Protocol::Any)?;
    let link = Link::from(&wire);
    Ok((echo, wire, link))
}

async fn connect(wire: &Wire) -> Result<TcpStream> {
    Ok(timeout(PATIENCE, TcpStream::connect(wire.address())).await??)
}

async fn hear(stream: &mut TcpStream, expected: &[u8]) -> Result<()> {
    let mut heard = vec![0; expected.len()];
    timeout(PATIENCE, stream.read_exact(&mut heard)).await??;
    ensure!(heard == expected, "heard {:?}", String::from_utf8_lossy(&heard));
    Ok(())
}

async fn hear_nothing(stream: &mut TcpStream) -> Result<()> {
    let mut byte = [0];
    match timeout(QUIET, stream.read(&mut byte)).await {
        Err(_) => Ok(()),
        Ok(read) => anyhow::bail!("heard {read:?}"),
    }
}

async fn is_reset(stream: &mut TcpStream) -> Result<()> {
    let read = timeout(PATIENCE, stream.read(&mut [0; 64])).await?;
    let error = read.expect_err("an end, or bytes, and no reset");
    ensure!(error.kind() == ErrorKind::ConnectionReset, "{error}");
    Ok(())
}

#[tokio::test]
async fn what_is_said_arrives_whole_and_in_order_and_so_does_the_end() -> Result<()> {
    let (_echo, wire, _) = wired().await?;
    let mut stream = connect(&wire).await?;
    let said: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[1] ^ number.to_le_bytes()[0]).collect();
    let (mut reader, mut writer) = stream.split();
    let say = async {
        writer.write_all(&said).await?;
        writer.shutdown().await
    };
    let mut heard = Vec::new();
    timeout(PATIENCE, async { tokio::try_join!(say, reader.read_to_end(&mut heard)) }).await??;
    assert!(heard == said, "{} of {} bytes", heard.len(), said.len());
    Ok(())
}

#[tokio::test]
async fn a_cut_wire_resets_what_is_there_and_what_comes_until_it_heals() -> Result<()> {
    let (_echo, wire, link) = wired().await?;
    let mut stream = connect(&wire).await?;
    stream.write_all(b"hello").await?;
    hear(&mut stream, b"hello").await?;

    link.cut();
    is_reset(&mut stream).await?;
    // The operating system accepts before the wire does, or the reset is quicker than that.
    if let Ok(mut stream) = TcpStream::connect(wire.address()).await {
        is_reset(&mut stream).await?;
    }

    link.heal();
    let mut stream = connect(&wire).await?;
    stream.write_all(b"again").await?;
    hear(&mut stream, b"again").await
}

#[tokio::test]
async fn a_wire_that_heals_at_once_has_still_reset_its_connections() -> Result<()> {
    let (_echo, wire, link) = wired().await?;
    let mut stream = connect(&wire).await?;
    stream.write_all(b"hello").await?;
    hear(&mut stream, b"hello").await?;
    link.cut().heal();
    is_reset(&mut stream).await
}

#[tokio::test]
async fn a_silent_wire_keeps_everything_back_and_delivers_it_later() -> Result<()> {
    let (_echo, wire, link) = wired().await?;
    let mut before = connect(&wire).await?;
    before.write_all(b"hello").await?;
    hear(&mut before, b"hello").await?;

    link.silence();
    let mut during = connect(&wire).await?;
    before.write_all(b"held").await?;
    during.write_all(b"new").await?;
    hear_nothing(&mut before).await?;
    hear_nothing(&mut during).await?;

    link.heal();
    hear(&mut before, b"held").await?;
    hear(&mut during, b"new").await
}

#[tokio::test]
async fn a_silent_wire_holds_a_bounded_amount() -> Result<()> {
    let (_echo, wire, link) = wired().await?;
    let mut stream = connect(&wire).await?;
    stream.write_all(b"hello").await?;
    hear(&mut stream, b"hello").await?;
    link.silence();
    let (chunk, mut written) = (vec![7; 64 * 1024], 0);
    while let Ok(written_now) = timeout(QUIET, stream.write(&chunk)).await {
        written += written_now?;
        ensure!(written < 32 * 1024 * 1024, "it takes everything");
    }
    link.heal();
    hear(&mut stream, &vec![7; written]).await
}

#[tokio::test]
async fn each_direction_falls_silent_alone() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let wire = Wire::to(listener.local_addr()?, Protocol::Any)?;
    let mut wires = Wires::default();
    wires.add("gateway-0", "postgres", wire.clone());
    let mut client = connect(&wire).await?;
    let (mut server, _) = timeout(PATIENCE, listener.accept()).await??;

    // Named the other way round: what Postgres says is silent.
    let link = wires.between("postgres", "gateway");
    link.silence_one_way(Direction::Forth);
    client.write_all(b"up").await?;
    hear(&mut server, b"up").await?;
    server.write_all(b"down").await?;
    hear_nothing(&mut client).await?;
    link.heal();
    hear(&mut client, b"down").await?;

    link.silence_one_way(Direction::Back);
    server.write_all(b"down").await?;
    hear(&mut client, b"down").await?;
    client.write_all(b"up").await?;
    hear_nothing(&mut server).await?;
    link.heal();
    hear(&mut server, b"up").await
}

#[tokio::test]
async fn who_gives_up_a_connection_in_the_silence_is_never_heard_of() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let wire = Wire::to(listener.local_addr()?, Protocol::Any)?;
    let link = Link::from(&wire);
    link.silence();
    let mut stream = connect(&wire).await?;
    stream.write_all(b"nobody hears this").await?;
    drop(stream);
    tokio::time::sleep(QUIET).await;
    link.heal();
    ensure!(timeout(QUIET, listener.accept()).await.is_err(), "it came to the target");
    Ok(())
}

#[tokio::test]
async fn a_slow_wire_takes_its_time_and_keeps_the_order() -> Result<()> {
    const LATENCY: Duration = Duration::from_millis(100);
    const JITTER: Duration = Duration::from_millis(50);
    let (_echo, wire, link) = wired().await?;
    let mut stream = connect(&wire).await?;
    link.slow(LATENCY, JITTER, None);
    let begin = Instant::now();
    let mut said = Vec::new();
    for number in 0..50_u8 {
        let word = [number; 100];
        stream.write_all(&word).await?;
        said.extend(word);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    hear(&mut stream, &said[..1]).await?;
    let first = begin.elapsed();
    assert!(first + JITTER * 2 >= LATENCY * 2, "there and back after {first:?}");
    hear(&mut stream, &said[1..]).await?;

    link.slow(Duration::ZERO, Duration::ZERO, 20_000);
    let begin = Instant::now();
    stream.write_all(&[1; 10_000]).await?;
    hear(&mut stream, &[1; 10_000]).await?;
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(480), "{took:?}");
    link.heal();
    let begin = Instant::now();
    let much = vec![1; 100_000];
    stream.write_all(&much).await?;
    hear(&mut stream, &much).await?;
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    Ok(())
}

#[tokio::test]
async fn on_a_lossy_wire_what_is_lost_comes_later_and_in_order() -> Result<()> {
    let (_echo, wire, link) = wired().await?;
    let mut stream = connect(&wire).await?;
    link.lossy(1.0);
    let begin = Instant::now();
    stream.write_all(b"hello").await?;
    hear(&mut stream, b"hello").await?;
    assert!(begin.elapsed() >= Duration::from_millis(400), "there and back after {:?}", begin.elapsed());
    link.heal();
    stream.write_all(b"again").await?;
    hear(&mut stream, b"again").await
}

#[tokio::test]
async fn a_wire_can_lead_elsewhere() -> Result<()> {
    let (_echo, wire, link) = wired().await?;
    let mut stream = connect(&wire).await?;
    stream.write_all(b"hello").await?;
    hear(&mut stream, b"hello").await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    link.lead_to(listener.local_addr()?).heal();
    is_reset(&mut stream).await?;
    let mut stream = connect(&wire).await?;
    let (mut server, _) = timeout(PATIENCE, listener.accept()).await??;
    server.write_all(b"elsewhere").await?;
    hear(&mut stream, b"elsewhere").await
}

#[tokio::test]
async fn nobody_hears_of_an_end_in_a_silence_of_one_direction() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let wire = Wire::to(listener.local_addr()?, Protocol::Any)?;
    let link = Link::from(&wire);
    let client = connect(&wire).await?;
    let (mut server, _) = timeout(PATIENCE, listener.accept()).await??;
    link.silence_one_way(Direction::Forth);
    drop(client);
    // The first of it finds that the client is gone, the next would be refused.
    server.write_all(b"to nobody").await?;
    hear_nothing(&mut server).await?;
    server.write_all(b"to nobody").await?;
    hear_nothing(&mut server).await?;
    link.heal();
    let ended = timeout(PATIENCE, server.read(&mut [0; 1])).await?;
    ensure!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    Ok(())
}

#[tokio::test]
async fn one_connection_stands_still_at_a_pattern_until_it_is_released() -> Result<()> {
    let (_echo, wire, link) = wired().await?;
    let (mut one, mut other) = (connect(&wire).await?, connect(&wire).await?);
    let held = link.hold_at(Direction::Forth, b"COMMIT\0");
    one.write_all(b"BEGIN;").await?;
    hear(&mut one, b"BEGIN;").await?;
    assert!(!held.is_held());
    one.write_all(b"CO").await?;
    hear(&mut one, b"CO").await?;
    one.write_all(b"MMIT\0").await?;
    timeout(PATIENCE, held.reached()).await?;
    one.write_all(b"more").await?;
    hear_nothing(&mut one).await?;
    assert!(held.is_held());

    other.write_all(b"COMMIT\0").await?;
    hear(&mut other, b"COMMIT\0").await?;

    held.release();
    hear(&mut one, b"MMIT\0more").await?;
    one.write_all(b"COMMIT\0").await?;
    hear(&mut one, b"COMMIT\0").await
}

#[tokio::test]
async fn what_is_held_dies_with_the_connection_and_the_other_end_is_reset() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let wire = Wire::to(listener.local_addr()?, Protocol::Any)?;
    let link = Link::from(&wire);
    for direction in [Direction::Forth, Direction::Back] {
        let held = link.hold_at(direction, b"COMMIT");
        let mut client = connect(&wire).await?;
        let (mut server, _) = timeout(PATIENCE, listener.accept()).await??;
        match direction {
            Direction::Forth => client.write_all(b"COMMIT").await?,
            Direction::Back => server.write_all(b"COMMIT").await?,
        }
        timeout(PATIENCE, held.reached()).await?;
        drop(client);
        is_reset(&mut server).await?;
        assert!(!held.is_held(), "{direction:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_wire_leaves_out_the_chosen_messages_and_counts_them() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let wire = Wire::to(listener.local_addr()?, Protocol::Nats)?;
    let mut wires = Wires::default();
    wires.add("gateway-0", "n2", wire.clone());
    let link = wires.between("gateway-0", "nats");
    let mut client = connect(&wire).await?;
    let (mut server, _) = timeout(PATIENCE, listener.accept()).await??;

    let replies = link.drop_replies(|message| message.is_answer() && message.payload_holds("\"seq\":1"));
    server.write_all(b"INFO {}\r\nMSG _INBOX.a 1 7\r\n\"seq\":1\r\nMSG _INBOX.a 1 7\r\n\"seq\":2\r\n").await?;
    hear(&mut client, b"INFO {}\r\nMSG _INBOX.a 1 7\r\n\"seq\":2\r\n").await?;
    assert_eq!(replies.count(), 1);

    let publishes = link.drop_publishes(|message| message.subject == "a");
    client.write_all(b"PUB a 1\r\nx\r\nPUB b 1\r\nx\r\n").await?;
    hear(&mut server, b"PUB b 1\r\nx\r\n").await?;
    timeout(PATIENCE, publishes.reached(1)).await?;

    link.heal();
    server.write_all(b"MSG _INBOX.a 1 7\r\n\"seq\":1\r\n").await?;
    hear(&mut client, b"MSG _INBOX.a 1 7\r\n\"seq\":1\r\n").await?;
    assert_eq!(replies.count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_target_that_is_away_is_a_reset_and_can_be_changed() -> Result<()> {
    let wire = Wire::without_target(Protocol::Any)?;
    if let Ok(mut stream) = TcpStream::connect(wire.address()).await {
        is_reset(&mut stream).await?;
    }
    let gone = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    wire.set_target(gone);
    let mut stream = connect(&wire).await?;
    is_reset(&mut stream).await?;
    let echo = Echo::start().await?;
    wire.set_target(echo.address);
    let mut stream = connect(&wire).await?;
    stream.write_all(b"hello").await?;
    hear(&mut stream, b"hello").await
}
