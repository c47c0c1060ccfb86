//! Client of the function `manage-users` in the running stack.

use crate::{Error, stack::ENDPOINT_FILE};
use serde_json::{Map, Value as Json, json};
use std::path::Path;

const FUNCTION: &str = "manage-users";

pub struct Client {
    url: String,
    http: reqwest::Client,
    /// For the message that no stack is running.
    folder: String,
}

impl Client {
    /// A client of the stack at `endpoint`; if it is `None`, of the stack that runs with the data
    /// folder.
    pub fn new(endpoint: Option<String>, folder: &Path) -> Result<Self, Error> {
        let folder_name = folder.display().to_string();
        let endpoint = match endpoint {
            Some(endpoint) => endpoint,
            None => std::fs::read(folder.join(ENDPOINT_FILE))
                .ok()
                .and_then(|content| serde_json::from_slice::<Json>(&content).ok())
                .and_then(|content| content["aws"].as_str().map(str::to_owned))
                .ok_or_else(|| not_running(&folder_name))?,
        };
        let url = format!(
            "{}/2015-03-31/functions/{FUNCTION}/invocations",
            endpoint.trim_end_matches('/')
        );
        Ok(Self {
            url,
            http: crate::ambient::http_client(),
            folder: folder_name,
        })
    }

    /// Invokes an action of the function and returns its result. A result with `error` is an error.
    pub async fn manage(&self, action: &str, mut event: Map<String, Json>) -> Result<Json, Error> {
        event.insert("action".to_owned(), json!(action));
        let request = self
            .http
            .post(&self.url)
            .header("authorization", "none")
            .json(&event);
        let response = request.send().await.map_err(|error| {
            if error.is_connect() {
                not_running(&self.folder)
            } else {
                Error::new(format!("The request to the stack failed: {error}"))
            }
        })?;
        let failed = !response.status().is_success()
            || response.headers().contains_key("x-amz-function-error");
        let answer: Json = response.json().await.unwrap_or_default();
        if failed || !answer.is_object() {
            return Err(Error::new(format!("{FUNCTION} failed: {answer}"))
                .advice("See the log on the terminal of the stack."));
        }
        match answer.get("error") {
            None => Ok(answer),
            Some(error) => {
                let message = error["message"].as_str().unwrap_or_default();
                Err(Error::new(match error["field"].as_str() {
                    Some(field) => format!("{field}: {message}"),
                    None => message.to_owned(),
                }))
            }
        }
    }
}

fn not_running(folder: &str) -> Error {
    Error::new(format!("No stack is running with the data folder {folder}.")).advice(
        "Start one in another terminal with `cargo run`, or select a running one by its data folder (--data-dir) or its endpoint (--endpoint).",
    )
}
