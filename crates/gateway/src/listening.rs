//! The socket that listens: how it begins, and how it ends without a connection that nobody takes.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener},
    time::Duration,
};

use socket2::SockRef;
use tokio::time::sleep;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4_096;
/// How long the connections that wait to be accepted may take to be.
const LAST_PATIENCE: Duration = Duration::from_millis(50);

/// Listens at an address.
pub(crate) fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
    // A restart must not wait for connections of the process before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Waits a moment for the connections that wait to be accepted, and lets nobody else in meanwhile: one that waits when the
/// socket is closed breaks, and a request that is in it already must not be sent again by whoever sent it. Who comes
/// in this moment tries again by itself, a second later.
pub(crate) async fn let_the_last_in(listener: &TcpListener) {
    match ignore_newcomers(listener) {
        Ok(()) => sleep(LAST_PATIENCE).await,
        Err(error) => tracing::debug!(%error, "connections that nobody has taken yet may break"),
    }
}

/// Refuses whoever comes from here on, which load balancers take for a reason to ask another gateway. Nobody may accept from
/// the socket any more.
pub(crate) fn refuse_all(listener: &TcpListener) {
    if let Err(error) = SockRef::from(listener).shutdown(Shutdown::Both) {
        tracing::debug!(%error, "those who connect wait until the gateway has ended");
    }
}

/// Has the kernel drop packets that begin a connection; those of connections that exist pass.
#[cfg(target_os = "linux")]
fn ignore_newcomers(listener: &TcpListener) -> io::Result<()> {
    use socket2::SockFilter;

    // Classic BPF: what is loaded, compared and returned. See linux/bpf_common.h.
    const LOAD_BYTE_AT: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    /// Where a TCP header, with which the packet begins here, has its flags.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    const NOTHING: u32 = 0;
    const ALL_OF_IT: u32 = u32::MAX;

    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE_AT, 0, 0, FLAGS),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, NOTHING),
        SockFilter::new(RETURN, 0, 0, ALL_OF_IT),
    ])
}

#[cfg(not(target_os = "linux"))]
fn ignore_newcomers(_listener: &TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::TcpStream;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn who_has_connected_is_served_and_who_comes_later_is_refused_when_the_socket_closes() {
        let listener = listen_on(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let mut early = tokio::net::TcpStream::connect(address).await.unwrap();
        early.write_all(b"here").await.unwrap();
        let_the_last_in(&listener).await;
        let moment = Duration::from_millis(20);
        let late = std::thread::spawn(move || TcpStream::connect_timeout(&address, Duration::from_secs(10)));
        let waiting = TcpStream::connect_timeout(&address, moment).unwrap_err();
        assert_eq!(waiting.kind(), io::ErrorKind::TimedOut);

        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let (mut served, _) = listener.accept().await.unwrap();
        let mut said = [0; 4];
        served.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"here");
        let listener = listener.into_std().unwrap();
        refuse_all(&listener);
        let refused = tokio::task::spawn_blocking(|| late.join().unwrap()).await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
