//! Gateways between clients and the stack, and the services behind them.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::Request as Received};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::{Folder, eventually, spawn};

/// The path of a program. It must be installed where `CI` is set; elsewhere its absence is printed,
/// and the test is skipped.
pub fn installed(program: &str, install: &str) -> Option<PathBuf> {
    let path = shared::platform::environment::variable("PATH").unwrap_or_default();
    let found = path
        .split(':')
        // Debian installs nginx where only root searches.
        .chain(["/usr/sbin", "/usr/local/sbin"])
        .map(|folder| Path::new(folder).join(program))
        .find(|file| file.is_file());
    if found.is_none() {
        is_missing(program, install);
    }
    found
}

/// Reports that a program is missing. Fails where `CI` is set.
pub fn is_missing(program: &str, install: &str) {
    assert!(
        shared::platform::environment::variable("CI").is_none(),
        "{program} is not installed: {install}"
    );
    eprintln!("SKIPPED: {program} is not installed ({install})");
}

/// A free port of this machine.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A program that listens on a port of this machine until it is dropped.
pub struct Server {
    pub port: u16,
    _process: Child,
    _folder: Folder,
}

impl Server {
    /// Starts the program, which writes to `log` in its folder if it fails.
    pub async fn start(mut command: Command, folder: Folder, log: &str, port: u16) -> Self {
        let log = format!("{}/{log}", folder.path());
        let output = fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        eventually("a server", || {
            let ended = process.try_wait().unwrap();
            let log = || fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none(), "the server ended: {}", log());
            let accepts = TcpStream::connect(("127.0.0.1", port)).is_ok();
            async move { accepts.then_some(()) }
        })
        .await;
        Self {
            port,
            _process: process,
            _folder: folder,
        }
    }

    /// Starts nginx with the `server` blocks of a site.
    pub async fn nginx(nginx: &Path, name: &str, site: &str, port: u16) -> Self {
        let folder = Folder::new(name);
        fs::write(format!("{}/site.conf", folder.path()), site).unwrap();
        let configuration = format!("{}/nginx.conf", folder.path());
        fs::write(&configuration, AROUND.replace("FOLDER", folder.path())).unwrap();
        let mut command = Command::new(nginx);
        command.args(["-p", folder.path(), "-e", "error.log", "-c", &configuration]);
        Self::start(command, folder, "error.log", port).await
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// A single process in the foreground, which writes only to its folder and does not change user.
const AROUND: &str = "
daemon off;
master_process off;
pid FOLDER/nginx.pid;
events { }
http {
    access_log FOLDER/access.log;
    client_body_temp_path FOLDER/body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    include FOLDER/site.conf;
}
";

/// A service that records the requests that reach it.
pub struct Service {
    pub url: String,
    reached: Arc<Mutex<Vec<Value>>>,
}

impl Service {
    /// Starts a service that answers each request with this text.
    pub async fn start(answer: &'static str) -> Self {
        let listener = spawn(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .await
            .unwrap()
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let reached: Arc<Mutex<Vec<Value>>> = Arc::default();
        let recorded = Arc::clone(&reached);
        let serve = async move |request: Received| {
            let headers = request.headers();
            let headers: Value = headers
                .iter()
                .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())))
                .collect::<serde_json::Map<_, _>>()
                .into();
            let method = request.method().to_string();
            let path = request.uri().to_string();
            let body = axum::body::to_bytes(request.into_body(), 1_000_000)
                .await
                .unwrap();
            let body = String::from_utf8(body.into()).unwrap();
            recorded
                .lock()
                .unwrap()
                .push(json!({ "method": method, "path": path, "headers": headers, "body": body }));
            answer
        };
        spawn(async { axum::serve(listener, Router::new().fallback(serve)).await });
        Self { url, reached }
    }

    /// Removes and returns the requests that reached the service.
    pub fn reached(&self) -> Vec<Value> {
        std::mem::take(&mut *self.reached.lock().unwrap())
    }

    /// Removes and returns the only request that reached the service.
    #[track_caller]
    pub fn reached_once(&self) -> Value {
        let reached = self.reached();
        let [request] = reached.as_slice() else {
            panic!("{reached:?}")
        };
        request.clone()
    }
}

/// The text with each of these parts, which occur once, replaced.
#[track_caller]
pub fn filled_in(text: &str, parts: &[(&str, &str)]) -> String {
    parts.iter().fold(text.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    })
}
