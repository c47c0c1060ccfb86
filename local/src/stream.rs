//! Event source mappings: polls the streams of tables and invokes functions with one record each.

use crate::{
    Error, ambient,
    data::Data,
    log::Logger,
    pattern,
    runtime::Functions,
    template::{StreamSource, Template, stream_arn},
};
use dynoxide::{
    Database,
    actions::{get_records::GetRecordsRequest, get_shard_iterator::GetShardIteratorRequest},
    streams::shard_id,
};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

const FILE: &str = "streams.json";
/// A stream is read after each invocation, because functions write to tables. It is also read at
/// this interval, because other programs may write too.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(30);
/// Maximum number of records per read.
const PAGE: usize = 100;

/// Delivers the stream of one table to one function.
pub struct StreamPoller {
    function: String,
    source: StreamSource,
    database: Database,
    functions: Arc<Functions>,
    positions: Arc<Positions>,
    log: Logger,
}

/// The sequence number of the last record that each poller delivered, kept across restarts.
pub struct Positions {
    data: Arc<Data>,
    delivered: Mutex<BTreeMap<String, String>>,
}

impl Positions {
    pub fn open(data: Arc<Data>) -> Result<Self, Error> {
        let delivered = match data.read(FILE)? {
            Some(kept) => serde_json::from_slice(&kept).map_err(|error| {
                Error::new(format!("{FILE} in the data folder is damaged: {error}"))
                    .advice("Delete the file. All records of the streams are then delivered again.")
            })?,
            None => BTreeMap::new(),
        };
        Ok(Self {
            data,
            delivered: Mutex::new(delivered),
        })
    }

    fn of(&self, follower: &str) -> Option<String> {
        ambient::lock(&self.delivered).get(follower).cloned()
    }

    fn advance(&self, follower: &str, sequence_number: String) -> Result<(), Error> {
        let mut delivered = ambient::lock(&self.delivered);
        delivered.insert(follower.to_owned(), sequence_number);
        let kept = serde_json::to_vec_pretty(&*delivered)
            .map_err(|error| Error::new(error.to_string()))?;
        self.data.write(FILE, &kept)
    }
}

/// Records in the order of the stream, from the first one whose delivery is not complete.
#[derive(Default)]
struct InFlight(VecDeque<(String, bool)>);

impl InFlight {
    fn add(&mut self, sequence_number: &str) {
        self.0.push_back((sequence_number.to_owned(), false));
    }

    /// Marks a record as complete. Returns the new position if it changed: the last record that is
    /// complete together with all before it.
    fn settle(&mut self, sequence_number: &str) -> Option<String> {
        if let Some(entry) = self
            .0
            .iter_mut()
            .find(|(number, _)| number == sequence_number)
        {
            entry.1 = true;
        }
        let mut last = None;
        while let Some((number, _)) = self.0.pop_front_if(|(_, settled)| *settled) {
            last = Some(number);
        }
        last
    }
}

/// The pollers of the template's event source mappings.
pub fn followers(
    template: &Template,
    database: &Database,
    functions: &Arc<Functions>,
    positions: &Arc<Positions>,
    log: &Logger,
) -> Vec<StreamPoller> {
    let sources = template.functions.iter().flat_map(|function| {
        function
            .streams
            .iter()
            .map(|source| (function.name.clone(), source.clone()))
    });
    sources
        .map(|(function, source)| StreamPoller {
            function,
            source,
            database: database.clone(),
            functions: functions.clone(),
            positions: positions.clone(),
            log: log.clone(),
        })
        .collect()
}

impl StreamPoller {
    /// Polls until the future is dropped. `written` triggers a read.
    pub async fn run(self, written: Arc<Notify>) {
        let name = format!("{} on {}", self.function, self.source.table);
        let mut iterator = match self.iterator(self.positions.of(&name)) {
            Ok(iterator) => iterator,
            Err(error) => {
                return self
                    .log
                    .problem(&format!("{name}: reading the stream failed: {error}"));
            }
        };
        let follower = Arc::new(self);
        let (settled, mut settlements) = mpsc::unbounded_channel();
        let mut deliveries = tokio::task::JoinSet::new();
        let lanes: Vec<_> = (0..follower.source.lanes)
            .map(|_| {
                let (lane, records) = mpsc::unbounded_channel();
                deliveries.spawn(deliver(follower.clone(), records, settled.clone()));
                lane
            })
            .collect();
        let mut in_flight = InFlight::default();
        loop {
            match follower.read(&mut iterator) {
                Ok(records) => {
                    for record in records {
                        in_flight.add(&sequence_number(&record));
                        let lane = &lanes[lane_of(&record, lanes.len())];
                        let _ = if follower.wants(&record) {
                            lane.send(record).is_ok()
                        } else {
                            settled.send(record).is_ok()
                        };
                    }
                }
                Err(error) => follower
                    .log
                    .problem(&format!("{name}: reading the stream failed: {error}")),
            }
            let wake = async {
                tokio::select! {
                    () = written.notified() => {}
                    () = tokio::time::sleep(LOOK_INTERVAL) => {}
                }
            };
            tokio::pin!(wake);
            loop {
                tokio::select! {
                    () = &mut wake => break,
                    Some(record) = settlements.recv() => {
                        if let Some(number) = in_flight.settle(&sequence_number(&record))
                            && let Err(error) = follower.positions.advance(&name, number)
                        {
                            follower.log.problem(&error.to_string());
                        }
                    }
                }
            }
        }
    }

    fn iterator(&self, after: Option<String>) -> Result<String, dynoxide::DynoxideError> {
        let response = self.database.get_shard_iterator(GetShardIteratorRequest {
            stream_arn: stream_arn(&self.source.table),
            shard_id: shard_id(&self.source.table),
            shard_iterator_type: if after.is_some() {
                "AFTER_SEQUENCE_NUMBER"
            } else {
                "TRIM_HORIZON"
            }
            .to_owned(),
            sequence_number: after,
        })?;
        Ok(response.shard_iterator.unwrap_or_default())
    }

    /// The next records, in the format of Lambda events.
    fn read(&self, iterator: &mut String) -> Result<Vec<Json>, dynoxide::DynoxideError> {
        let request = GetRecordsRequest {
            shard_iterator: iterator.clone(),
            limit: Some(PAGE),
        };
        let response = self.database.get_records(request)?;
        if let Some(next) = response.next_shard_iterator {
            *iterator = next;
        }
        let records = response
            .records
            .iter()
            .filter_map(|record| serde_json::to_value(record).ok());
        Ok(records
            .map(|mut record| {
                record["awsRegion"] = json!("us-east-1");
                record["eventSourceARN"] = json!(stream_arn(&self.source.table));
                record
            })
            .collect())
    }

    fn wants(&self, record: &Json) -> bool {
        let patterns = &self.source.patterns;
        patterns.is_empty()
            || patterns
                .iter()
                .any(|pattern| pattern::matches(pattern, record))
    }

    /// Invokes the function, and retries with growing pauses. Drops the record if no retries are
    /// left or it would exceed its maximum age.
    async fn deliver(&self, record: &Json) {
        let event = json!({ "Records": [record] }).to_string();
        let mut pause = FIRST_RETRY;
        for attempt in 0_u64.. {
            if self
                .functions
                .invoke(&self.function, event.clone().into())
                .await
                .is_ok()
            {
                return;
            }
            let exhausted = self
                .source
                .maximum_retries
                .is_some_and(|retries| attempt >= retries);
            if exhausted
                || self
                    .source
                    .maximum_age
                    .is_some_and(|maximum| age(record) + pause >= maximum)
            {
                self.log.problem(&format!(
                    "{} failed to handle a record of {} and has no retries left. The record is dropped: {}",
                    self.function, self.source.table, record["dynamodb"]["Keys"]
                ));
                return;
            }
            self.log.notice(&format!(
                "{} failed to handle a record. Retrying in {} ms.",
                self.function,
                pause.as_millis()
            ));
            tokio::time::sleep_until(Instant::now() + pause).await;
            pause = (pause * 2).min(LAST_RETRY);
        }
    }
}

/// Delivers the records of one lane in order.
async fn deliver(
    follower: Arc<StreamPoller>,
    mut records: mpsc::UnboundedReceiver<Json>,
    settled: mpsc::UnboundedSender<Json>,
) {
    while let Some(record) = records.recv().await {
        follower.deliver(&record).await;
        if settled.send(record).is_err() {
            return;
        }
    }
}

fn sequence_number(record: &Json) -> String {
    record["dynamodb"]["SequenceNumber"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Records of one item share a lane, which preserves their order.
fn lane_of(record: &Json, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    record["dynamodb"]["Keys"].to_string().hash(&mut hasher);
    usize::try_from(hasher.finish() % lanes as u64).unwrap_or_default()
}

fn age(record: &Json) -> Duration {
    let created = record["dynamodb"]["ApproximateCreationDateTime"]
        .as_f64()
        .unwrap_or_default();
    let now = Duration::from_millis(ambient::now_millis());
    now.saturating_sub(Duration::try_from_secs_f64(created).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_advances_only_past_completed_records() {
        let mut in_flight = InFlight::default();
        for number in ["1", "2", "3"] {
            in_flight.add(number);
        }
        assert_eq!(in_flight.settle("2"), None);
        assert_eq!(in_flight.settle("1"), Some("2".to_owned()));
        assert_eq!(in_flight.settle("3"), Some("3".to_owned()));
    }

    #[test]
    fn records_of_one_item_share_a_lane() {
        let record = |sk: &str| json!({ "dynamodb": { "Keys": { "pk": { "S": "ID1" }, "sk": { "S": sk } } } });
        assert_eq!(
            lane_of(&record("MAIL#1"), 10),
            lane_of(&record("MAIL#1"), 10)
        );
        assert!(lane_of(&record("MAIL#2"), 10) < 10);
    }
}
