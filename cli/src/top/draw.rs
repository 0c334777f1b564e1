//! The picture of `shmflow top`.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table, TableState, Wrap};
use shmflow::{ParticipantInfo, Role};

use super::view::{self, Line, View};
use crate::info::condition;
use crate::sample::overview::{Overview, Watched};
use crate::text;
use shmflow::TopicState;

/// Columns of the table behind name and state: title, width.
const COLUMNS: [(&str, u16); 8] = [
    ("FPS", 5),
    ("JITTER", 6),
    ("AGE", 6),
    ("LATENCY", 7),
    ("LAG", 3),
    ("LOST", 5),
    ("COPIED", 6),
    ("HELD", 4),
];
/// The state takes so much at least: so that `live` and `stalled` move nothing.
const STATE: u16 = 7;
/// The history takes so much at least, and what is left then.
const HISTORY: u16 = 6;
/// The participants of the selected topic are shown where there is room for so many lines.
const DETAILS_FROM: u16 = 12;

/// What is told of the selected topic.
enum Details<'a> {
    Participants(&'a Watched),
    /// The topic, and why it cannot be read.
    Error(String, String),
}

impl<'a> Details<'a> {
    fn of(topic: &str, overview: &'a Overview) -> Option<Self> {
        if let Some(topic) = overview.get(topic) {
            return Some(Self::Participants(topic));
        }
        let error = overview.error_of(topic)?.to_string();
        Some(Self::Error(text::safe(topic), text::safe(&error)))
    }

    fn lines(&self, width: u16) -> usize {
        match self {
            Self::Participants(topic) => topic.info.participants.len() + 3,
            // Wrapped between words, it may take one more than its characters need.
            Self::Error(_, error) => error.chars().count().div_ceil(usize::from(width.max(1))) + 3,
        }
    }
}

pub(super) fn draw(frame: &mut Frame<'_>, overview: &Overview, view: &View) {
    let details = view.selected.as_deref().and_then(|topic| Details::of(topic, overview));
    let is_shown = view.details && view.trouble.is_none() && frame.area().height >= DETAILS_FROM;
    let details = details.filter(|_| is_shown);
    let lines = details.as_ref().map_or(0, |details| details.lines(frame.area().width));
    let lines = u16::try_from(lines).unwrap_or(u16::MAX).min(frame.area().height / 2);
    let [head, body, below, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(2),
        Constraint::Length(lines),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(title(overview, view)), head);
    match &view.trouble {
        Some(error) => {
            let error = Text::from(text::safe(&error.to_string())).red();
            frame.render_widget(Paragraph::new(error).wrap(Wrap { trim: true }), body);
        }
        None => table(frame, body, overview, view),
    }
    match details {
        Some(Details::Participants(topic)) => participants(frame, below, topic),
        Some(Details::Error(topic, error)) => {
            let lines = vec![Text::default(), Text::from(topic).bold(), Text::from(error)];
            frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), below);
        }
        None => {}
    }
    frame.render_widget(Paragraph::new(keys(view)), foot);
}

fn title(overview: &Overview, view: &View) -> Text<'static> {
    let memory = overview.topics().map(|topic| topic.info.shared_bytes).fold(0, u64::saturating_add);
    let order = if view.reversed { ", reversed" } else { "" };
    let unreadable = overview.unreadable().len();
    let all = overview.topics().count() + unreadable;
    let mut spans = vec![Span::from("shmflow top").bold(), Span::from(format!("  {}", view.place))];
    // What was seen before says nothing now.
    if view.trouble.is_none() {
        spans.push(Span::from(format!("  {}", text::several(all as u64, "topic"))));
        if unreadable != 0 {
            spans.push(Span::from(", "));
            spans.push(Span::from(format!("{unreadable} unreadable")).red());
        }
        spans.push(Span::from(format!(", {}", text::bytes(memory))));
    }
    spans.push(Span::from(format!("  by {}{order}", view.sort.name())));
    if !view.filter.is_empty() {
        spans.push(Span::from(format!("  /{}", text::safe(&view.filter))).yellow());
    }
    if view.paused {
        spans.push(Span::from("  paused").yellow());
    }
    Text::from(spans)
}

fn keys(view: &View) -> Text<'static> {
    if view.filtering {
        return Text::from(format!("filter: {}_  (Enter keeps it, Esc clears it)", text::safe(&view.filter)));
    }
    Text::from("q quit  ↑↓ select  Enter participants  s sort  r reverse  / filter  p pause").dim()
}

fn table(frame: &mut Frame<'_>, area: Rect, overview: &Overview, view: &View) {
    if view.lines.is_empty() {
        let why = if view.filter.is_empty() { "there are no topics" } else { "no topic has such a name" };
        frame.render_widget(Paragraph::new(why).dim(), area);
        return;
    }
    let states = view.topics().map(|name| view::state(overview.get(name)).len());
    let state_width = u16::try_from(states.max().unwrap_or(0)).unwrap_or(0).max(STATE);
    let fixed: u16 = COLUMNS.iter().map(|(_, width)| width + 1).sum::<u16>() + state_width + 1;
    let left = area.width.saturating_sub(fixed + HISTORY + 1);
    let longest = view.lines.iter().map(|line| match line {
        Line::Group(name) => name.chars().count(),
        Line::Topic(name, 0) => name.chars().count(),
        Line::Topic(name, cut) => name.get(*cut..).unwrap_or(name).chars().count() + 2,
    });
    let name_width = u16::try_from(longest.max().unwrap_or(0)).unwrap_or(u16::MAX).clamp(5, left.max(8));
    let history = (area.width.saturating_sub(fixed + name_width + 1)).clamp(HISTORY, 60);
    let mut widths = vec![Constraint::Length(name_width), Constraint::Length(state_width)];
    widths.extend(COLUMNS.map(|(_, width)| Constraint::Length(width)));
    widths.push(Constraint::Length(history));
    let titles = COLUMNS.iter().map(|(title, _)| cell((*title).to_owned(), true));
    let titles = ["TOPIC", "STATE"].map(Cell::from).into_iter().chain(titles).chain([Cell::from("RATE")]);
    let rows = view.lines.iter().map(|line| match line {
        Line::Group(name) => Row::new([Cell::from(text::safe(name))]).bold(),
        Line::Topic(name, cut) => {
            let shown = name.get(*cut..).unwrap_or(name);
            let indent = if *cut == 0 { "" } else { "  " };
            let shown = crate::table::cut(&format!("{indent}{}", text::safe(shown)), usize::from(name_width));
            match overview.get(name) {
                Some(topic) => row(shown, topic, history),
                None => Row::new([Cell::from(shown), Cell::from(view::state(None)).fg(Color::Red)]),
            }
        }
    });
    let table = Table::new(rows, widths)
        .header(Row::new(titles).style(Style::new().add_modifier(Modifier::REVERSED)))
        .row_highlight_style(Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED));
    let mut state = TableState::default().with_selected(view.position());
    frame.render_stateful_widget(table, area, &mut state);
}

fn cell(text: String, right: bool) -> Cell<'static> {
    let alignment = if right { Alignment::Right } else { Alignment::Left };
    Cell::from(Text::from(text).alignment(alignment))
}

fn row(name: String, topic: &Watched, history: u16) -> Row<'static> {
    let colour = match topic.state {
        TopicState::Live => Color::Green,
        TopicState::Stalled | TopicState::Stopped | TopicState::Dead => Color::Red,
        _ => Color::Yellow,
    };
    let time = |time: Option<Duration>| time.map_or_else(String::new, brief);
    let numbers = [
        format!("{:.1}", topic.rate),
        time(topic.jitter()),
        time(topic.age()),
        time(topic.latency()),
        topic.lag().to_string(),
        amount(topic.lost()),
        amount(topic.copied()),
        topic.leases().to_string(),
    ];
    let cells = [Cell::from(name), Cell::from(topic.state.name()).fg(colour)].into_iter();
    let numbers = numbers.into_iter().map(|number| cell(number, true));
    Row::new(cells.chain(numbers).chain([Cell::from(sparkline(topic, usize::from(history))).fg(Color::Cyan)]))
}

/// A time in at most six characters.
fn brief(time: Duration) -> String {
    match time.as_secs() {
        0 => text::short_time(time).replace(' ', ""),
        seconds @ 1..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}min", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// A count in at most five characters.
fn amount(count: u64) -> String {
    match count {
        ..100_000 => count.to_string(),
        100_000..10_000_000 => format!("{}k", count / 1000),
        _ => format!("{}M", count / 1_000_000),
    }
}

/// The rates of the newest looks, the highest of them as a full block.
fn sparkline(topic: &Watched, width: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let rates = topic.history.iter().map(|moment| moment.rate);
    let highest = rates.clone().fold(0.0, f64::max);
    let skipped = topic.history.len().saturating_sub(width);
    let block = |rate: f64| {
        let level = if highest > 0.0 { (rate / highest * 7.0).round() } else { 0.0 };
        BLOCKS.get(level.clamp(0.0, 7.0) as usize).copied().unwrap_or('▁')
    };
    rates.skip(skipped).map(block).collect()
}

fn participants(frame: &mut Frame<'_>, area: Rect, topic: &Watched) {
    let [head, body] = Layout::vertical([Constraint::Length(2), Constraint::Min(0)]).areas(area);
    let name = text::safe(&topic.info.topic);
    let mut about = vec![Span::from(name).bold(), Span::from(format!("  {}", topic.what.summary))];
    if let Some(description) = &topic.what.description {
        about.push(Span::from(format!("  {}", text::safe(description))).dim());
    }
    frame.render_widget(Paragraph::new(vec![Text::default(), Text::from(about)]), head);
    let widths = [8, 16, 7, 10, 6, 4, 5, 6, 4].map(Constraint::Length);
    let titles = ["ROLE", "NAME", "PID", "STATE", "FPS", "LAG", "LOST", "COPIED", "HELD"];
    let titles = titles.iter().enumerate().map(|(i, title)| cell((*title).to_owned(), i > 3 || i == 2));
    let rows = topic.info.participants.iter().map(|p| participant(p, topic));
    frame.render_widget(Table::new(rows, widths).header(Row::new(titles).dim()), body);
}

fn participant(p: &ParticipantInfo, topic: &Watched) -> Row<'static> {
    let producer = p.role == Role::Producer;
    let pace = topic.paces.get(&(p.id.id, p.id.generation));
    let unless_producer = |text: String| if producer { "-".to_owned() } else { text };
    let state = condition(p, false);
    let state = state.split(',').next().unwrap_or_default().to_owned();
    let cells = [
        (if producer { "producer" } else { "consumer" }.to_owned(), false),
        (text::safe(&p.name), false),
        (p.pid.to_string(), true),
        (state, false),
        (pace.map_or_else(String::new, |pace| format!("{:.1}", pace.frames)), true),
        (unless_producer(p.lag.map_or_else(|| "-".to_owned(), |lag| lag.to_string())), true),
        (amount(p.lost), true),
        (unless_producer(amount(p.copied)), true),
        (p.held_slots.map_or_else(|| "?".to_owned(), |held| held.to_string()), true),
    ];
    Row::new(cells.map(|(text, right)| cell(text, right)))
}
