//! Connections: how many, and how long one may keep its place without taking or asking anything.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::future::{Either, select};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

/// One who takes nothing of what it asked for loses its connection.
const TAKES_NOTHING: Duration = Duration::from_secs(20);
/// And so does one who asks for nothing.
const ASKS_NOTHING: Duration = Duration::from_secs(30);
/// What is sent and not taken yet: a slow viewer of a stream of pictures is so much behind.
const SEND_BUFFER: u32 = 256 << 10;
const HTTP_BUFFER: usize = 64 << 10;
/// Answers that are under way when the program ends.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A port that was in use a moment ago can be used again; one that is in use not.
    socket.set_reuseaddr(true)?;
    // Connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(128)
}

/// Answers until it is stopped.
pub(super) async fn serve(listener: TcpListener, app: Router, limit: u16, stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(limit.into()));
    let connections = GracefulShutdown::new();
    let mut until = stopped.clone();
    let mut end = pin!(until.wait_for(|stopped| *stopped));
    loop {
        let accepted = match select(pin!(listener.accept()), &mut end).await {
            Either::Left((accepted, _)) => accepted,
            Either::Right(_) => break,
        };
        let Ok((stream, _)) = accepted else {
            // Too many open files, or one that has gone already.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tokio::spawn(timeout(FAREWELL, refuse(stream, limit)));
            continue;
        };
        // Without it pictures are late, and nothing else.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(TAKES_NOTHING));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(ASKS_NOTHING).max_buf_size(HTTP_BUFFER);
        let service = TowerToHyperService::new(app.clone());
        let connection = connections.watch(http.serve_connection(TokioIo::new(Box::pin(stream)), service));
        tokio::spawn(async move {
            // However it ends, its viewer knows.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    let _ = timeout(FAREWELL, connections.shutdown()).await;
}

/// Tells one for whom there is no place.
async fn refuse(stream: TcpStream, limit: u16) {
    // What was asked is read, so that the connection does not end with a reset.
    if stream.readable().await.is_ok() {
        let _ = stream.try_read(&mut [0; 4096]);
    }
    let text = format!("All {limit} connections are in use. --connections allows more.\n");
    let len = text.len();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len}\r\n\
         Retry-After: 5\r\nConnection: close\r\n\r\n{text}"
    );
    // It fits into what the system keeps for a new connection.
    let _ = stream.try_write(answer.as_bytes());
}
