//! Lines as OpenTelemetry's log records.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
    resource::v1::Resource,
};
use prost::Message;
use tenement_core::name::InstanceName;
use tenement_logs::{Level, LogLine};

/// The request that hands over these lines; those of one instance stay in their order.
pub(super) fn request(lines: &[LogLine]) -> Vec<u8> {
    let mut by_instance: BTreeMap<&InstanceName, Vec<LogRecord>> = BTreeMap::new();
    for line in lines {
        by_instance.entry(&line.instance).or_default().push(record(line));
    }
    let resource_logs = by_instance.into_iter().map(|(name, records)| resource(name, records)).collect();
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

fn text(key: &str, text: impl Into<String>) -> KeyValue {
    pair(key, Value::StringValue(text.into()))
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn resource(name: &InstanceName, log_records: Vec<LogRecord>) -> ResourceLogs {
    let attributes =
        vec![text("service.name", name.service.as_str()), text("service.instance.id", name.id.as_str())];
    let scope = InstrumentationScope {
        name: "tenement".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    ResourceLogs {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_logs: vec![ScopeLogs { scope: Some(scope), log_records, ..ScopeLogs::default() }],
        ..ResourceLogs::default()
    }
}

fn record(line: &LogLine) -> LogRecord {
    let nanos = line.timestamp.0.saturating_mul(1_000_000);
    let severity = match line.level {
        Level::Debug => SeverityNumber::Debug,
        Level::Info => SeverityNumber::Info,
        Level::Warn => SeverityNumber::Warn,
        Level::Error => SeverityNumber::Error,
    };
    let seq = i64::try_from(line.seq).unwrap_or(i64::MAX);
    let mut attributes =
        vec![text("log.iostream", line.stream.as_str()), pair("tenement.seq", Value::IntValue(seq))];
    attributes.extend(line.part.as_str().map(|part| text("tenement.part", part)));
    attributes.extend(line.note.then(|| text("tenement.source", "daemon")));
    LogRecord {
        time_unix_nano: nanos,
        observed_time_unix_nano: nanos,
        severity_number: severity.into(),
        severity_text: line.level.as_str().to_ascii_uppercase(),
        body: Some(AnyValue { value: Some(Value::StringValue(line.message().into_owned())) }),
        attributes,
        ..LogRecord::default()
    }
}
