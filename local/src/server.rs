//! The ports of the stack and the servers on them.

use crate::{Error, ambient, log::Logger};
use axum::Router;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    time::Duration,
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// Time for requests in progress to complete when the stack stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// A server task, which runs until it is stopped or this is dropped.
pub struct Server {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    pub fn start<F: Future<Output = ()> + Send + 'static>(
        serve: impl FnOnce(StopSignal) -> F,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let signal: StopSignal = Box::pin(async {
            // Sent or dropped: both mean stop.
            let _ = stopped.await;
        });
        Self {
            stop: Some(stop),
            task: tokio::spawn(serve(signal)),
        }
    }

    /// Stops the server. Requests in progress have [`SHUTDOWN_GRACE`] to complete.
    pub async fn end(&mut self) {
        drop(self.stop.take());
        if tokio::time::timeout(SHUTDOWN_GRACE, &mut self.task)
            .await
            .is_err()
        {
            self.task.abort();
        }
    }
}

pub type StopSignal = Pin<Box<dyn Future<Output = ()> + Send>>;

pub async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => Error::new(format!(
                "Port {} is in use: another program listens on {address}.",
                address.port()
            ))
            .advice("Stop that program, or use a free port with --listen 127.0.0.1:0."),
            _ => Error::new(format!("Listening on {address} failed: {error}"))
                .advice("Choose another address, such as --listen 127.0.0.1:0 for a free port."),
        })
}

/// Listens on a port at a fixed offset from the API's, on which other programs can rely, such as
/// SAM with events/env.json. If that port is in use, listens on a free one.
pub async fn listen_at_offset(
    api: SocketAddr,
    offset: u16,
    log: &Logger,
) -> Result<TcpListener, Error> {
    let port = api.port().checked_add(offset).unwrap_or_default();
    if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        return Ok(listener);
    }
    log.notice(&format!(
        "Port {port} is in use; the stack uses a free port instead. Change the endpoints in events/env.json before you use it."
    ));
    listen((Ipv4Addr::LOCALHOST, 0).into()).await
}

pub fn local_address(listener: &TcpListener) -> Result<SocketAddr, Error> {
    listener
        .local_addr()
        .map_err(|error| Error::new(error.to_string()))
}

pub async fn serve(listener: TcpListener, router: Router, stop: StopSignal) {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let _ = axum::serve(listener, service)
        .with_graceful_shutdown(stop)
        .await;
}

/// Listens on a random loopback address and port. A page cannot find it, which matters for the
/// emulator of DynamoDB: it has no guard. Systems with one loopback address use that.
pub async fn listen_unguessably() -> io::Result<TcpListener> {
    let [a, b, c] = ambient::random::<3>().unwrap_or_default();
    match TcpListener::bind((Ipv4Addr::new(127, a, b, c.clamp(1, 254)), 0)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await,
    }
}
