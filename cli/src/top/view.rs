//! What of the topics is shown, and in which order.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use clap::ValueEnum;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use shmflow::Error;

use crate::sample::overview::{Overview, Watched};

/// What the topics are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    Name,
    State,
    Fps,
    Jitter,
    Age,
    Latency,
    Lag,
    Lost,
    Copied,
    Held,
    Memory,
}

impl Sort {
    const ALL: [Self; 11] = [
        Self::Name,
        Self::State,
        Self::Fps,
        Self::Jitter,
        Self::Age,
        Self::Latency,
        Self::Lag,
        Self::Lost,
        Self::Copied,
        Self::Held,
        Self::Memory,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::Fps => "fps",
            Self::Jitter => "jitter",
            Self::Age => "age",
            Self::Latency => "latency",
            Self::Lag => "lag",
            Self::Lost => "lost",
            Self::Copied => "copied",
            Self::Held => "held",
            Self::Memory => "memory",
        }
    }

    fn next(self) -> Self {
        let mut all = Self::ALL.iter().cycle().skip_while(|sort| **sort != self);
        all.nth(1).copied().unwrap_or(self)
    }

    /// Of two topics; of numbers the largest come first. What cannot be read has none, and is last.
    fn compare(self, one: Shown<'_>, other: Shown<'_>) -> Ordering {
        let order = match (self, one.1, other.1) {
            (Self::Name, ..) => Ordering::Equal,
            (Self::State, ..) => state(one.1).cmp(state(other.1)),
            (_, Some(one), Some(other)) => self.compare_numbers(one, other),
            (_, one, other) => one.is_none().cmp(&other.is_none()),
        };
        order.then_with(|| one.0.cmp(other.0))
    }

    fn compare_numbers(self, one: &Watched, other: &Watched) -> Ordering {
        match self {
            Self::Name | Self::State => Ordering::Equal,
            Self::Fps => other.rate.total_cmp(&one.rate),
            Self::Jitter => other.jitter().cmp(&one.jitter()),
            Self::Age => other.age().cmp(&one.age()),
            Self::Latency => other.latency().cmp(&one.latency()),
            Self::Lag => other.lag().cmp(&one.lag()),
            Self::Lost => other.lost().cmp(&one.lost()),
            Self::Copied => other.copied().cmp(&one.copied()),
            Self::Held => other.leases().cmp(&one.leases()),
            Self::Memory => other.info.shared_bytes.cmp(&one.info.shared_bytes),
        }
    }
}

/// A topic by name; without what is known of it, where it cannot be read.
type Shown<'a> = (&'a str, Option<&'a Watched>);

/// The state of one; nothing is known of those that cannot be read.
pub(crate) fn state(topic: Option<&Watched>) -> &'static str {
    topic.map_or("unreadable", |topic| topic.state.name())
}

/// All topics whose names have this in them, in upper case or in lower, in the order of their names.
pub(crate) fn named<'a>(overview: &'a Overview, filter: &str) -> Vec<Shown<'a>> {
    let filter = filter.to_lowercase();
    let read = overview.topics().map(|topic| (topic.info.topic.as_str(), Some(topic)));
    let unreadable = overview.unreadable().iter().map(|(name, _)| (name.as_str(), None));
    let mut shown: Vec<_> =
        read.chain(unreadable).filter(|(name, _)| name.to_lowercase().contains(&filter)).collect();
    shown.sort_by_key(|(name, _)| *name);
    shown
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// What several names have before their last slash, with the slash.
    Group(String),
    /// A topic, and how many bytes of its name the group above it says.
    Topic(String, usize),
}

/// What is shown.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) sort: Sort,
    pub(crate) reversed: bool,
    pub(crate) filter: String,
    /// Keys go into the filter.
    pub(crate) filtering: bool,
    pub(crate) paused: bool,
    pub(crate) details: bool,
    /// Why the last look saw nothing.
    pub(crate) trouble: Option<Error>,
    pub(crate) place: String,
    pub(crate) lines: Vec<Line>,
    /// The topic that is selected.
    pub(crate) selected: Option<String>,
}

impl View {
    pub(crate) fn new(sort: Sort, filter: String, place: &str) -> Self {
        Self {
            sort,
            reversed: false,
            filter,
            filtering: false,
            paused: false,
            details: true,
            trouble: None,
            place: place.to_owned(),
            lines: Vec::new(),
            selected: None,
        }
    }

    /// Sorts and filters what is there now.
    pub(crate) fn update(&mut self, overview: &Overview) {
        let mut shown = named(overview, &self.filter);
        shown.sort_by(|one, other| self.sort.compare(*one, *other));
        if self.reversed {
            shown.reverse();
        }
        let names = shown.iter().map(|(name, _)| *name);
        self.lines = if self.sort == Sort::Name {
            grouped(names)
        } else {
            names.map(|name| Line::Topic(name.to_owned(), 0)).collect()
        };
        if self.position().is_none() {
            let first = self.topics().next().map(str::to_owned);
            self.selected = first;
        }
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(|line| match line {
            Line::Topic(name, _) => Some(name.as_str()),
            Line::Group(_) => None,
        })
    }

    /// The line of the selected topic.
    pub(crate) fn position(&self) -> Option<usize> {
        let selected = self.selected.as_deref()?;
        self.lines.iter().position(|line| matches!(line, Line::Topic(name, _) if name == selected))
    }

    fn select(&mut self, step: isize) {
        let names: Vec<_> = self.topics().map(str::to_owned).collect();
        let at = names.iter().position(|name| Some(name) == self.selected.as_ref()).unwrap_or(0);
        let to = at.saturating_add_signed(step).min(names.len().saturating_sub(1));
        self.selected = names.get(to).cloned();
    }

    pub(crate) fn on_key(&mut self, key: KeyEvent, overview: &Overview) -> ControlFlow<()> {
        if key.modifiers.contains(KeyModifiers::CONTROL) && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return ControlFlow::Break(());
        }
        if self.filtering {
            match key.code {
                KeyCode::Enter => self.filtering = false,
                KeyCode::Esc => (self.filtering, self.filter) = (false, String::new()),
                KeyCode::Backspace => drop(self.filter.pop()),
                KeyCode::Char(c) => self.filter.push(c),
                _ => {}
            }
            self.update(overview);
            return ControlFlow::Continue(());
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return ControlFlow::Break(()),
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('r') => self.reversed = !self.reversed,
            KeyCode::Char('/') => self.filtering = true,
            KeyCode::Char('p') => self.paused = !self.paused,
            KeyCode::Enter => self.details = !self.details,
            KeyCode::Up | KeyCode::Char('k') => self.select(-1),
            KeyCode::Down | KeyCode::Char('j') => self.select(1),
            KeyCode::PageUp => self.select(-10),
            KeyCode::PageDown => self.select(10),
            KeyCode::Home => self.select(isize::MIN),
            KeyCode::End => self.select(isize::MAX),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Names with a line before those that have what is before their last slash in common.
fn grouped<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<Line> {
    let group_of = |name: &'a str| name.rfind('/').and_then(|at| name.get(..=at));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for group in names.clone().filter_map(group_of) {
        *counts.entry(group).or_default() += 1;
    }
    let (mut lines, mut current) = (Vec::new(), None);
    for name in names {
        let group = group_of(name).filter(|group| counts.get(group).is_some_and(|count| *count > 1));
        if let Some(group) = group.filter(|_| group != current) {
            lines.push(Line::Group(group.to_owned()));
        }
        current = group;
        lines.push(Line::Topic(name.to_owned(), group.map_or(0, str::len)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_grouped_by_what_is_before_the_slash() {
        let lines = grouped(["a", "r/one", "r/two", "s/alone", "z"].into_iter());
        let topic = |name: &str, cut| Line::Topic(name.to_owned(), cut);
        assert_eq!(
            lines,
            [
                topic("a", 0),
                Line::Group("r/".into()),
                topic("r/one", 2),
                topic("r/two", 2),
                topic("s/alone", 0),
                topic("z", 0)
            ]
        );
    }

    #[test]
    fn sorting_goes_through_all_columns() {
        let mut sort = Sort::Name;
        for expected in Sort::ALL.iter().skip(1).chain([&Sort::Name]) {
            sort = sort.next();
            assert_eq!(sort, *expected);
        }
    }
}
