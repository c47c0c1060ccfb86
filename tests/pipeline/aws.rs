//! Fakes of CloudFormation and S3 for a deployment. Uploads succeed, and change sets are empty.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};

use crate::harness::spawn;

/// The fields of a call, `Action` among them.
pub type Call = BTreeMap<String, String>;

/// The received calls and uploaded objects.
#[derive(Clone, Default)]
pub struct Aws {
    calls: Arc<Mutex<Vec<Call>>>,
    objects: Arc<Mutex<BTreeSet<String>>>,
    outputs: Arc<BTreeMap<String, String>>,
}

impl Aws {
    /// Starts the fakes and returns them with their URL. The deployed stack has these outputs;
    /// without outputs it does not exist.
    pub async fn start(outputs: &[(&str, &str)]) -> (Self, String) {
        let outputs = outputs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let aws = Self {
            outputs: Arc::new(outputs),
            ..Self::default()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(aws.clone());
        let listener = listener.into_std().unwrap();
        spawn(async move {
            axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await
        });
        (aws, url)
    }

    /// The calls of an action so far.
    pub fn calls(&self, action: &str) -> Vec<Call> {
        self.calls
            .lock()
            .unwrap()
            .iter()
            .filter(|call| call["Action"] == action)
            .cloned()
            .collect()
    }

    /// Paths of the objects, `/<bucket>/<key>`.
    pub fn objects(&self) -> Vec<String> {
        self.objects.lock().unwrap().iter().cloned().collect()
    }

    fn cloudformation(&self, call: &Call) -> Response {
        let action = &call["Action"];
        let stack = call.get("StackName").map_or("", String::as_str);
        let result = match action.as_str() {
            "DescribeStacks" if stack == "aws-sam-cli-managed-default" => {
                described(stack, &BTreeMap::from([("SourceBucket".to_owned(), "source-bucket".to_owned())]))
            }
            "DescribeStacks" if !self.outputs.is_empty() => described(stack, &self.outputs),
            "CreateChangeSet" => "<Id>arn:aws:cloudformation:eu-central-1:123456789012:changeSet/set/1</Id>\
                <StackId>arn:aws:cloudformation:eu-central-1:123456789012:stack/stack/1</StackId>"
                .to_owned(),
            "DescribeChangeSet" => "<Status>FAILED</Status><StatusReason>The submitted information didn't contain changes. \
                Submit different information to create a change set.</StatusReason>"
                .to_owned(),
            "DeleteChangeSet" => String::new(),
            _ => {
                let error = format!(
                    "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>\
                    <Message>Stack with id {stack} does not exist</Message></Error></ErrorResponse>"
                );
                return (StatusCode::BAD_REQUEST, error).into_response();
            }
        };
        format!("<{action}Response><{action}Result>{result}</{action}Result></{action}Response>")
            .into_response()
    }
}

fn described(stack: &str, outputs: &BTreeMap<String, String>) -> String {
    let output = |(name, value): (&String, &String)| {
        format!("<member><OutputKey>{name}</OutputKey><OutputValue>{value}</OutputValue></member>")
    };
    let outputs: String = outputs.iter().map(output).collect();
    format!(
        "<Stacks><member><StackName>{stack}</StackName><StackStatus>CREATE_COMPLETE</StackStatus>\
        <StackId>arn:aws:cloudformation:eu-central-1:123456789012:stack/{stack}/1</StackId>\
        <CreationTime>2026-01-01T00:00:00Z</CreationTime><Outputs>{outputs}</Outputs>\
        <Tags><member><Key>ManagedStackSource</Key><Value>AwsSamCli</Value></member></Tags></member></Stacks>"
    )
}

async fn answer(State(aws): State<Aws>, method: Method, uri: Uri, body: Bytes) -> Response {
    let path = uri.path().to_owned();
    match method {
        Method::POST if path == "/" => {
            let call: Call = form(&body);
            aws.calls.lock().unwrap().push(call.clone());
            aws.cloudformation(&call)
        }
        Method::HEAD if aws.objects.lock().unwrap().contains(&path) => {
            StatusCode::OK.into_response()
        }
        Method::PUT => {
            aws.objects.lock().unwrap().insert(path);
            StatusCode::OK.into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn form(body: &[u8]) -> Call {
    let url = format!("http://form/?{}", std::str::from_utf8(body).unwrap());
    reqwest::Url::parse(&url)
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect()
}
