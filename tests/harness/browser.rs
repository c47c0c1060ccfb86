//! A browser: headless Chromium, driven by `WebDriver`.

use std::{fmt::Debug, net::TcpListener, path::PathBuf, process::Stdio};

use reqwest::Method;
use serde_json::{Value, json};
use thirtyfour::{
    By, CapabilitiesHelper, ChromeCapabilities, ChromiumLikeCapabilities, DesiredCapabilities, Key,
    WebDriver, WebElement,
};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use super::{eventually, spawn};

/// The path of chromedriver. It must be installed where `CI` is set; elsewhere the browser tests
/// are skipped without it.
fn program() -> Option<PathBuf> {
    let path = shared::platform::environment::variable("PATH").unwrap_or_default();
    let found = path
        .split(':')
        .map(|folder| PathBuf::from(folder).join("chromedriver"))
        .find(|file| file.is_file());
    if found.is_none() {
        assert!(
            shared::platform::environment::variable("CI").is_none(),
            "chromedriver is not installed: apt-get install chromium chromium-driver"
        );
        eprintln!(
            "SKIPPED: chromedriver is not installed (apt-get install chromium chromium-driver), so the pages were not tested in a browser"
        );
    }
    found
}

pub struct Browser {
    driver: WebDriver,
    server: String,
    origin: String,
    _process: Child,
}

impl Browser {
    /// Starts a browser with an empty profile. Returns `None` where chromedriver is not installed.
    pub async fn start(origin: &str) -> Option<Self> {
        let program = program()?;
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let process = Command::new(program)
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        eventually("the driver listens", || async {
            TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        let mut capabilities: ChromeCapabilities = DesiredCapabilities::chrome();
        // Chromium's sandbox does not run as root, and tests in a container do.
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--lang=en",
        ] {
            capabilities.add_arg(argument).unwrap();
        }
        capabilities
            .set("goog:loggingPrefs", json!({ "browser": "ALL" }))
            .unwrap();
        let server = format!("http://127.0.0.1:{port}");
        let driver = WebDriver::new(&server, capabilities)
            .await
            .expect("a browser");
        Some(Self {
            driver,
            server,
            origin: origin.to_owned(),
            _process: process,
        })
    }

    /// Opens a path of the stack, or a full URL.
    pub async fn open(&self, path: &str) {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.origin)
        };
        self.driver.goto(url).await.unwrap();
    }

    pub async fn resize(&self, width: u32, height: u32) {
        self.driver
            .set_window_rect(0, 0, width, height)
            .await
            .unwrap();
    }

    pub async fn element(&self, css: &str) -> WebElement {
        self.driver
            .find(By::Css(css))
            .await
            .unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.element(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    pub async fn click(&self, css: &str) {
        self.element(css)
            .await
            .click()
            .await
            .unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Waits until the element is visible, and returns its text.
    pub async fn shows(&self, css: &str) -> String {
        eventually(css, || async {
            let element = self.driver.find(By::Css(css)).await.ok()?;
            element.is_displayed().await.ok()?.then_some(())?;
            element.text().await.ok()
        })
        .await
    }

    /// Waits until the page's message contains the text.
    pub async fn shows_message(&self, text: &str) {
        eventually(text, || async {
            let message = self
                .driver
                .find(By::Css("#message"))
                .await
                .ok()?
                .text()
                .await
                .ok()?;
            message.contains(text).then_some(())
        })
        .await;
    }

    /// Waits until the browser shows the page at that path.
    pub async fn is_at(&self, path: &str) {
        eventually(path, || async {
            let url = self.driver.current_url().await.ok()?;
            (url.path() == path).then_some(())
        })
        .await;
    }

    pub async fn url(&self) -> String {
        self.driver.current_url().await.unwrap().to_string()
    }

    /// Types into the focused element.
    pub async fn types(&self, keys: impl Into<thirtyfour::TypingData>) {
        self.driver
            .active_element()
            .await
            .unwrap()
            .send_keys(keys)
            .await
            .unwrap();
    }

    pub async fn presses_tab(&self) {
        self.types(Key::Tab).await;
    }

    /// Runs a script in the page and returns its result.
    pub async fn evaluate(&self, script: &str) -> Value {
        self.driver
            .execute(script, Vec::new())
            .await
            .unwrap()
            .json()
            .clone()
    }

    /// Sets the preferred colour scheme, `light` or `dark`.
    pub async fn prefers(&self, scheme: &str) {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.command("Emulation.setEmulatedMedia", media).await;
    }

    /// Sends a command of the Chrome `DevTools` Protocol.
    async fn command(&self, command: &str, parameters: Value) {
        let path = self.session_path("goog/cdp/execute");
        let body = json!({ "cmd": command, "params": parameters });
        self.ask(Method::POST, &path, &body).await;
    }

    /// Runs a script before those of every page that is opened from now on.
    pub async fn runs_first(&self, script: &str) {
        let parameters = json!({ "source": script });
        self.command("Page.addScriptToEvaluateOnNewDocument", parameters)
            .await;
    }

    /// The expiry of a cookie of the stack, in Unix seconds; `None` if it ends with the browser.
    pub async fn cookie_expiry(&self, name: &str) -> Option<i64> {
        self.driver.get_named_cookie(name).await.unwrap().expiry
    }

    /// The value of a cookie of the stack.
    pub async fn cookie(&self, name: &str) -> String {
        self.driver.get_named_cookie(name).await.unwrap().value
    }

    /// Deletes the cookies of the stack.
    pub async fn deletes_cookies(&self) {
        self.driver.delete_all_cookies().await.unwrap();
    }

    pub async fn screenshot(&self) -> Vec<u8> {
        self.driver.screenshot_as_png().await.unwrap()
    }

    /// Asserts that the console shows no error, warning or violation of the content security
    /// policy. The browser also logs error responses of the API; those are ignored.
    pub async fn has_no_console_errors(&self) {
        let path = self.session_path("se/log");
        let log = self
            .ask(Method::POST, &path, &json!({ "type": "browser" }))
            .await;
        let errors: Vec<&Value> = log
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| ["SEVERE", "WARNING"].contains(&entry["level"].as_str().unwrap()))
            .filter(|entry| {
                !entry["message"]
                    .as_str()
                    .unwrap()
                    .contains("Failed to load resource")
            })
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }

    /// The path of a command of `WebDriver`.
    pub(super) fn session_path(&self, command: &str) -> String {
        format!("/session/{}/{command}", self.driver.session_id())
    }

    /// Sends a command that `thirtyfour` does not have, and returns its value.
    pub(super) async fn ask(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = reqwest::Client::new()
            .request(method, format!("{}{path}", self.server))
            .json(body);
        let answer: Value = spawn(async { request.send().await?.json().await })
            .await
            .unwrap()
            .unwrap();
        let value = answer["value"].clone();
        assert!(value["error"].is_null(), "{path}: {value}");
        value
    }

    pub async fn close(self) {
        self.has_no_console_errors().await;
        self.driver.quit().await.unwrap();
    }
}

impl Debug for Browser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Browser at {}", self.origin)
    }
}
