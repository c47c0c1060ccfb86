//! Faults of calls to AWS services, and the answers that they lead to.

use serde_json::{Value, json};

/// A fault of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The service answers with a throttling error.
    Throttled,
    /// The service answers with an internal error.
    Failed,
    /// The connection ends before the call reaches the service.
    Cut,
    /// The service executes the call, and the connection ends before its answer.
    AnswerLost,
    /// The service executes the call, and the connection ends within its answer.
    AnswerCut,
    /// The service executes the call, and its answer is truncated with a matching `Content-Length`.
    BodyCut,
    /// The answer is not JSON.
    Garbage,
    /// No answer arrives, and the connection stays open.
    Silence,
    /// A transaction is cancelled for these reasons, one for each of its first writes. It writes
    /// nothing.
    Cancelled(&'static [&'static str]),
    /// A single write conflicts with a transaction on the same item.
    Conflict,
    /// A batch is executed without every second of its items, beginning with the first.
    SomeLeftOut,
    /// A batch is answered with all of its items unprocessed.
    AllLeftOut,
    /// The attributes of the items in an answer have another type.
    WrongType,
    /// The attributes of the items in an answer have a type that the SDK does not know.
    UnknownType,
    /// The service rejects the call with this status and code, and its message quotes the request.
    Refused(u16, &'static str),
}

impl Fault {
    /// The faults without delay that any call can meet.
    pub const QUICK: [Self; 7] = [
        Self::Throttled,
        Self::Failed,
        Self::Cut,
        Self::AnswerLost,
        Self::AnswerCut,
        Self::BodyCut,
        Self::Garbage,
    ];

    /// The faults without delay that a call of that operation can meet.
    pub fn of(operation: &str) -> Vec<Self> {
        let more: &[Self] = match operation {
            "TransactWriteItems" => &[
                Self::Cancelled(&["TransactionConflict"]),
                Self::Cancelled(&["TransactionConflict", "ConditionalCheckFailed"]),
                Self::Cancelled(&["None", "ThrottlingError"]),
                Self::Cancelled(&["ProvisionedThroughputExceeded"]),
            ],
            "BatchWriteItem" => &[Self::SomeLeftOut, Self::AllLeftOut],
            "BatchGetItem" => &[
                Self::SomeLeftOut,
                Self::AllLeftOut,
                Self::WrongType,
                Self::UnknownType,
            ],
            "GetItem" => &[Self::WrongType, Self::UnknownType],
            "UpdateItem" | "PutItem" => &[Self::Conflict],
            _ => &[],
        };
        [&Self::QUICK, more].concat()
    }

    /// The text in the report of the run of faults.
    pub fn description(self) -> String {
        match self {
            Self::Throttled => "the service throttles the call".to_owned(),
            Self::Failed => "the service returns an internal error".to_owned(),
            Self::Cut => "the connection closes before the call arrives".to_owned(),
            Self::AnswerLost => "the call takes effect, its response is lost".to_owned(),
            Self::AnswerCut => "the call takes effect, half of its response arrives".to_owned(),
            Self::BodyCut => {
                "the call takes effect, half of its response arrives with a matching `Content-Length`"
                    .to_owned()
            }
            Self::Garbage => "the response is not one of the service".to_owned(),
            Self::Silence => "no response arrives".to_owned(),
            Self::Cancelled(reasons) => {
                format!("a transaction is cancelled: `{}`", reasons.join("`, `"))
            }
            Self::Conflict => "`TransactionConflictException` for a single write".to_owned(),
            Self::SomeLeftOut => "a part of a batch is unprocessed".to_owned(),
            Self::AllLeftOut => "a whole batch is unprocessed".to_owned(),
            Self::WrongType => "attributes have another type".to_owned(),
            Self::UnknownType => "attributes have an unknown type".to_owned(),
            Self::Refused(status, code) => format!("{status} `{code}`"),
        }
    }
}

/// An HTTP response.
pub(super) fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} Injected\r\n{headers}content-type: application/x-amz-json-1.0\r\n"
    );
    [
        format!("{head}content-length: {}\r\n\r\n", body.len()).as_bytes(),
        body,
    ]
    .concat()
}

/// An error in the format of AWS's JSON protocols.
pub(super) fn refusal(status: u16, code: &str, more: &Value) -> Vec<u8> {
    let mut body = json!({ "__type": format!("com.amazonaws#{code}"), "message": "injected" });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    answer(
        status,
        &format!("x-amzn-errortype: {code}\r\nx-amzn-requestid: INJECTED-1\r\n"),
        body.to_string().as_bytes(),
    )
}

/// The cancellation of a transaction of that many writes.
pub(super) fn cancellation(reasons: &[&str], writes: usize) -> Vec<u8> {
    let codes: Vec<&str> = reasons
        .iter()
        .copied()
        .chain(std::iter::repeat("None"))
        .take(writes.max(1))
        .collect();
    let reasons: Vec<Value> = codes.iter().map(|code| json!({ "Code": code })).collect();
    let message = format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
        codes.join(", ")
    );
    refusal(
        400,
        "TransactionCanceledException",
        &json!({ "CancellationReasons": reasons, "Message": message }),
    )
}

/// An error whose message quotes the request, as SES quotes the address.
pub(super) fn quoting_refusal(status: u16, code: &str, request: &[u8]) -> Vec<u8> {
    let message = format!("refused: {}", String::from_utf8_lossy(request));
    refusal(
        status,
        code,
        &json!({ "message": message, "Message": message }),
    )
}

/// Takes every second item out of a batch, or all of them. Returns the remaining batch, if any, and
/// the items taken out.
pub(super) fn split(request: &Value, all: bool) -> (Option<Value>, Value) {
    let mut kept = request.clone();
    let mut left_out = json!({});
    let tables = kept["RequestItems"].as_object_mut().unwrap();
    let mut number = 0_usize;
    for (table, of_table) in tables.iter_mut() {
        let rest = if of_table.is_array() {
            &mut *of_table
        } else {
            &mut of_table["Keys"]
        };
        let mut taken = Vec::new();
        rest.as_array_mut().unwrap().retain(|item| {
            number += 1;
            let stays = !all && number.is_multiple_of(2);
            if !stays {
                taken.push(item.clone());
            }
            stays
        });
        if !taken.is_empty() {
            let mut out = of_table.clone();
            *(if out.is_array() {
                &mut out
            } else {
                &mut out["Keys"]
            }) = taken.into();
            left_out[table] = out;
        }
    }
    tables.retain(|_, of_table| {
        !of_table
            .as_array()
            .or(of_table["Keys"].as_array())
            .unwrap()
            .is_empty()
    });
    let is_empty = tables.is_empty();
    ((!is_empty).then_some(kept), left_out)
}

/// Changes the type of the attributes in an answer.
pub(super) fn retype(value: &mut Value, is_known: bool) {
    match value {
        Value::Object(object) => {
            for (_, inner) in object.iter_mut() {
                retype(inner, is_known);
            }
            let of_attribute = object.len() == 1;
            for (from, to) in [("S", "N"), ("N", "BOOL"), ("SS", "NS")] {
                let Some(old) = object
                    .get(from)
                    .filter(|old| of_attribute && !old.is_object())
                    .cloned()
                else {
                    continue;
                };
                object.clear();
                match (is_known, to) {
                    (true, "BOOL") => object.insert("BOOL".to_owned(), Value::Bool(true)),
                    (true, to) => object.insert(to.to_owned(), old),
                    (false, _) => object.insert("FUTURE".to_owned(), old),
                };
                break;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| retype(inner, is_known)),
        _ => {}
    }
}
