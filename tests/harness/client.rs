//! Requests and answers.

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::{
    contract::CONTRACT,
    stack::{Latchkey, no_call_was_denied, spawn},
};

impl Latchkey {
    pub fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> Request {
        self.request(Method::POST, path)
    }

    pub fn delete(&self, path: &str) -> Request {
        self.request(Method::DELETE, path)
    }

    pub fn request(&self, method: Method, path: &str) -> Request {
        Request(self.http.request(method, format!("{}{path}", self.url())))
    }
}

/// A request under construction. Without [`Request::cookie`] or [`Request::bearer`] it presents no
/// session.
pub struct Request(RequestBuilder);

impl From<RequestBuilder> for Request {
    fn from(request: RequestBuilder) -> Self {
        Self(request)
    }
}

impl Request {
    /// Parameters as a browser form sends them.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        Self(self.0.form(fields))
    }

    pub fn multipart(self, fields: &[(&str, &str)]) -> Self {
        let add = |form: reqwest::multipart::Form, (name, value): &(&str, &str)| {
            form.text((*name).to_owned(), (*value).to_owned())
        };
        Self(
            self.0
                .multipart(fields.iter().fold(reqwest::multipart::Form::new(), add)),
        )
    }

    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    pub fn body(self, media_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.header("content-type", media_type).untyped_body(bytes)
    }

    /// A body without a content type.
    pub fn untyped_body(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self(self.0.body(bytes.into()))
    }

    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        Self(self.0.header(name, value.as_ref()))
    }

    pub fn cookie(self, session: &str) -> Self {
        self.header("cookie", format!("_barong_session={session}"))
    }

    pub fn device(self, cookie: &str) -> Self {
        self.header("cookie", format!("_latchkey_device={cookie}"))
    }

    pub fn bearer(self, session: &str) -> Self {
        self.header("authorization", format!("Bearer {session}"))
    }

    pub fn csrf(self, csrf_token: &str) -> Self {
        self.header("x-csrf-token", csrf_token)
    }

    pub async fn send(self) -> Answer {
        let receiving = async {
            let (client, request) = self.0.build_split();
            let request = request.expect("a request");
            let method = request.method().clone();
            let path = request.url().path().to_owned();
            let response = client.execute(request).await.expect("an answer");
            let status = response.status().as_u16();
            let headers = response
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect();
            let answer = Answer {
                status,
                headers,
                body: response.bytes().await.expect("a body").into(),
            };
            CONTRACT.describes(method.as_str(), &path, &answer);
            answer
        };
        let answer = spawn(receiving).await.unwrap();
        no_call_was_denied();
        answer
    }
}

/// Sends all requests before the first answer is awaited.
pub async fn all_at_once(requests: impl IntoIterator<Item = Request>) -> Vec<Answer> {
    let sent: Vec<_> = requests
        .into_iter()
        .map(|request| spawn(request.send()))
        .collect();
    let mut answers = Vec::new();
    for answer in sent {
        answers.push(answer.await.unwrap());
    }
    answers
}

#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{self:?}"
        );
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Asserts that the body is an object with exactly these names, in this order.
    #[track_caller]
    pub fn has_names(&self, names: &[&str]) {
        let object = self.json();
        let text = self.text();
        let places: Vec<Option<usize>> = names
            .iter()
            .map(|name| text.find(&format!("\"{name}\":")))
            .collect();
        assert!(
            object.as_object().unwrap().len() == names.len()
                && places.iter().all(Option::is_some)
                && places.is_sorted(),
            "{text}"
        );
    }

    /// The value of the session cookie that the answer sets.
    #[track_caller]
    pub fn session(&self) -> String {
        let cookie = self.header("set-cookie").expect("a cookie");
        let (pair, _) = cookie.split_once(';').unwrap();
        pair.split_once('=').unwrap().1.to_owned()
    }

    /// The value of the device cookie that the answer sets.
    #[track_caller]
    pub fn device_cookie(&self) -> String {
        let cookies = self.headers.iter().filter(|(name, _)| name == "set-cookie");
        let mut values = cookies.filter_map(|(_, value)| {
            let (pair, _) = value.split_once(';')?;
            let (name, value) = pair.split_once('=')?;
            name.ends_with("latchkey_device").then(|| value.to_owned())
        });
        values.next().expect("a device cookie")
    }

    /// Asserts that the answer is an error with exactly these keys, without a cookie.
    #[track_caller]
    pub fn is_refused(&self, status: u16, keys: &[&str]) {
        let expected = serde_json::json!({ "errors": keys }).to_string();
        assert_eq!(
            (self.status, self.text()),
            (status, expected.as_str()),
            "{self:?}"
        );
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.header("set-cookie"), None);
    }

    /// Asserts the status and that the body is empty.
    #[track_caller]
    pub fn is_empty(&self, status: u16) {
        assert_eq!((self.status, self.text()), (status, ""), "{self:?}");
    }

    /// The answer without the headers that differ between any two answers: the date and the
    /// gateway's request id.
    pub fn comparable(mut self) -> Self {
        self.headers
            .retain(|(name, _)| name != "date" && name != "apigw-requestid");
        self
    }
}
