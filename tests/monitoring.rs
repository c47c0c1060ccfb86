//! The alarms and the dashboard of template.yaml

use std::{collections::BTreeSet, fs};

use serde_json::Value as Json;
use serde_yaml_ng::Value;
use shared::platform::telemetry::metrics;

use crate::harness::workspace;

/// Namespace of the functions' metrics, the value of `IDENTITY_METRICS_NAMESPACE`.
const NAMESPACE: &str = "Latchkey/${AWS::StackName}";

/// Namespace, name, and pairs of dimension and value.
type Metric = (String, String, Vec<(String, String)>);

fn template() -> Value {
    serde_yaml_ng::from_str(&fs::read_to_string(workspace().join("template.yaml")).unwrap())
        .unwrap()
}

/// Logical id and properties of each resource of a type.
fn resources(template: &Value, kind: &str) -> Vec<(String, Value)> {
    let all = template["Resources"].as_mapping().unwrap().iter();
    let some: Vec<_> = all
        .filter(|(_, resource)| resource["Type"] == kind)
        .collect();
    assert!(!some.is_empty(), "{kind}");
    some.into_iter()
        .map(|(name, resource)| {
            (
                name.as_str().unwrap().to_owned(),
                resource["Properties"].clone(),
            )
        })
        .collect()
}

/// A string, also as the argument of an intrinsic function.
fn text(value: &Value) -> String {
    match value {
        Value::Tagged(tagged) => text(&tagged.value),
        plain => plain
            .as_str()
            .unwrap_or_else(|| panic!("not a string: {plain:?}"))
            .to_owned(),
    }
}

fn dimensions(value: &Value) -> Vec<(String, String)> {
    let pairs = value
        .get("Dimensions")
        .and_then(Value::as_sequence)
        .into_iter()
        .flatten();
    pairs
        .map(|pair| (text(&pair["Name"]), text(&pair["Value"])))
        .collect()
}

/// The metrics that an alarm watches.
fn watched(alarm: &Value) -> Vec<Metric> {
    let metric = |metric: &Value| {
        (
            text(&metric["Namespace"]),
            text(&metric["MetricName"]),
            dimensions(metric),
        )
    };
    match alarm.get("Metrics").and_then(Value::as_sequence) {
        Some(queries) => queries
            .iter()
            .filter_map(|query| query.get("MetricStat"))
            .map(|stat| metric(&stat["Metric"]))
            .collect(),
        None => vec![metric(alarm)],
    }
}

/// The body of the dashboard, with unresolved references.
fn dashboard() -> Json {
    let (_, properties) = resources(&template(), "AWS::CloudWatch::Dashboard").remove(0);
    serde_json::from_str(&text(&properties["DashboardBody"])).unwrap()
}

/// The metrics of the dashboard. Expressions are left out: they refer to metrics of their widget.
fn shown(dashboard: &Json) -> Vec<Metric> {
    let widgets = dashboard["widgets"].as_array().unwrap().iter();
    let metrics = widgets
        .filter_map(|widget| widget["properties"]["metrics"].as_array())
        .flatten();
    let names = metrics.map(|metric| {
        let parts = metric
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Json::as_str)
            .map(str::to_owned);
        parts.collect::<Vec<_>>()
    });
    let metric = |names: Vec<String>| match &names[..] {
        [namespace, name, dimensions @ ..] => {
            let pairs = dimensions
                .chunks(2)
                .map(|pair| (pair[0].clone(), pair[1].clone()));
            Some((namespace.clone(), name.clone(), pairs.collect()))
        }
        _ => None,
    };
    names.filter_map(metric).collect()
}

/// The functions' own metrics, one for each value of a dimension.
fn emitted() -> BTreeSet<Metric> {
    let name = |metric: &metrics::Metric| metric.name.to_owned();
    let with = |metric, dimensions| (NAMESPACE.to_owned(), name(metric), dimensions);
    let all = metrics::ALL
        .iter()
        .flat_map(|metric| match metric.dimension {
            Some((dimension, values)) => values
                .iter()
                .map(|value| with(metric, vec![(dimension.to_owned(), (*value).to_owned())]))
                .collect(),
            None => vec![with(metric, Vec::new())],
        });
    all.collect()
}

fn own(metrics: Vec<Metric>) -> BTreeSet<Metric> {
    metrics
        .into_iter()
        .filter(|(namespace, ..)| !namespace.starts_with("AWS/"))
        .collect()
}

#[test]
fn alarms_and_dashboard_use_the_namespace_of_the_functions() {
    let variable = &template()["Globals"]["Function"]["Environment"]["Variables"]["IDENTITY_METRICS_NAMESPACE"];
    assert_eq!(text(variable), NAMESPACE);
}

#[test]
fn alarms_watch_metrics_that_the_functions_emit() {
    let alarms = resources(&template(), "AWS::CloudWatch::Alarm");
    let watched = own(alarms
        .iter()
        .flat_map(|(_, alarm)| watched(alarm))
        .collect());
    assert!(
        !watched.is_empty() && watched.is_subset(&emitted()),
        "{watched:#?}"
    );
}

#[test]
fn the_dashboard_shows_exactly_the_metrics_of_the_functions() {
    assert_eq!(own(shown(&dashboard())), emitted());
}

#[test]
fn the_dashboard_refers_only_to_resources_of_the_template() {
    let template = template();
    let body = dashboard().to_string();
    for reference in body
        .split("${")
        .skip(1)
        .map(|rest| rest.split(['}', '.']).next().unwrap())
    {
        let known =
            reference.starts_with("AWS::") || template["Resources"].get(reference).is_some();
        assert!(known, "{reference}");
    }
    let logs: BTreeSet<String> = resources(&template, "AWS::Logs::LogGroup")
        .into_iter()
        .map(|(_, properties)| text(&properties["LogGroupName"]))
        .collect();
    for source in body
        .split("SOURCE '")
        .skip(1)
        .map(|rest| rest.split('\'').next().unwrap())
    {
        assert!(logs.contains(source), "{source}");
    }
}

#[test]
fn widgets_are_on_the_grid_and_do_not_overlap() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    for widget in dashboard["widgets"].as_array().unwrap() {
        let [x, y, width, height] =
            ["x", "y", "width", "height"].map(|name| widget[name].as_u64().unwrap());
        assert!(x + width <= 24, "{widget}");
        for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{widget}");
        }
    }
}

#[test]
fn every_alarm_notifies_the_topic_and_is_explained_in_the_runbook() {
    let runbook = fs::read_to_string(workspace().join("docs/RUNBOOK.md")).unwrap();
    for (name, alarm) in resources(&template(), "AWS::CloudWatch::Alarm") {
        let notified: Vec<String> = alarm["AlarmActions"]
            .as_sequence()
            .unwrap()
            .iter()
            .map(text)
            .collect();
        assert_eq!(notified, ["AlarmTopic"], "{name}");
        let missing_data = text(&alarm["TreatMissingData"]);
        assert!(
            ["notBreaching", "ignore"].contains(&missing_data.as_str()),
            "{name}: {missing_data}"
        );
        let description = text(&alarm["AlarmDescription"]);
        assert!(
            description.ends_with(&format!(" See {name} in docs/RUNBOOK.md.")),
            "{name}: {description}"
        );
        assert!(
            runbook.contains(&format!("\n### {name}\n")),
            "docs/RUNBOOK.md has no section {name}"
        );
    }
}

/// `CloudWatch` rejects an alarm with no result or with several. A metric that the expression does
/// not name has no effect.
#[test]
fn an_alarm_returns_one_result_from_all_its_metrics() {
    for (name, alarm) in resources(&template(), "AWS::CloudWatch::Alarm") {
        let Some(queries) = alarm.get("Metrics").and_then(Value::as_sequence) else {
            continue;
        };
        let results = queries.iter().filter(|query| {
            query
                .get("ReturnData")
                .and_then(Value::as_bool)
                .unwrap_or(true)
        });
        assert_eq!(results.count(), 1, "{name}");
        let expression = text(&queries[0]["Expression"]);
        for id in queries.iter().skip(1).map(|query| text(&query["Id"])) {
            assert!(expression.contains(&id), "{name}: {id}");
        }
    }
}
