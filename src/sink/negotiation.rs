//! What consumers accept, and what that means for the elements upstream.
//!
//! The caps that a consumer accepts are a preference: they decide what is offered first, and under `negotiation=require` what is offered
//! at all, but never what a running stream looks like: a new consumer cannot change the format that others get.

use std::collections::BTreeMap;

use gstreamer as gst;

use crate::common::enums::Negotiation;
use crate::common::formats;

/// A consumer, for as long as it lives: the ring's number for it and how often that number was given out.
pub(super) type ClientId = (u8, u64);

/// One consumer, as the sink knows it.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) name: String,
    /// The caps text as it was last read, to notice changes without parsing.
    text: String,
    /// What it accepts, of what can be carried at all; `None` for one that did not say, which takes anything.
    accepted_caps: Option<gst::Caps>,
}

impl Client {
    pub(super) fn new(name: String, text: &str) -> Self {
        let mut client = Self { name, text: String::new(), accepted_caps: None };
        client.set_accepted_caps(text);
        client
    }

    /// Takes a new caps text, which may be anything; whether it changed.
    pub(super) fn set_accepted_caps(&mut self, text: &str) -> bool {
        if self.text == text {
            return false;
        }
        self.text = text.to_owned();
        self.accepted_caps =
            formats::parse_accepted(text).map(|caps| in_our_order(&caps)).filter(|caps| !caps.is_empty());
        true
    }

    fn accepts(&self, caps: &gst::CapsRef) -> bool {
        self.accepted_caps
            .as_ref()
            .is_none_or(|accepted| caps.is_subset(accepted) || caps.can_intersect(accepted))
    }
}

/// All consumers and the caps in use.
#[derive(Debug, Default)]
pub(super) struct Negotiator {
    pub(super) clients: BTreeMap<ClientId, Client>,
    /// The caps that frames have now.
    pub(super) current: Option<gst::Caps>,
}

impl Negotiator {
    /// What to answer an upstream element that asks which caps are accepted.
    pub(super) fn offer(&self, mode: Negotiation, filter: Option<&gst::CapsRef>) -> gst::Caps {
        let offer = self.offer_unfiltered(mode);
        match filter {
            // Our order, not the filter's: the first format offered is the one that gets chosen.
            Some(filter) => offer.intersect_with_mode(filter, gst::CapsIntersectMode::First),
            None => offer,
        }
    }

    fn offer_unfiltered(&self, mode: Negotiation) -> gst::Caps {
        let all = formats::in_order();
        let accepted: Vec<&gst::Caps> =
            self.clients.values().filter_map(|client| client.accepted_caps.as_ref()).collect();
        let Some((first, others)) = accepted.split_first() else {
            return all;
        };
        let common = others.iter().fold((*first).clone(), |common, caps| {
            common.intersect_with_mode(caps, gst::CapsIntersectMode::First)
        });
        match mode {
            Negotiation::Off => all,
            Negotiation::Require => common,
            Negotiation::Prefer => {
                let mut offer = gst::Caps::new_empty();
                // The format in use stays the first choice as long as a consumer accepts it.
                if let Some(current) = self.format_in_use() {
                    offer.merge(current);
                }
                offer.merge(common);
                for caps in accepted {
                    offer.merge(caps.clone());
                }
                offer.merge(all);
                offer
            }
        }
    }

    /// The format of the frames now, of any size, if a consumer takes it.
    fn format_in_use(&self) -> Option<gst::Caps> {
        let current = self.current.as_ref()?;
        let format = current.structure(0)?.get::<&str>("format").ok()?;
        let features = current.features(0)?.to_owned();
        self.serves_somebody()
            .then(|| {
                gst::Caps::builder("video/x-raw").features(features.iter()).field("format", format).build()
            })
            .map(|any_size| formats::all().intersect_with_mode(&any_size, gst::CapsIntersectMode::First))
    }

    /// Whether a consumer that said what it accepts takes the caps in use.
    fn serves_somebody(&self) -> bool {
        self.current.as_ref().is_some_and(|current| {
            self.clients.values().any(|client| client.accepted_caps.is_some() && client.accepts(current))
        })
    }

    /// Whether upstream should choose again: frames flow, consumers are there, and not one of them takes the frames.
    pub(super) fn should_reconfigure(&self, mode: Negotiation) -> bool {
        let Some(current) = &self.current else {
            return false;
        };
        mode != Negotiation::Off
            && !self.clients.is_empty()
            && !self.clients.values().any(|client| client.accepts(current))
    }
}

/// The part of `caps` that can be carried: the consumer's preference between its structures, ours between the formats
/// of one. (An element that takes anything lists all formats, in an order that means nothing.)
fn in_our_order(caps: &gst::Caps) -> gst::Caps {
    if caps.is_any() {
        return formats::in_order();
    }
    let (all, mut ordered) = (formats::in_order(), gst::Caps::new_empty());
    for (structure, features) in caps.iter_with_features() {
        let one = gst::Caps::builder_full()
            .structure_with_features(structure.to_owned(), features.to_owned())
            .build();
        ordered.merge(all.intersect_with_mode(&one, gst::CapsIntersectMode::First));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURRENT: &str = "video/x-raw,format=I420,width=320,height=240,framerate=30/1";

    fn negotiator(accepted: &[&str], current: Option<&str>) -> Negotiator {
        gst::init().expect("GStreamer starts");
        Negotiator {
            clients: accepted
                .iter()
                .zip(8..)
                .map(|(caps, id)| ((id, 1), Client::new(format!("client {id}"), caps)))
                .collect(),
            current: current.map(caps),
        }
    }

    fn caps(text: &str) -> gst::Caps {
        text.parse().expect("caps of the test")
    }

    /// What a source that can make anything, or only what `filter` says, would choose.
    fn chosen(negotiator: &Negotiator, mode: Negotiation, filter: &str) -> Option<String> {
        let mut offer = negotiator.offer(mode, Some(&caps(filter)));
        if offer.is_empty() {
            return None;
        }
        offer.fixate();
        offer.structure(0)?.get("format").ok()
    }

    #[test]
    fn without_consumers_our_own_order_decides_whatever_the_filters_is() {
        let nobody = negotiator(&[], None);
        for mode in [Negotiation::Prefer, Negotiation::Require, Negotiation::Off] {
            assert_eq!(chosen(&nobody, mode, "video/x-raw").as_deref(), Some("BGRx"));
            let reversed = "video/x-raw,format={ABGR64_LE,NV12,I420,BGRx}";
            assert_eq!(chosen(&nobody, mode, reversed).as_deref(), Some("BGRx"));
        }
    }

    #[test]
    fn an_accepted_format_comes_first_but_excludes_nothing_unless_required() {
        let one = negotiator(&["video/x-raw,format=NV12"], None);
        assert_eq!(chosen(&one, Negotiation::Prefer, "video/x-raw").as_deref(), Some("NV12"));
        assert_eq!(chosen(&one, Negotiation::Prefer, "video/x-raw,format=I420").as_deref(), Some("I420"));
        assert_eq!(chosen(&one, Negotiation::Require, "video/x-raw,format=I420"), None);
        assert_eq!(chosen(&one, Negotiation::Off, "video/x-raw").as_deref(), Some("BGRx"));
    }

    #[test]
    fn what_all_want_comes_before_what_one_wants() {
        let two = negotiator(&["video/x-raw,format={BGRx,NV12}", "video/x-raw,format={I420,NV12}"], None);
        assert_eq!(chosen(&two, Negotiation::Prefer, "video/x-raw").as_deref(), Some("NV12"));
        assert_eq!(chosen(&two, Negotiation::Require, "video/x-raw").as_deref(), Some("NV12"));
        assert_eq!(
            chosen(&two, Negotiation::Prefer, "video/x-raw,format={BGRx,I420}").as_deref(),
            Some("BGRx")
        );
        assert_eq!(chosen(&two, Negotiation::Require, "video/x-raw,format={BGRx,I420}"), None);
    }

    #[test]
    fn a_converters_own_preference_between_structures_is_kept_and_its_long_list_is_not() {
        let list = "video/x-raw,format=I420;video/x-raw,format={ABGR64_LE,BGRx,I420,NV12}";
        assert_eq!(
            chosen(&negotiator(&[list], None), Negotiation::Prefer, "video/x-raw").as_deref(),
            Some("I420")
        );
        let list = "video/x-raw,format={ABGR64_LE,NV12,BGRx}";
        assert_eq!(
            chosen(&negotiator(&[list], None), Negotiation::Prefer, "video/x-raw").as_deref(),
            Some("BGRx")
        );
    }

    #[test]
    fn the_format_in_use_stays_first_while_it_serves_somebody() {
        let mut two =
            negotiator(&["video/x-raw,format={BGRx,I420}", "video/x-raw,format=BGRx"], Some(CURRENT));
        assert_eq!(chosen(&two, Negotiation::Prefer, "video/x-raw").as_deref(), Some("I420"));
        assert!(!two.should_reconfigure(Negotiation::Prefer), "the first consumer is served");
        two.clients.remove(&(8, 1));
        assert_eq!(chosen(&two, Negotiation::Prefer, "video/x-raw").as_deref(), Some("BGRx"));
        assert!(two.should_reconfigure(Negotiation::Prefer), "nobody is served");
        assert!(!two.should_reconfigure(Negotiation::Off));
        two.clients.clear();
        assert!(!two.should_reconfigure(Negotiation::Prefer), "nobody is there");
    }

    #[test]
    fn one_who_says_nothing_takes_anything() {
        let silent = negotiator(&["", "video/x-raw,format=BGRx"], Some(CURRENT));
        assert!(!silent.should_reconfigure(Negotiation::Prefer));
        assert_eq!(chosen(&silent, Negotiation::Prefer, "video/x-raw").as_deref(), Some("BGRx"));
    }

    #[test]
    fn hostile_or_useless_caps_count_as_none() {
        for caps in [
            "audio/x-raw",
            "video/x-raw(memory:GLMemory),format=RGBA",
            "{{{{",
            "\0",
            "video/x-raw,format=WAT",
        ] {
            let one = negotiator(&[caps], Some(CURRENT));
            assert_eq!(chosen(&one, Negotiation::Require, "video/x-raw").as_deref(), Some("BGRx"), "{caps}");
            assert!(!one.should_reconfigure(Negotiation::Prefer), "{caps}");
        }
        let any = negotiator(&["ANY"], Some(CURRENT));
        assert!(!any.should_reconfigure(Negotiation::Require));
    }

    #[test]
    fn accepted_caps_are_parsed_only_when_they_changed() {
        gst::init().expect("GStreamer starts");
        let mut client = Client::new("viewer".into(), "video/x-raw,format=BGRx");
        assert!(!client.set_accepted_caps("video/x-raw,format=BGRx"));
        assert!(client.set_accepted_caps("video/x-raw,format=I420"));
        assert!(client.accepts(&caps(CURRENT)));
    }
}
