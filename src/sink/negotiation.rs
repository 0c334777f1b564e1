//! What consumers accept, and what that means for the elements upstream.
//!
//! The caps that a consumer accepts are a preference: they decide what is offered first, and under `negotiation=require` what is offered
//! at all, but never what a running stream looks like: a new consumer cannot change the format that others get.

use std::collections::BTreeMap;

use gstreamer as gst;

use crate::common::enums::Negotiation;
use crate::common::{caps_text, formats};

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
            caps_text::parse_accepted(text).map(|caps| in_our_order(&caps)).filter(|caps| !caps.is_empty());
        true
    }

    /// Whether it takes this type of media at all. A viewer of sound has no say in what a picture looks like.
    fn is_of_type(&self, caps: &gst::CapsRef) -> bool {
        let name = caps.structure(0).map(|structure| structure.name());
        self.accepted_caps
            .as_ref()
            .is_none_or(|accepted| accepted.iter().any(|structure| Some(structure.name()) == name))
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
        let filter = filter.filter(|filter| !filter.is_any());
        let preferred = self.preferred(mode);
        if mode == Negotiation::Require
            && let Some(required) = preferred
        {
            return match filter {
                Some(filter) => required.intersect_with_mode(filter, gst::CapsIntersectMode::First),
                None => required,
            };
        }
        // Our order, not the filter's: the first format offered is the one that gets chosen.
        let preference = preferred.is_some();
        let mut ordered = preferred.unwrap_or_else(gst::Caps::new_empty);
        ordered.merge(formats::in_order());
        let Some(filter) = filter else {
            if !preference {
                return gst::Caps::new_any();
            }
            // Anything can be carried, but "these first, and then anything" cannot be said. What flows now may go on.
            if let Some(current) = &self.current {
                ordered.merge(current.clone());
            }
            return ordered;
        };
        let mut offer = ordered.intersect_with_mode(filter, gst::CapsIntersectMode::First);
        for one in formats::carriable(filter).filter(|one| !formats::is_raw_video(one)) {
            offer.merge(one);
        }
        // Raw video that does not say how it lies in memory is bytes.
        for one in formats::carriable(filter).filter(|one| is_formless(one)) {
            offer.merge(one);
        }
        offer
    }

    /// What consumers want, the best first; `None` if no one said, or it does not count.
    fn preferred(&self, mode: Negotiation) -> Option<gst::Caps> {
        let accepted: Vec<&gst::Caps> =
            self.concerned().filter_map(|client| client.accepted_caps.as_ref()).collect();
        let (first, others) = accepted.split_first().filter(|_| mode != Negotiation::Off)?;
        let common = others.iter().fold((*first).clone(), |common, caps| {
            common.intersect_with_mode(caps, gst::CapsIntersectMode::First)
        });
        if mode == Negotiation::Require {
            return Some(common);
        }
        // The format in use stays the first choice as long as a consumer accepts it.
        let mut preferred = self.format_in_use().unwrap_or_else(gst::Caps::new_empty);
        preferred.merge(common);
        for caps in accepted {
            preferred.merge(caps.clone());
        }
        Some(preferred)
    }

    /// The format of the frames now, of raw video in any size, if a consumer takes it.
    fn format_in_use(&self) -> Option<gst::Caps> {
        let current = self.current.as_ref().filter(|_| self.serves_somebody())?;
        let structure = current.structure(0)?;
        let Some(format) = structure.get::<&str>("format").ok().filter(|_| formats::is_raw_video(current))
        else {
            return Some(current.clone());
        };
        let features = current.features(0)?;
        let any_size =
            gst::Caps::builder("video/x-raw").features(features.iter()).field("format", format).build();
        Some(formats::all().intersect_with_mode(&any_size, gst::CapsIntersectMode::First))
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
            && self.concerned().next().is_some()
            && !self.concerned().any(|client| client.accepts(current))
    }

    /// The consumers that have a say: those that take another type of media than flows now have none.
    fn concerned(&self) -> impl Iterator<Item = &Client> {
        let current = self.current.as_ref();
        self.clients.values().filter(move |client| current.is_none_or(|current| client.is_of_type(current)))
    }
}

/// The part of `caps` that can be carried: the consumer's preference between its structures, ours between the formats
/// of one of raw video. (An element that takes anything lists all formats, in an order that means nothing.) Empty for
/// whoever takes anything at all, and says nothing by it.
fn in_our_order(caps: &gst::Caps) -> gst::Caps {
    let (all, mut ordered) = (formats::in_order(), gst::Caps::new_empty());
    for one in formats::carriable(caps) {
        if formats::is_raw_video(&one) {
            ordered.merge(all.intersect_with_mode(&one, gst::CapsIntersectMode::First));
        } else {
            ordered.merge(one);
        }
    }
    ordered
}

/// Whether these are caps of raw video without a format.
fn is_formless(one: &gst::CapsRef) -> bool {
    formats::is_raw_video(one) && one.is_fixed() && one.structure(0).is_some_and(|s| !s.has_field("format"))
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
        for caps in ["video/x-raw(memory:GLMemory),format=RGBA", "{{{{", "\0", "video/x-raw,format=WAT"] {
            let one = negotiator(&[caps], Some(CURRENT));
            assert_eq!(chosen(&one, Negotiation::Require, "video/x-raw").as_deref(), Some("BGRx"), "{caps}");
            assert!(!one.should_reconfigure(Negotiation::Prefer), "{caps}");
        }
        let any = negotiator(&["ANY"], Some(CURRENT));
        assert!(!any.should_reconfigure(Negotiation::Require));
    }

    #[test]
    fn whatever_upstream_has_is_offered_after_raw_video() {
        let offered = |negotiator: &Negotiator, mode, filter: &str| {
            negotiator
                .offer(mode, Some(&caps(filter)))
                .iter()
                .map(|s| s.name().to_string())
                .collect::<Vec<_>>()
        };
        let nobody = negotiator(&[], None);
        let filter = "audio/x-raw; video/x-raw(memory:GLMemory); video/x-raw,format=I420; video/x-h264";
        assert_eq!(
            offered(&nobody, Negotiation::Prefer, filter),
            ["video/x-raw", "audio/x-raw", "video/x-h264"]
        );
        assert!(nobody.offer(Negotiation::Prefer, None).is_any());
        let formless = nobody.offer(Negotiation::Prefer, Some(&caps("video/x-raw,width=4,height=4")));
        assert!(formless.iter().last().is_some_and(|last| !last.has_field("format")), "{formless}");
        let one = negotiator(&["audio/x-raw,format=S16LE"], None);
        assert_eq!(
            offered(&one, Negotiation::Prefer, filter),
            ["audio/x-raw", "video/x-raw", "audio/x-raw", "video/x-h264"]
        );
        assert_eq!(offered(&one, Negotiation::Require, filter), ["audio/x-raw"]);
        let one = negotiator(&["video/x-raw,format=BGRx"], Some("video/x-h264"));
        for mode in [Negotiation::Prefer, Negotiation::Require] {
            assert!(!one.should_reconfigure(mode), "a stream goes on whoever connects");
            assert_eq!(offered(&one, mode, "video/x-h264"), ["video/x-h264"]);
        }
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
