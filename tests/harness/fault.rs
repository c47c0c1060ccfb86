//! What can go wrong with a call of a service, and what its answer looks like then.

use serde_json::{Value, json};

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The service says that there is too much to do.
    Throttled,
    /// The service says that it failed.
    Failed,
    /// The connection ends before the service has the call.
    Cut,
    /// The service does what it is asked, and the connection ends before its answer.
    AnswerLost,
    /// The service does what it is asked, and half of its answer arrives.
    AnswerCut,
    /// The same, and the length that the answer tells is that of the half.
    BodyCut,
    /// What arrives is no answer of the service.
    Garbage,
    /// Nothing arrives.
    Silence,
    /// A transaction is cancelled for these reasons, one for each of its first writes. Nothing is
    /// written.
    Cancelled(&'static [&'static str]),
    /// The item of a single write is part of a transaction.
    Conflict,
    /// A batch is done but for every second of its items, beginning with the first.
    SomeLeftOut,
    /// Nothing of a batch is done.
    AllLeftOut,
    /// The attributes of the items in an answer are of another type, with their values.
    WrongType,
    /// They are of a type that does not exist yet.
    UnknownType,
    /// The service refuses the call with this status and code, and its message quotes the request.
    Refused(u16, &'static str),
}

impl Fault {
    /// All that are over at once and can happen to any call.
    pub const QUICK: [Self; 7] = [
        Self::Throttled,
        Self::Failed,
        Self::Cut,
        Self::AnswerLost,
        Self::AnswerCut,
        Self::BodyCut,
        Self::Garbage,
    ];

    /// All that are over at once and can happen to a call of that operation.
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

    /// What it is, for people.
    pub fn description(self) -> String {
        match self {
            Self::Throttled => "the service is throttled".to_owned(),
            Self::Failed => "the service fails".to_owned(),
            Self::Cut => "the connection ends before the call arrives".to_owned(),
            Self::AnswerLost => "the call is done, its answer is lost".to_owned(),
            Self::AnswerCut => "the call is done, half of its answer arrives".to_owned(),
            Self::BodyCut => {
                "the call is done, half of its answer arrives with a `Content-Length` that fits"
                    .to_owned()
            }
            Self::Garbage => "something else answers".to_owned(),
            Self::Silence => "nothing answers".to_owned(),
            Self::Cancelled(reasons) => {
                format!("a transaction is cancelled: `{}`", reasons.join("`, `"))
            }
            Self::Conflict => "`TransactionConflictException` for a single write".to_owned(),
            Self::SomeLeftOut => "a part of a batch is left out".to_owned(),
            Self::AllLeftOut => "all of a batch is left out".to_owned(),
            Self::WrongType => "attributes are of another type".to_owned(),
            Self::UnknownType => "attributes are of a type that does not exist yet".to_owned(),
            Self::Refused(status, code) => format!("{status} `{code}`"),
        }
    }
}

/// An answer of HTTP.
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

/// An error as AWS's JSON protocols tell it.
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

/// The refusal of a transaction of so many writes.
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

/// A refusal whose message quotes all that was sent, as SES names the address.
pub(super) fn quoting_refusal(status: u16, code: &str, request: &[u8]) -> Vec<u8> {
    let message = format!("refused: {}", String::from_utf8_lossy(request));
    refusal(
        status,
        code,
        &json!({ "message": message, "Message": message }),
    )
}

/// Takes every second item out of a batch, or all of them. Returns what is left to be done, if
/// anything, and what was taken out.
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

/// Gives the attributes of the items in an answer another type.
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
