//! `docs/elements.md` lists what the elements have.
//!
//! `SHMFLOW_REGENERATE=1 cargo test --test documents reference` writes the tables of properties anew.

use std::fmt::Write;
use std::path::Path;

use gstreamer as gst;

use gst::glib;
use gst::prelude::*;

use crate::support::{Running, Topic, init};

/// The properties that an element has of its own.
fn own(element: &gst::Element) -> Vec<glib::ParamSpec> {
    let mut own: Vec<_> = element
        .list_properties()
        .iter()
        .filter(|spec| spec.owner_type() == element.type_())
        .cloned()
        .collect();
    own.sort_by(|a, b| a.name().cmp(b.name()));
    own
}

/// A default as one would type it.
fn default(element: &gst::Element, spec: &glib::ParamSpec) -> String {
    if !spec.flags().contains(glib::ParamFlags::WRITABLE) {
        return "read-only".into();
    }
    if spec.name() == "perms" {
        return format!("0{:o}", element.property::<u32>("perms"));
    }
    let value = element.property_value(spec.name());
    if let Some((_, value)) = glib::EnumValue::from_value(&value) {
        return value.nick().into();
    }
    match value.serialize() {
        Ok(text) if !text.is_empty() && text != "NULL" => text.into(),
        _ => "unset".into(),
    }
}

/// A property's type, with the values of an enumeration.
fn kind(spec: &glib::ParamSpec) -> String {
    match glib::EnumClass::with_type(spec.value_type()) {
        Some(class) => class.values().iter().map(|value| value.nick()).collect::<Vec<_>>().join(" / "),
        None => match spec.value_type().name() {
            "gchararray" => "string".into(),
            "gboolean" => "boolean".into(),
            "guint" => "uint".into(),
            "guint64" => "uint64".into(),
            "GstCaps" => "caps".into(),
            "GstStructure" => "structure".into(),
            other => other.into(),
        },
    }
}

fn table(name: &str) -> String {
    let element = gst::ElementFactory::make(name).build().expect("registered");
    let mut table = "\n| property | type | default | meaning |\n|---|---|---|---|\n".to_owned();
    for spec in own(&element) {
        let blurb = spec.blurb().expect("described").replace('|', "\\|");
        let (kind, default) = (kind(&spec), default(&element, &spec));
        writeln!(table, "| `{}` | {kind} | {default} | {blurb} |", spec.name()).expect("written");
    }
    table.push('\n');
    table
}

#[test]
fn the_document_has_every_property_as_it_is() {
    init();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/elements.md");
    let text = std::fs::read_to_string(&path).expect("there");
    let mut new = text.clone();
    for name in ["shmflowsink", "shmflowsrc"] {
        let start = format!("<!-- properties: {name} -->\n");
        let (before, rest) = new.split_once(&start).unwrap_or_else(|| panic!("no place for {name}"));
        let (_, after) = rest.split_once("<!-- end -->").expect("closed");
        new = format!("{before}{start}{}<!-- end -->{after}", table(name));
    }
    if std::env::var_os("SHMFLOW_REGENERATE").is_some() {
        std::fs::write(&path, &new).expect("written");
    } else {
        assert_eq!(text, new, "run it with SHMFLOW_REGENERATE=1");
    }
}

#[test]
fn the_document_has_every_signal_and_statistics_field() {
    init();
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/elements.md"))
        .expect("there");
    let topic = Topic::new();
    let pipeline = Running::new(&format!("videotestsrc ! {}   {} ! fakesink", topic.sink(""), topic.src("")));
    pipeline.set_state(gst::State::Ready);
    for name in ["sink", "src"] {
        let stats = pipeline.element(name).property::<gst::Structure>("topic-stats");
        for field in stats.fields() {
            assert!(text.contains(&format!("`{field}`")), "{name}: {field}");
        }
    }
    for signal in ["client-connected", "client-disconnected"] {
        assert!(glib::subclass::SignalId::lookup(signal, pipeline.element("sink").type_()).is_some());
        assert!(text.contains(&format!("`{signal}`")));
    }
}
